"""Each page shows what is stored, in words, and nothing that was written into it runs."""

from __future__ import annotations

import itertools
import json
import re
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2.meta
import msgspec
import pytest
from msgspec.structs import replace

from bot import web as dashboard
from bot.model import approval, audit, budget, build, check, delivery, job, notification, outcome, report
from bot.store import audit as entries
from bot.store import budgets, checks, inbox_list, installations, notifications, subscribers
from bot.web import phrases, setup, states
from bot.web.assets import Assets
from bot.web.page import Page
from bot.web.pages import PAGES, SIGN_IN_PAGES
from bot.web.pages import audit as audit_page
from bot.web.pages import build as build_page
from bot.web.pages import builds as builds_page
from bot.web.pages import deliveries as deliveries_page
from bot.web.pages import delivery as delivery_page
from bot.web.pages import job as job_page
from bot.web.templating import Templates
from tests import factories, recorded
from tests.web.conftest import Client
from tests.web.house import HTML, House, fill_with

XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>\u202e{{ 7 * 7 }}"
TEMPLATES = Path(dashboard.__file__).parent / "templates"


async def shown(client: Client, path: str) -> str:
    answer = await client.get(path, headers=HTML)
    text = await answer.text()
    assert answer.status == 200, text
    assert answer.content_type == "text/html"
    return text


def words(html: str) -> str:
    """The text of a page, without its markup."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html))


# The lists.


async def test_an_empty_list_says_what_to_do_next(client: Client) -> None:
    text = words(await shown(client, "/"))
    assert "No builds yet" in text
    for hint in ("buildhook demo", "/webhook", ".buildhook.yml"):
        assert hint in text
    assert "Nothing has arrived yet" in await shown(client, "/deliveries")
    assert "No builds of octo/hello" in await shown(client, "/repos/octo/hello")


async def test_the_list_shows_each_build_newest_first_with_its_state_in_words(house: House, client: Client) -> None:
    for state in build.State:
        new = await house.add_build(factories.make_pull_build(title=f"A build that is {state}"))
        await house.save_build(new.build.id, state=state)
    text = words(await shown(client, "/?repository=octo/hello"))
    places = [text.index(f"A build that is {state}") for state in build.State]
    assert places == sorted(places, reverse=True)
    for state in build.State:
        assert states.look(state).text in text
    for fact in ("octo/hello", "#7 feature → main", "6f2c1b7", "by mona", "1 min 12 s", "10 min ago"):
        assert fact in text


async def test_the_list_is_filtered_by_state_and_repository(house: House, client: Client) -> None:
    for repository, state in (("octo/hello", "failed"), ("octo/other", "failed"), ("octo/hello", "passed")):
        new = await house.add_build(factories.make_build(repository=repository, title=f"{repository} {state}"))
        await house.save_build(new.build.id, state=build.State(state))

    async def titles(path: str) -> list[str]:
        return re.findall(r'class="row-title"[^>]*>([^<]+)<', await shown(client, path))

    assert await titles("/?state=failed") == ["octo/other failed", "octo/hello failed"]
    assert await titles("/?repository=octo/hello") == ["octo/hello passed", "octo/hello failed"]
    assert await titles("/?state=failed&repository=octo%2Fother") == ["octo/other failed"]
    assert await titles("/repos/octo/other") == ["octo/other failed"]
    assert await titles("/repos/octo/hello?state=passed") == ["octo/hello passed"]
    assert (await titles("/?state=&repository="))[-3:] == [
        "octo/hello passed",
        "octo/other failed",
        "octo/hello failed",
    ]
    assert "No build is like that" in await shown(client, "/?state=waiting")


async def test_older_pages_follow_without_gap_or_repetition_and_keep_the_filter(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds_page, "LIMIT", 3)
    monkeypatch.setattr(builds_page.make_context, "__kwdefaults__", {"limit": 3})
    for number in range(8):
        await house.add_build(factories.make_build(title=f"build {number}"))
    await house.add_build(factories.make_build(title="other", repository="octo/other"))
    path, found = "/repos/octo/hello?state=queued", []
    while path:
        text = await shown(client, path)
        found += re.findall(r'class="row-title"[^>]*>([^<]+)<', text)
        older = re.search(r'href="(\?[^"]+)">Older', text)
        path = f"/repos/octo/hello{older.group(1).replace('&amp;', '&')}" if older else ""
        assert "repository=" not in path
    assert found == [f"build {number}" for number in reversed(range(8))]


@pytest.mark.parametrize(
    "path",
    [
        "/?state=bogus",
        "/?before=1",
        "/?before=' OR 1=1",
        "/?repository=octo",
        "/?repository=" + XSS,
        "/deliveries?state=passed",
        "/deliveries?before=0",
        "/deliveries?before=99999999999999999999",
        "/deliveries?before=-1",
        "/audit?before=-1",
        "/audit?action=bogus",
        "/audit?repository=octo",
    ],
)
async def test_a_query_that_cannot_be_is_answered_400_with_what_it_can_be(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 400
    text = (await answer.json())["error"]["text"]
    assert re.search(r"is one of|is a number|is the id|is a full name", text)
    assert "<" not in text


@pytest.mark.parametrize("kind", ["builds", "jobs", "deliveries"])
async def test_what_was_never_there_is_404(client: Client, kind: str) -> None:
    for of in (factories.new_id(), "x", "%00", "%2e%2e%2f", "' OR 1=1 --"):
        answer = await client.get(f"/{kind}/{of}", headers=HTML)
        assert answer.status == 404


# A build.


async def test_a_build_shows_its_jobs_by_stage_its_checks_and_its_cause(house: House, client: Client) -> None:
    one = await house.add_delivery(event="pull_request", action="opened")
    made = factories.make_pull_build(delivery_id=one.guid, reason="A sentence that says why.")
    jobs = [
        factories.make_job(plan=factories.make_plan(key=key, name=key, needs=needs))
        for key, needs in (("lint", ()), ("test", ()), ("package", ("lint", "test")))
    ]
    await house.add_build(made, *jobs)
    html = await shown(client, f"/builds/{made.id}")
    text = words(html)
    for fact in ("Greet everybody", "A sentence that says why.", "after lint, test", "buildhook / package", "run"):
        assert fact in text or fact == "run"
    assert factories.HEAD_SHA in text
    assert factories.BASE_SHA in text
    assert f'href="/deliveries/{one.guid}"' in html
    assert html.count('class="stage"') == 2
    for of in jobs:
        assert f'href="/jobs/{of.id}"' in html


async def test_a_build_shows_the_mistakes_of_its_pipeline_file(house: House, client: Client) -> None:
    made = factories.make_build(problems=(factories.make_problem(line=12, column=7),))
    await house.add_build(made)
    text = words(await shown(client, f"/builds/{made.id}"))
    assert "1 mistake in the pipeline file" in text
    assert ".buildhook.yml:12:7" in text
    assert "did you mean" in text


async def test_t31_a_build_that_waits_shows_what_would_run_and_what_its_author_changes(
    house: House, client: Client
) -> None:
    proposal = approval.Proposal(
        consent=approval.Consent.APPROVE,
        jobs=("lint", "<b>test</b>"),
        file_sha=factories.BASE_SHA,
        digest="0" * 64,
        changes=("-  run: make", "+  run: curl <script>"),
        remark="eve (7) has the permission `read` here.",
    )
    made = factories.make_build(state=build.State.WAITING, proposal=proposal)
    await house.add_build(made)
    html = await shown(client, f"/builds/{made.id}")
    text = words(html)
    assert "here. lint &lt;b&gt;test&lt;/b&gt; By the pipeline file" in text
    assert "&lt;b&gt;test&lt;/b&gt;" in html
    assert f"/ok-to-test {made.head_sha}" in text
    assert "+  run: curl &lt;script&gt;" in html
    assert "eve (7) has the permission" in text
    assert "<b>test" not in html


async def test_a_build_offers_what_can_be_done_with_it(house: House, client: Client) -> None:
    new = await house.add_build()
    path = f"/builds/{new.build.id}"
    running = await shown(client, path)
    assert f'action="{path}/cancel"' in running
    assert f'action="{path}/retry"' not in running
    await house.save_build(new.build.id, state=build.State.PASSED)
    ended = await shown(client, path)
    assert f'action="{path}/cancel"' not in ended
    assert f'action="{path}/retry"' in ended
    assert f'action="{path}/retry-failed"' not in ended


async def test_a_build_with_a_job_that_did_not_pass_offers_to_run_that_one_again(house: House, client: Client) -> None:
    new = await house.add_build()
    path = f"/builds/{new.build.id}"
    await house.save_job(new.jobs[0], state=job.State.FAILED)
    assert f'action="{path}/retry-failed"' not in await shown(client, path)
    await house.save_build(new.build.id, state=build.State.FAILED)
    assert f'action="{path}/retry-failed"' in await shown(client, path)


async def test_only_a_page_that_can_change_looks_again(house: House, client: Client) -> None:
    new = await house.add_build()
    assert "data-live" in await shown(client, "/")
    assert "data-live" in await shown(client, f"/builds/{new.build.id}")
    await house.save_build(new.build.id, state=build.State.PASSED)
    assert "data-live" not in await shown(client, "/")
    # The check still waits to be sent.
    assert "data-live" in await shown(client, f"/builds/{new.build.id}")
    claimed = await house.store.write(
        checks.claim_stale, now=house.now, owner="test", lease=timedelta(seconds=9), limit=9
    )
    await house.store.write(checks.acknowledge, claimed[0], version=1, github_id=9, status="completed", now=house.now)
    page = await shown(client, f"/builds/{new.build.id}")
    assert "data-live" not in page
    assert "and GitHub shows it" in words(page)


@pytest.mark.parametrize(
    ("changes", "icon", "says"),
    [
        ({}, "queued", "Waits to be sent"),
        ({"reported_version": 1, "desired_version": 2, "github_id": 5}, "queued", "A change waits"),
        ({"error": "GitHub did not answer."}, "waiting", "tried again"),
        ({"reported_version": 1, "error": "The App lacks checks: write."}, "errored", "Cannot be shown"),
        ({"reported_version": 1}, "skipped", "newer build"),
        (
            {"reported_version": 1, "github_id": 5, "reported_status": "in_progress"},
            "queued",
            "Queued, and GitHub shows it",
        ),
    ],
)
def test_a_check_says_whether_github_shows_it(changes: dict[str, Any], icon: str, says: str) -> None:
    one: check.Check = factories.make_check(**changes)
    context = build_page.make_context(factories.make_build(), of_build=(), reported=[one], now=factories.NOW)
    assert context.checks[0].icon == icon
    assert says in context.checks[0].text


def test_stages_follow_the_needs_and_survive_a_circle() -> None:
    def stages(**needs: tuple[str, ...]) -> list[list[str]]:
        jobs = [factories.make_job(plan=factories.make_plan(key=key, needs=of)) for key, of in needs.items()]
        return [[one.plan.key for one in stage] for stage in build_page.stages(jobs)]

    assert stages() == []
    assert stages(a=(), b=()) == [["a", "b"]]
    assert stages(d=("b", "c"), a=(), b=("a",), c=()) == [["a", "c"], ["b"], ["d"]]
    assert stages(a=("gone",)) == [["a"]]
    assert sorted(itertools.chain(*stages(a=("b",), b=("a",), c=()))) == ["a", "b", "c"]


# A job.

LOG = b"installing\nok\n$ pytest\none\n\x1b[31mE   assert 1 == 2\x1b[0m\nafter\n"


def two_steps() -> job.Plan:
    return factories.make_plan(
        name="unit tests",
        steps=(factories.make_step(name="Install"), factories.make_step(name="Test"), factories.make_step(name="Last")),
    )


async def add_failed_job(house: House) -> job.Job:
    made = factories.make_build()
    start = LOG.index(b"$ pytest")
    one = factories.make_job(plan=two_steps())
    await house.add_build(made, one)
    changed = await house.save_job(
        replace(one, build_id=made.id),
        state=job.State.FAILED,
        reason="exit status 3",
        started_at=factories.NOW,
        finished_at=factories.NOW + timedelta(seconds=61),
        steps=(
            factories.make_step_result(log_end_bytes=start),
            factories.make_step_result(
                index=1, state="failed", exit_code=3, log_start_bytes=start, log_end_bytes=len(LOG) - 6
            ),
        ),
    )
    await house.append(one, LOG)
    return changed


async def test_a_failed_job_shows_the_first_failure_at_the_top(house: House, client: Client) -> None:
    one = await add_failed_job(house)
    html = await shown(client, f"/jobs/{one.id}")
    text = words(html)
    assert "Step 2, “Test”, failed with exit status 3" in text
    excerpt = html[html.index('class="log excerpt"') : html.index('id="steps"')]
    assert re.findall(r'href="#L(\d+)"', excerpt) == ["3", "4", "5"]
    assert '<span class="f1">E   assert 1 == 2</span>' in excerpt
    assert "id=" not in re.sub(r'id="(failure)"', "", excerpt).replace("aria", "")
    assert html.index("failed with exit status 3") < html.index('id="log"')
    for fact in ("took 1 min 1 s", "exit status 3", "Skipped", "Last", "unit tests"):
        assert fact in text


async def test_a_job_shows_its_failed_tests_its_coverage_and_what_it_wrote(house: House, client: Client) -> None:
    one = await add_failed_job(house)
    assert 'id="results"' not in await shown(client, f"/jobs/{one.id}")
    made = factories.make_results(
        *(factories.make_case(name=f"test_{number}") for number in range(103)),
        factories.make_case(state=report.State.PASSED),
        coverage=report.Coverage(lines_covered=812, lines_total=1000),
        findings=(factories.make_finding(),),
        summary="# All of it",
        problems=("`a.xml`: it is no XML.",),
    )
    await house.add_results(one, made)
    html = await shown(client, f"/jobs/{one.id}")
    text = words(html)
    assert "103 failed, 0 errored, 1 passed, 0 skipped" in text
    assert "81.2 % of 1000 lines" in text
    assert "Findings 1" in text
    assert "tests.test_hello::test_99 tests/test_hello.py:12 assert 1 == 2" in text
    assert "test_100" not in text
    assert "… and 3 more." in text
    assert ">\n# All of it</pre>" in html or "># All of it</pre>" in html
    assert "`a.xml`: it is no XML." in text


async def test_each_line_has_its_number_and_anchor_and_each_step_its_place(house: House, client: Client) -> None:
    one = await add_failed_job(house)
    html = await shown(client, f"/jobs/{one.id}")
    log = html[html.index('id="log"') :]
    assert re.findall(r'id="L(\d+)"', log) == ["1", "2", "3", "4", "5", "6"]
    assert re.findall(r'class="mark" data-line="(\d+)">([^<]+)', log) == [("1", "Install"), ("3", "Test")]
    assert 'href="#L3">Test</a>' in html
    assert f'href="/jobs/{one.id}/log"' in html
    assert "data-events" not in html


async def test_a_running_job_can_be_followed_from_where_the_page_ends(house: House, client: Client) -> None:
    one = await house.add_job(log=b"whole\npart")
    html = await shown(client, f"/jobs/{one.id}")
    assert f'data-events="/jobs/{one.id}/events" data-next="6"' in html
    assert 'id="L2"' in html


async def test_a_long_log_is_shown_in_parts_and_a_line_is_found(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.logparts.PART_LINES", 20)
    monkeypatch.setattr("bot.web.logparts.LINES_BEFORE", 5)
    one = await house.add_job(log=b"".join(b"line %d\n" % number for number in range(1, 60)))
    last = await shown(client, f"/jobs/{one.id}")
    assert 'id="L59"' in last
    assert 'id="L1"' not in last
    assert 'data-next="463"' in last

    def numbers(html: str) -> list[int]:
        return [int(found) for found in re.findall(r'id="L(\d+)"', html)]

    # From the last part back to the first, and on to the last again: each line once.
    seen, path = numbers(last), re.search(r'href="([^"]+)">Older', last)
    while path:
        html = await shown(client, f"/jobs/{one.id}{path.group(1)}")
        seen = [number for number in numbers(html) if number < seen[0]] + seen
        path = re.search(r'href="([^"]+)">Older', html)
    assert seen == list(range(1, 60))
    first = await shown(client, f"/jobs/{one.id}?first=1")
    assert numbers(first) == list(range(1, 21))
    assert "lines 1 to 20 of 59" in first
    # The log goes on growing at its end, whatever part is looked at.
    assert 'data-next="463"' in first
    newer = re.search(r'href="([^"]+)">Newer', first)
    assert newer is not None
    assert numbers(await shown(client, f"/jobs/{one.id}{newer.group(1)}")) == list(range(21, 41))
    assert numbers(await shown(client, f"/jobs/{one.id}?line=30")) == list(range(25, 45))
    for behind in ("line=999", "first=999"):
        assert numbers(await shown(client, f"/jobs/{one.id}?{behind}"))[-1] == 59
    for wrong in ("line=x", "first=0", f"q={'x' * 201}"):
        assert (await client.get(f"/jobs/{one.id}?{wrong}")).status == 400


async def test_a_result_that_was_taken_over_comes_with_its_log(house: House, client: Client) -> None:
    origin = await add_failed_job(house)
    made = factories.make_build()
    copy = replace(origin, id=factories.new_id(), origin_id=origin.id, check_name="buildhook")
    await house.add_build(made, copy)
    html = await shown(client, f"/jobs/{copy.id}")
    assert f'href="/jobs/{origin.id}"' in html
    assert "assert 1 == 2" in html
    assert await (await client.get(f"/jobs/{copy.id}/log")).read() == LOG


async def test_a_job_whose_log_is_gone_still_has_its_page(house: House, client: Client) -> None:
    one = await add_failed_job(house)
    await house.logs.delete(one.id)
    text = words(await shown(client, f"/jobs/{one.id}"))
    assert "The job wrote nothing." in text
    assert "It wrote nothing." in text


# Deliveries.


async def test_deliveries_show_state_event_repository_and_reason(house: House, client: Client) -> None:
    handled = await house.add_delivery(event="push")
    await house.handle(handled)
    ignored = await house.add_delivery(event="star", action="created", repository="octo/other")
    await house.handle(ignored, decided=outcome.ignored("Nobody here handles star."))
    parked = await house.add_delivery(event="pull_request", action="opened")
    await house.handle(parked, error="GitHub refuses our credentials.")
    text = words(await shown(client, "/deliveries"))
    for fact in (
        *("Handled", "push", "The push builds 1 job.", "Ignored", "star.created", "octo/other"),
        *("Nobody here handles star.", "Parked", "pull_request.opened", "GitHub refuses our credentials."),
    ):
        assert fact in text
    only = words(await shown(client, "/deliveries?state=ignored"))
    assert "star.created" in only
    assert "pull_request.opened" not in only


async def test_older_deliveries_follow_without_gap(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliveries_page, "LIMIT", 3)
    monkeypatch.setattr(deliveries_page.make_context, "__kwdefaults__", {"limit": 3})
    new = [await house.add_delivery() for _ in range(7)]
    path, found = "/deliveries?state=received", []
    while path:
        text = await shown(client, path)
        found += re.findall(r'href="/deliveries/([^"]+)"', text)
        older = re.search(r'href="(\?[^"]+)">Older', text)
        path = f"/deliveries{older.group(1).replace('&amp;', '&')}" if older else ""
    assert found == [one.guid for one in reversed(new)]


async def test_a_delivery_shows_why_what_it_made_and_what_came(house: House, client: Client) -> None:
    came = recorded.load("pull_request", "opened")
    one = await house.add_delivery(event="pull_request", action="opened", headers=came.lower_headers, body=came.body)
    made = factories.make_pull_build(delivery_id=one.guid)
    await house.handle(
        one,
        decided=factories.make_outcome(
            trail=("The pull request was opened.", "mona may write."), builds=(factories.make_new_build(made),)
        ),
    )
    html = await shown(client, f"/deliveries/{one.guid}")
    text = words(html)
    assert text.index("The pull request was opened.") < text.index("mona may write.")
    assert f'href="/builds/{made.id}"' in html
    assert "&#34;action&#34;: &#34;opened&#34;" in html
    assert "x-github-event" in text
    assert f'action="/deliveries/{one.guid}/replay"' in html


@pytest.mark.parametrize(
    ("source", "told"), [("api", "GitHub could not deliver it"), ("state", "GitHub did not tell of it")]
)
async def test_a_delivery_that_no_request_brought_says_so(house: House, client: Client, source: str, told: str) -> None:
    headers = {"content-type": "application/json", "x-buildhook-source": source}
    one = await house.add_delivery(headers=headers)
    assert told in words(await shown(client, f"/deliveries/{one.guid}"))


async def test_a_delivery_shows_no_proof_and_no_credential(house: House, client: Client) -> None:
    token = "ghs_" + "a1B2" * 10
    body = json.dumps({"token": token}).encode()
    headers = {
        "x-hub-signature-256": recorded.sign(body),
        "authorization": "Basic abc",
        "content-type": "application/json",
    }
    one = await house.add_delivery(headers=headers, body=body)
    html = await shown(client, f"/deliveries/{one.guid}")
    assert recorded.sign(body)[8:] not in html
    assert "Basic abc" not in html
    assert token not in html


@pytest.mark.parametrize(
    ("headers", "body", "says", "is_cut"),
    [
        ({}, b'{"a": [1]}', '"a": [\n    1\n  ]', False),
        ({}, b"{broken \xff", "{broken \ufffd", False),
        ({"content-type": delivery.FORM}, b"payload=%7B%22a%22%3A1%7D", '"a": 1', False),
        ({"content-type": delivery.FORM}, b"other=1", "other=1", False),
        ({}, b"[" * 5000 + b"]" * 5000, "[[[", False),
        ({}, json.dumps({"a": "x" * 300_000}).encode(), "xxx", True),
        ({}, b'{"a":"' + b"y" * 3_000_000 + b'"}', '{"a":"yyy', True),
    ],
)
def test_a_payload_is_laid_out_within_bounds(headers: dict[str, str], body: bytes, says: str, is_cut: bool) -> None:
    text, cut = delivery_page.shown_payload(headers, body=body)
    assert says in text
    assert cut is is_cut
    assert len(text) <= delivery_page.SHOWN_CHARACTERS


# Why, and who.


async def test_a_question_is_answered_with_steps_builds_and_who_did_what(house: House, client: Client) -> None:
    one = await house.add_delivery(head_sha=factories.HEAD_SHA)
    made = factories.make_build(delivery_id=one.guid, reason="Somebody has to approve.", state=build.State.WAITING)
    new = replace(factories.make_new_build(made), jobs=())
    entry = factories.make_audit_entry(actor="mona", actor_id=5, via=audit.Via.BUTTON, head_sha=factories.HEAD_SHA)
    trail = ("`mona` pushed.", "The file has 3 bytes.")
    await house.handle(one, decided=factories.make_outcome(trail=trail, builds=(new,), audit=(entry,)))
    html = await shown(client, f"/explain?q={factories.HEAD_SHA[:7]}")
    text = words(html)
    assert "waits for approval. Somebody has to approve." in text
    assert text.index("mona pushed.") < text.index("The file has 3 bytes.")
    assert "Cancelled by mona (id 5), with the button on GitHub" in text
    for target in (f"/deliveries/{one.guid}", f"/builds/{made.id}", f"/explain?q={factories.HEAD_SHA}"):
        assert f'href="{target}"' in html
    assert f'href="/explain?q={factories.HEAD_SHA}"' in await shown(client, f"/builds/{made.id}")
    assert f'href="/explain?q={one.guid}"' in await shown(client, f"/deliveries/{one.guid}")


async def test_githubs_reports_on_our_own_checks_are_left_out_until_they_are_asked_for(
    house: House, client: Client
) -> None:
    for event, action in (("push", None), ("check_run", "created"), ("check_suite", "completed")):
        await house.add_delivery(event=event, action=action)
    await house.add_delivery(event="check_run", action="rerequested")
    found = {path: words(await shown(client, f"/deliveries{path}")) for path in ("", "?reports=1", "?state=received")}
    for path, text in found.items():
        assert ("check_run.created" in text, "check_suite.completed" in text) == (path != "", path != "")
        assert "check_run.rerequested" in text
        assert ("Show them too" in text) is (path == "")
    assert (await client.get("/deliveries?reports=x")).status == 400


async def test_a_question_that_is_none_says_what_can_be_asked_and_the_box_keeps_it(client: Client) -> None:
    assert "owner/repo#7" in words(await shown(client, "/explain"))
    html = await shown(client, '/explain?q=what%20is%20"this"')
    assert "Ask for a delivery by its id" in html
    assert 'value="what is &#34;this&#34;"' in html
    assert "No delivery about octo/hello#7 ever came here." in words(await shown(client, "/explain?q=octo/hello%237"))


async def test_a_sha_that_may_mean_several_commits_offers_each(house: House, client: Client) -> None:
    shas = [factories.HEAD_SHA, factories.HEAD_SHA[:30] + "0" * 10]
    for sha in shas:
        await house.add_delivery(head_sha=sha)
    html = await shown(client, f"/explain?q={factories.HEAD_SHA[:9]}")
    assert all(f'href="/explain?q={sha}"' in html for sha in shas)


async def test_the_audit_is_filtered_and_older_entries_follow_without_gap(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Nobody did anything yet" in await shown(client, "/audit")
    monkeypatch.setattr(audit_page, "LIMIT", 3)
    monkeypatch.setattr(audit_page.make_context, "__kwdefaults__", {"limit": 3})
    for number in range(7):
        await house.store.write(entries.add, factories.make_audit_entry(detail=f"entry {number}"), now=factories.NOW)
    await house.store.write(
        entries.add, factories.make_audit_entry(action=audit.Action.REPLAY, actor="mona"), now=factories.NOW
    )
    path, found = "/audit?action=cancel&actor=octo&repository=octo/hello", []
    while path:
        text = await shown(client, path)
        found += re.findall(r"entry \d", text)
        older = re.search(r'href="(\?[^"]+)">Older', text)
        path = f"/audit{older.group(1).replace('&amp;', '&')}" if older else ""
    assert found == [f"entry {number}" for number in reversed(range(7))]
    assert "Delivery handled again by mona, on the command line" in words(await shown(client, "/audit?actor=mona"))
    assert "No entry is like that." in await shown(client, "/audit?actor=nobody")


def test_every_deed_and_every_way_has_words() -> None:
    for action, via in itertools.product(audit.Action, audit.Via):
        assert phrases.deed(action)
        assert phrases.who(factories.make_audit_entry(action=action, via=via, actor=None)).startswith("somebody, ")


# What holds for all pages.


async def test_t84_t87_hostile_text_in_every_field_is_text_on_every_page(house: House, client: Client) -> None:
    for path in await fill_with(house, XSS):
        html = await shown(client, path)
        assert "alert(1)" in html, path
        assert "<script>" not in html, path
        assert "<img" not in html, path
        assert "\u202e" not in html, path
        assert "U+202E" in html, path
        assert "{{ 7 * 7 }}" in html, path
        assert not re.search(r"<[^>]+\son\w+=", html), path
        assert not re.search(r"\sstyle=", html), path


async def test_links_stay_on_this_site(house: House, client: Client) -> None:
    for path in await fill_with(house, "//example.com/"):
        html = await shown(client, path)
        for target in re.findall(r'(?:href|src|action)="([^"]*)"', html):
            assert re.match(r"/(?![/\\])|#|\?|$", target), (path, target)


async def test_pages_are_whole_documents_with_one_heading_and_a_way_past_the_navigation(
    house: House, client: Client
) -> None:
    for path in [*await fill_with(house, "plain"), "/repos/octo/hello"]:
        html = await shown(client, path)
        assert html.startswith("<!doctype html>")
        assert '<html lang="en">' in html
        assert html.count("<h1>") == 1
        assert html.count("<main") == 1
        assert 'class="skip" href="#main"' in html
        ids = re.findall(r'\sid="([^"]+)"', html)
        assert len(ids) == len(set(ids)), path
        drawings = re.findall(r"<svg[^>]*>", html)
        assert all('aria-hidden="true"' in one or 'role="' in one for one in drawings)


async def test_the_budget_shows_who_waits_why_and_for_what(house: House, client: Client) -> None:
    assert "No calls yet" in await shown(client, "/budget")
    await house.store.write(installations.save, factories.make_installation(account="octo"))
    await house.add_build()
    await house.add_delivery()
    told = budget.Told(limit=5000, remaining=4321, reset_seconds=1200)
    for of in (factories.INSTALLATION_ID, 9):
        await house.store.write(budgets.spend, of, points=25, told=told, went_well=True, now=house.now)
    wait = budget.Wait(seconds=60, text=XSS)
    await house.store.write(budgets.block, factories.INSTALLATION_ID, wait, now=house.now)
    html = await shown(client, "/budget")
    text = words(html)
    for fact in (
        "4321 of 5000 calls left",
        "25 of 900 points in this minute",
        "1 check to report",
        "deliveries to handle: 1",
        "GitHub asked to wait until 2026-03-04 05:17:07 UTC",
        "oldest 10 min ago",
        "Installation 9",
    ):
        assert fact in text
    assert text.index("octo") < text.index("Installation 9")
    assert "<script>alert" not in html
    assert "data-live" in html
    house.now += timedelta(hours=1)
    text = words(await shown(client, "/budget"))
    assert "5000 of 5000 calls left" in text
    assert "0 of 900 points" in text
    assert "asked to wait" not in text


async def test_the_subscribers_page_shows_who_is_sent_nothing_any_more_and_what_was_made(
    house: House, client: Client
) -> None:
    assert "Nobody hears of builds" in await shown(client, "/subscribers")
    wanted = [
        notification.Wanted(name=name, origin="https://example.org", url_digest=name, events=("build.finished",))
        for name in ("chat", "ward")
    ]
    await house.store.write(subscribers.keep, wanted, now=house.now)
    await house.add_build(factories.make_build(state=build.State.PASSED))
    claimed = await house.store.write(
        notifications.claim_due, most={"ward": 9}, now=house.now, owner="test", lease=timedelta(seconds=9)
    )
    for one in claimed:
        await house.store.write(notifications.fail, one, status=410, error=XSS, next_attempt_at=None, now=house.now)
    await house.store.write(subscribers.disable, "ward", reason=XSS, now=house.now)
    html = await shown(client, "/subscribers")
    text = words(html)
    assert text.index("ward") < text.index("chat")
    for fact in (
        "Disabled",
        "Active",
        "https://example.org",
        "to send: 1",
        "build.finished",
        "Given up",
        "enable ward",
    ):
        assert fact in text
    assert "<script>alert" not in html
    assert "data-live" in html


def test_every_state_has_a_look_and_every_look_a_drawing() -> None:
    drawn = (TEMPLATES / "_icon.html").read_text()
    of_subscribers = [*notification.State, *notification.SubscriberState]
    for state in [*build.State, *job.State, *delivery.State, *of_subscribers]:
        look = states.look(state)
        assert look.text[0].isupper()
        assert f'"{look.icon}"' in drawn or look.icon == "queued"
    assert states.look("a word of an engine").text == "a word of an engine"


@pytest.mark.parametrize("module", [*PAGES, *SIGN_IN_PAGES], ids=lambda module: module.__name__.rpartition(".")[2])
def test_a_page_has_a_frozen_context_and_its_template_uses_what_that_gives(module: ModuleType) -> None:
    page: Page = module.PAGE
    assert issubclass(page.context, msgspec.Struct)
    assert page.context.__struct_config__.frozen
    assert callable(module.make_context)
    environment = Templates(Assets()).environment
    used = jinja2.meta.find_undeclared_variables(environment.parse((TEMPLATES / page.template).read_text()))
    given = set(page.context.__struct_fields__)
    # These are imported, one of them by the layout, and the shell stands around every page.
    assert used - {"icons", "lists", "audit", "shell"} - set(environment.globals) <= given


def test_no_template_is_left_over() -> None:
    named = {module.PAGE.template for module in (*PAGES, *SIGN_IN_PAGES)} | {"error.html"}
    named |= {setup.ASK, setup.SEND, setup.DONE}
    files = {path.name for path in TEMPLATES.iterdir()}
    assert {name for name in files if not name.startswith("_")} == named
    code = Path(dashboard.__file__).parent.glob("*.py")
    sources = "".join(path.read_text() for path in (*TEMPLATES.iterdir(), *code))
    assert all(f'"{name}"' in sources for name in files if name.startswith("_"))


def test_a_template_that_uses_what_is_not_there_is_an_error() -> None:
    context = deliveries_page.make_context([], state=None, before_seq=None, now=factories.NOW)
    with pytest.raises(jinja2.UndefinedError):
        Templates(Assets()).render("home.html", context)


def test_a_head_is_made_without_any_store() -> None:
    one = factories.make_job(state=job.State.RUNNING, steps=(factories.make_step_result(state="running"),))
    head = job_page.make_head(
        one,
        of=factories.make_build(),
        places=job_page.Places(lines=1, starts=(1,), failures=()),
        failure=None,
        now=factories.NOW,
    )
    assert [(step.name, step.state, step.line) for step in head.steps] == [("test", "running", 1)]
    assert head.is_live


async def test_the_list_of_deliveries_reads_no_bodies(house: House, client: Client) -> None:
    await house.add_delivery(body=b'{"needle": 1}')
    found = await house.store.read(inbox_list.list_newest, limit=1)
    assert found[0].body == b""
    assert "needle" not in await shown(client, "/deliveries")
