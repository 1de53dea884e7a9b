"""The client against the simulated GitHub: the same protocol, spoken by somebody who knows nothing of the client."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta

import msgspec
import pytest

from bot import errors, telemetry
from bot.github import GitHub, Patience, Repository, protection, registration
from bot.github.repositories import RepositoryRef
from bot.simulator import Simulator, limits
from tests.github.test_checks import QUEUED, RUN

PIPELINE = b"on: push\n"


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The simulated GitHub."""
    async with Simulator() as opened:
        yield opened
        # Every answer was one that GitHub's own description allows.
        assert opened.problems == []


@pytest.fixture
async def github(simulator: Simulator, metrics: telemetry.Metrics, patience: Patience) -> AsyncIterator[GitHub]:
    """Our App on it."""
    made = GitHub(
        api_url=simulator.api_url,
        app_id=simulator.app_id,
        private_key=simulator.private_key,
        metrics=metrics,
        patience=patience,
    )
    async with made as opened:
        yield opened


@pytest.fixture
async def hello(simulator: Simulator, github: GitHub) -> Repository:
    """A private repository with a pipeline file."""
    created = await simulator.create_repository("octo/hello", {".buildhook.yml": PIPELINE.decode()}, private=True)
    installation = simulator.installation_of("octo")
    assert installation is not None
    return github.repository(installation_id=installation.id, repository_id=created.id, full_name=created.full_name)


def _head(simulator: Simulator, branch: str = "main") -> str:
    return simulator.repository("octo/hello").heads[branch]


async def test_a_push_is_read_and_reported_in_three_calls_and_a_token(simulator: Simulator, hello: Repository) -> None:
    sha = _head(simulator)
    simulator.requests.clear()
    assert await hello.get_file(".buildhook.yml", ref=sha) == PIPELINE
    github_id = await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    assert await hello.put_check_run(msgspec.structs.replace(RUN, head_sha=sha), github_id=github_id) == github_id
    (shown,) = simulator.check_runs("octo/hello", sha)
    assert (shown.name, shown.conclusion, shown.external_id) == (RUN.name, "failure", "01J0")
    assert len(shown.annotations) == 2
    assert [(one.method, one.status) for one in simulator.requests] == [
        ("POST", 201),
        ("GET", 200),
        ("POST", 201),
        ("PATCH", 200),
    ]


async def test_f6_a_run_whose_answer_was_lost_is_found_again(simulator: Simulator, hello: Repository) -> None:
    wanted = msgspec.structs.replace(QUEUED, head_sha=_head(simulator))
    assert await hello.find_check_run(external_id="01J0", name=wanted.name, head_sha=wanted.head_sha) is None
    simulator.faults.add(method="POST", path="/check-runs$", drop_response_after_applying=True)
    with pytest.raises(errors.AnswerLost):
        await hello.put_check_run(wanted)
    found = await hello.find_check_run(external_id="01J0", name=wanted.name, head_sha=wanted.head_sha)
    assert found is not None
    assert [found.id] == [run.id for run in simulator.check_runs("octo/hello", wanted.head_sha)]


async def test_f40_a_renamed_repository_is_served_under_its_old_name(simulator: Simulator, hello: Repository) -> None:
    sha = _head(simulator)
    await hello.get_permission("mona", user_id=simulator.user("mona").id)
    simulator.rename("octo/hello", "renamed")
    assert await hello.get_file(".buildhook.yml", ref=sha) == PIPELINE
    assert await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    assert len(simulator.check_runs("octo/renamed", sha)) == 1


async def test_f40_a_transferred_repository_is_served_to_its_new_installation(
    simulator: Simulator, github: GitHub, hello: Repository
) -> None:
    sha = _head(simulator)
    await simulator.create_repository("cats/other")
    assert await hello.get_file(".buildhook.yml", ref=sha) == PIPELINE
    simulator.transfer("octo/hello", "cats")
    with pytest.raises(errors.NotReachable):
        await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    installation = simulator.installation_of("cats")
    assert installation is not None
    # By the name that an older delivery had.
    moved = github.repository(installation_id=installation.id, repository_id=hello.id, full_name="octo/hello")
    assert await moved.get_file(".buildhook.yml", ref=sha) == PIPELINE
    assert await moved.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    assert [run.name for run in simulator.check_runs("cats/hello", sha)] == [RUN.name]


async def test_f40_another_repository_under_the_old_name_gets_nothing_of_ours(
    simulator: Simulator, hello: Repository
) -> None:
    sha = _head(simulator)
    simulator.rename("octo/hello", "renamed")
    await simulator.create_repository("octo/hello", {".buildhook.yml": "on: pull_request\n"})
    assert await hello.get_file(".buildhook.yml", ref=sha) == PIPELINE
    assert await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    assert simulator.check_runs("octo/hello") == []
    assert len(simulator.check_runs("octo/renamed", sha)) == 1


async def test_t21_permissions_are_those_of_the_user_with_that_id(simulator: Simulator, hello: Repository) -> None:
    mona, guest = simulator.user("mona"), simulator.user("guest")
    simulator.set_permission("octo/hello", "guest", "triage")
    assert await hello.get_permission("mona", user_id=mona.id) == "admin"
    assert await hello.get_permission("guest", user_id=guest.id) == "triage"
    assert await hello.get_permission("guest", user_id=mona.id) == "none"
    assert await hello.get_permission("nobody-here", user_id=1) == "none"


async def test_pull_requests_and_comparisons_are_read(simulator: Simulator, hello: Repository) -> None:
    base = _head(simulator)
    head = await simulator.push("octo/hello", "topic", {"a": "1\n"}, start="main")
    pull = await simulator.open_pull_request("octo/hello", "topic", base="main", author="mona")
    read = await hello.get_pull(pull.number)
    assert (read.head_sha, read.base_sha, read.author, read.state) == (head, base, "mona", "open")
    assert await hello.list_pulls_of_head("topic") == (read,)
    assert await hello.list_pulls_of_head("main") == ()
    assert await hello.is_ahead_only(base=base, head=head)
    moved = await simulator.push("octo/hello", "main", {"b": "1\n"})
    assert not await hello.is_ahead_only(base=moved, head=head)
    assert not await hello.is_ahead_only(base="0" * 40, head=head)


async def test_what_is_not_there_is_told_apart(simulator: Simulator, github: GitHub, hello: Repository) -> None:
    sha = _head(simulator)
    assert await hello.get_file("missing.yml", ref=sha) is None
    assert await hello.get_file(".buildhook.yml/x", ref=sha) is None
    with pytest.raises(errors.NotReachable, match="No commit found"):
        await hello.get_file(".buildhook.yml", ref="1" * 40)
    strange = github.repository(installation_id=1, repository_id=hello.id, full_name="octo/hello")
    with pytest.raises(errors.NotReachable):
        await strange.get_file(".buildhook.yml", ref=sha)


async def test_f39_a_suspended_installation_is_told_apart(
    simulator: Simulator, github: GitHub, hello: Repository
) -> None:
    installation = simulator.installation_of("octo")
    assert installation is not None
    assert (await github.get_installation(installation.id)).state == "active"
    simulator.suspend("octo")
    assert (await github.get_installation(installation.id)).state == "suspended"
    with pytest.raises(errors.Suspended):
        await hello.get_file(".buildhook.yml", ref="main")
    simulator.unsuspend("octo")
    assert await hello.get_file(".buildhook.yml", ref="main") == PIPELINE
    simulator.uninstall("octo")
    with pytest.raises(errors.NotReachable):
        await hello.get_file(".buildhook.yml", ref="main")


async def test_f98_a_run_of_another_app_stays_as_it_is(simulator: Simulator, hello: Repository) -> None:
    sha = _head(simulator)
    foreign = await simulator.create_foreign_check_run("octo/hello", sha, name=RUN.name)
    with pytest.raises(errors.ForeignCheckRun):
        await hello.put_check_run(msgspec.structs.replace(RUN, head_sha=sha), github_id=foreign.id)
    assert await hello.find_check_run(external_id="01J0", name=RUN.name, head_sha=sha) is None


async def test_f41_what_github_refuses_is_told_in_its_words(simulator: Simulator, hello: Repository) -> None:
    with pytest.raises(errors.Invalid, match="422"):
        await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha="1" * 40))


async def test_f38_a_missing_permission_is_named(simulator: Simulator, github: GitHub, hello: Repository) -> None:
    installation = simulator.installation_of("octo")
    assert installation is not None
    installation.permissions["checks"] = "read"
    with pytest.raises(errors.Forbidden, match=r"\(checks: write\)"):
        await hello.get_file(".buildhook.yml", ref="main")


async def test_t76_the_token_for_git_can_only_read(simulator: Simulator, hello: Repository) -> None:
    assert (await hello.git_token()).startswith("ghs_")
    (asked,) = [one for one in simulator.requests if one.path.endswith("/access_tokens")]
    assert asked.body == {"repository_ids": [hello.id], "permissions": {"contents": "read"}}


@pytest.mark.parametrize("status", [200, 404, 429, 502])
async def test_f54_a_page_for_people_is_no_answer(simulator: Simulator, hello: Repository, status: int) -> None:
    sha = _head(simulator)
    await hello.get_file(".buildhook.yml", ref=sha)
    simulator.faults.add(times=None, status=status, html=True)
    with pytest.raises(errors.GitHubUnavailable, match="HTML page") as read:
        await hello.get_file("other", ref=sha)
    assert not isinstance(read.value, errors.AnswerLost)
    with pytest.raises(errors.GitHubUnavailable, match="HTML page") as written:
        await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    # Below 500 and not a success: it was not done.
    assert isinstance(written.value, errors.AnswerLost) == (status in {200, 502})


@pytest.mark.parametrize("status", [403, 429])
async def test_f35_no_call_comes_inside_the_wait_of_a_secondary_limit(
    simulator: Simulator, hello: Repository, status: int
) -> None:
    sha = _head(simulator)
    await hello.get_file(".buildhook.yml", ref=sha)
    simulator.waits.grace_seconds = 0.0
    simulator.rates.secondary = limits.Secondary(writes=1, status=status)
    await hello.put_check_run(msgspec.structs.replace(QUEUED, head_sha=sha))
    simulator.requests.clear()
    for _ in range(5):
        with pytest.raises(errors.RateLimited) as caught:
            await hello.put_check_run(msgspec.structs.replace(RUN, head_sha=sha), github_id=1)
        assert caught.value.is_secondary
    assert [one.status for one in simulator.requests] == [status]
    assert simulator.calls_inside_waits == []


async def test_f34_a_used_up_limit_is_kept(simulator: Simulator, hello: Repository) -> None:
    sha = _head(simulator)
    await hello.get_file(".buildhook.yml", ref="main")
    simulator.rates.limit = 1
    simulator.requests.clear()
    for _ in range(5):
        with pytest.raises(errors.RateLimited):
            await hello.get_file("other", ref=sha)
    assert len(simulator.requests) <= 1


def _tokens(simulator: Simulator) -> list[object]:
    return [one.body for one in simulator.requests if one.path.endswith("/access_tokens")]


async def test_deliveries_are_read_back_and_sent_again(simulator: Simulator, github: GitHub) -> None:
    # Nobody listens there.
    simulator.webhook_url = "http://127.0.0.1:1/webhook"
    created = await simulator.create_repository("octo/hello", {"a": "ü\n"})
    await simulator.push_many(created, [f"b{number}" for number in range(60)])
    await simulator.hooks.settle()
    page = await github.list_deliveries()
    attempts = list(page.attempts)
    assert len(attempts) == 100
    while page.next_cursor is not None:
        page = await github.list_deliveries(cursor=page.next_cursor)
        attempts += page.attempts
    assert [one.id for one in attempts] == [one.id for one in reversed(simulator.deliveries)]
    assert {(one.is_ok, one.is_redelivery, one.status_code) for one in attempts} == {(False, False, 502)}
    assert (attempts[0].repository_id, attempts[0].action) == (created.id, simulator.deliveries[-1].action)

    failed = next(one for one in attempts if one.event == "push")
    sent = next(one for one in simulator.deliveries if one.id == failed.id)
    shown = await github.get_delivery(failed.id)
    assert shown.attempt == failed
    assert msgspec.json.decode(shown.payload_json) == msgspec.json.decode(sent.body)
    assert shown.request_headers["x-hub-signature-256"] == simulator.sign(sent.body)

    await github.redeliver(failed.id)
    await simulator.hooks.settle()
    again = (await github.list_deliveries(per_page=1)).attempts[0]
    assert (again.guid, again.is_redelivery) == (failed.guid, True)
    assert again.id != failed.id


async def test_a_delivery_that_is_too_old_is_not_sent_again(simulator: Simulator, github: GitHub) -> None:
    simulator.webhook_url = "http://127.0.0.1:1/webhook"
    await simulator.create_repository("octo/hello")
    await simulator.hooks.settle()
    (sent,) = simulator.deliveries
    sent.created_at -= timedelta(days=3, seconds=1)
    with pytest.raises(errors.Invalid, match="too old"):
        await github.redeliver(sent.id)
    with pytest.raises(errors.NotReachable):
        await github.redeliver(1)
    with pytest.raises(errors.NotReachable):
        await github.get_delivery(1)
    with pytest.raises(errors.Invalid):
        await github.list_deliveries(cursor="nonsense")
    assert len(simulator.deliveries) == 1


async def test_installations_and_their_repositories_are_listed(
    simulator: Simulator, github: GitHub, hello: Repository
) -> None:
    for number in range(101):
        simulator.create_user(f"user{number}")
        simulator.install(f"user{number}")
    simulator.suspend("user7")
    listed = await github.list_installations()
    assert {one.id for one in listed} == set(simulator.installations)
    assert [one.account for one in listed if one.state == "suspended"] == ["user7"]
    ours, suspended = simulator.installation_of("octo"), simulator.installation_of("user7")
    assert ours is not None
    assert suspended is not None
    archived = await simulator.create_repository("octo/old", default_branch="trunk")
    archived.is_archived = True
    await simulator.create_repository("mona/other")
    simulator.requests.clear()
    assert await github.list_repositories(ours.id) == (
        RepositoryRef(id=hello.id, full_name="octo/hello", default_branch="main", is_archived=False, is_private=True),
        RepositoryRef(id=archived.id, full_name="octo/old", default_branch="trunk", is_archived=True, is_private=False),
    )
    assert _tokens(simulator) == [{"permissions": {"metadata": "read"}}]
    with pytest.raises(errors.Suspended):
        await github.list_repositories(suspended.id)
    with pytest.raises(errors.NotReachable):
        await github.list_repositories(1)


async def test_what_a_repository_has_now_is_read(simulator: Simulator, hello: Repository) -> None:
    described = msgspec.json.decode(await hello.get_raw())
    assert (described["id"], described["full_name"]) == (hello.id, "octo/hello")
    base = _head(simulator)
    head = await simulator.push("octo/hello", "feature/ü#1", {"a": "1\n"}, start="main")
    assert await hello.get_branch_head("feature/ü#1") == head
    assert await hello.get_branch_head("main") == base
    assert await hello.get_branch_head("feature") is None
    simulator.rename("octo/hello", "renamed")
    assert await hello.get_branch_head("main") == base
    await simulator.push_tags("octo/renamed", [f"v{number}" for number in range(101)])
    await simulator.push_tags("octo/renamed", ["annotated"], head, message="an object of its own")
    tags = {tag.name: tag.sha for tag in await hello.list_tags()}
    assert len(tags) == 102
    assert (tags["v100"], tags["annotated"]) == (base, head)
    await simulator.delete_repository("octo/renamed")
    for gone in (hello.get_branch_head("main"), hello.list_tags(), hello.get_raw(), hello.list_open_pulls()):
        with pytest.raises(errors.NotReachable):
            await gone


async def test_all_open_pull_requests_are_read(simulator: Simulator, hello: Repository) -> None:
    await simulator.push_many("octo/hello", ["topic", "closed"])
    first = await simulator.open_pull_request("octo/hello", "topic", base="main")
    await simulator.close(await simulator.open_pull_request("octo/hello", "closed", base="main"))
    # A hundred more in a moment, each like the first one.
    for number in range(3, 103):
        simulator.pulls[hello.id, number] = dataclasses.replace(first, id=first.id + number, number=number)
    newest = simulator.pulls[hello.id, 7]
    newest.updated_at += timedelta(seconds=60)
    listed = await hello.list_open_pulls()
    assert len(listed) == 101
    assert {one.pull.number for one in listed} == {1, *range(3, 103)}
    assert listed[0].pull.number == 7
    raw = msgspec.json.decode(listed[0].raw)
    assert (raw["number"], raw["title"], raw["head"]["sha"]) == (7, first.title, first.head_sha)
    assert await hello.get_pull(7) == listed[0].pull


async def test_our_check_runs_of_a_commit_are_read(simulator: Simulator, hello: Repository) -> None:
    sha = _head(simulator)
    foreign = await simulator.create_foreign_check_run("octo/hello", sha, name=RUN.name)
    ids = [
        await hello.put_check_run(msgspec.structs.replace(RUN, head_sha=sha, name=f"buildhook / {number}"))
        for number in range(101)
    ]
    listed = await hello.list_check_runs(head_sha=sha)
    assert [one.id for one in listed] == ids[::-1]
    told = listed[0]
    assert (told.name, told.external_id, told.annotations_count) == ("buildhook / 100", "01J0", 2)
    assert (told.status, told.conclusion) == ("completed", "failure")
    assert await hello.get_check_run(told.id) == told
    await hello.put_check_run(msgspec.structs.replace(RUN, head_sha=sha, name=told.name), github_id=told.id)
    again = await hello.find_check_run(external_id="01J0", name=told.name, head_sha=sha)
    assert again == msgspec.structs.replace(told, annotations_count=4)
    assert (await hello.get_check_run(foreign.id)) is not None
    assert await hello.get_check_run(1) is None
    with pytest.raises(errors.GitHubError):
        await hello.list_check_runs(head_sha="1" * 40)
    simulator.suspend("octo")
    with pytest.raises(errors.Suspended):
        await hello.list_check_runs(head_sha=sha)


async def test_the_app_tells_what_it_is_and_where_its_webhook_leads(simulator: Simulator, github: GitHub) -> None:
    app = await github.get_app()
    assert (app.id, app.slug) == (simulator.app_id, "buildhook")
    assert (app.permissions["checks"], "push" in app.events) == ("write", True)
    simulator.webhook_url = "https://builds.example.org/webhook"
    hook = registration.Hook(
        url="https://builds.example.org/webhook", content_type="json", is_insecure=False, has_secret=True
    )
    assert await github.get_hook() == hook
    simulator.webhook_url, simulator.webhook_secret = None, None
    simulator.hooks.is_insecure = True
    assert await github.get_hook() == msgspec.structs.replace(hook, url=None, is_insecure=True, has_secret=False)
    assert abs(github.ahead_seconds) < 30


async def test_what_a_branch_requires_comes_from_its_protection_and_from_rulesets(
    simulator: Simulator, hello: Repository
) -> None:
    assert await hello.list_required("main") == ()
    assert await hello.list_required("gone") == ()
    simulator.required_checks("octo/hello", "main", {"buildhook": None, "lint": 7})
    simulator.ruleset("octo/hello", "main", {"buildhook": simulator.app_id, "lint": 7})
    assert await hello.list_required("main") == (
        protection.Required(name="buildhook", app_id=None),
        protection.Required(name="lint", app_id=7),
        protection.Required(name="buildhook", app_id=simulator.app_id),
    )
    # As old Enterprise Servers answer, which have no rulesets.
    simulator.faults.add(path="/rules/branches/", status=404, times=1)
    assert len(await hello.list_required("main")) == 2
