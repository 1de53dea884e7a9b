"""The API: what programs are told, part by part, in one shape, and as its description says."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest

from bot import errors
from bot.model import artifact, build, job, report
from bot.shapes import built, delivered, explained
from bot.store import artifacts, builds, self_tests
from bot.web import rules
from bot.web.api import OPERATIONS
from bot.web.api.describing import document
from tests import factories
from tests.web.conftest import Client
from tests.web.house import House, fill_with
from tests.web.program import DOCUMENT, Program

HOSTILE = "<script>\x1b[31mrm -rf / \u202e ghp_" + "A" * 36


@pytest.fixture
def program(client: Client) -> Program:
    return Program(client=client)


# What is there.


async def test_who_asks_on_this_machine_may_do_everything(program: Program) -> None:
    assert await program.get("/me") == {"id": None, "login": None, "is_operator": True, "may_write": True}


async def test_builds_are_listed_part_by_part_and_none_twice(house: House, program: Program) -> None:
    made = [await house.add_build(factories.make_build(head_sha=f"{number:040x}")) for number in range(7)]
    found = await program.follow("/builds?limit=3")
    assert [one["id"] for one in found] == [one.build.id for one in reversed(made)]
    first = await program.get("/builds?limit=3")
    # What comes meanwhile moves nothing.
    await house.add_build(factories.make_build(head_sha="f" * 40))
    second = await program.get(first["next"].removeprefix(rules.API))
    assert [one["id"] for one in second["items"]] == [one.build.id for one in reversed(made)][3:6]


async def test_builds_are_found_by_state_repository_ref_and_pull_request(house: House, program: Program) -> None:
    main = await house.add_build(factories.make_build(ref="refs/heads/main", head_sha="1" * 40))
    tag = await house.add_build(factories.make_build(ref="refs/tags/v1", head_sha="2" * 40))
    pull = await house.add_build(factories.make_pull_build(head_sha="3" * 40, head_ref="fix"))
    null = await house.add_build(factories.make_build(ref="refs/heads/null", head_sha="5" * 40))
    other = await house.add_build(
        factories.make_build(repository="octo/other", repository_id=77, ref="refs/heads/x", head_sha="4" * 40)
    )
    await house.save_build(other.build.id, state=build.State.FAILED)
    for query, wanted in (
        ({"ref": "main"}, main),
        ({"ref": "refs/tags/v1"}, tag),
        ({"pull": str(pull.build.pull_number)}, pull),
        ({"head": "fix"}, pull),
        ({"head": "fix", "repository": "octo/hello", "state": "queued", "pull": str(pull.build.pull_number)}, pull),
        ({"sha": "4" * 40}, other),
        ({"sha": "1" * 40, "ref": "main", "repository": "octo/hello"}, main),
        ({"repository": "octo/other"}, other),
        ({"state": "failed"}, other),
        ({"ref": "null"}, null),
    ):
        items = (await program.get("/builds", params=query))["items"]
        assert [one["id"] for one in items] == [wanted.build.id], query
    for query in ({"ref": "v1"}, {"head": "main"}, {"sha": "6" * 40}, {"sha": "3" * 40, "head": "main"}):
        assert (await program.get("/builds", params=query))["items"] == []


async def test_a_build_comes_with_its_jobs_checks_results_and_artifacts(
    house: House, program: Program, tmp_path: Path
) -> None:
    one = await house.add_job(log=b"one\ntwo\n", state=job.State.FAILED, finished_at=factories.NOW)
    await house.add_results(one, factories.make_results(factories.make_case(state=report.State.FAILED)))
    kept = await _keep(house, one, tmp_path)
    found = await program.get(f"/builds/{one.build_id}")
    assert [(of["id"], of["state"], of["results"]["tests"]["failed"]) for of in found["jobs"]] == [
        (one.id, "failed", 1)
    ]
    assert [of["name"] for of in found["checks"]] == ["buildhook"]
    assert [of["id"] for of in found["artifacts"]] == [kept.id]
    its_job = await program.get(f"/jobs/{one.id}")
    assert (its_job["build_id"], its_job["log_bytes"], its_job["artifacts"][0]["id"]) == (one.build_id, 8, kept.id)
    assert await program.get(f"/artifacts/{kept.id}") == found["artifacts"][0]
    whole = await program.ask("GET", f"/artifacts/{kept.id}/zip")
    assert await whole.read() == b"zip"
    assert whole.headers["Content-Disposition"].startswith("attachment")


async def _keep(house: House, of: job.Job, folder: Path) -> artifact.Artifact:
    kept = artifact.Artifact(
        id=factories.new_id(),
        job_id=of.id,
        name="a.txt",
        size_bytes=3,
        sha256="0" * 64,
        files=1,
        created_at=factories.NOW,
    )
    await house.store.write(artifacts.replace_of_job, of.id, [kept])

    async def copy(path: Path) -> None:
        path.write_bytes(b"zip")

    await house.artifacts.put(kept.id, copy)
    return kept


async def test_test_cases_are_listed_part_by_part(house: House, program: Program) -> None:
    one = await house.add_job(state=job.State.FAILED, finished_at=factories.NOW)
    cases = [
        factories.make_case(name=f"test {number}", state=report.State.FAILED if number % 2 else report.State.PASSED)
        for number in range(9)
    ]
    await house.add_results(one, factories.make_results(*cases))
    found = await program.follow(f"/jobs/{one.id}/results?limit=4")
    assert [case["name"] for case in found] == [case.name for case in cases]
    failed = await program.follow(f"/jobs/{one.id}/results?limit=2&state=failed")
    assert [case["name"] for case in failed] == [f"test {number}" for number in (1, 3, 5, 7)]
    nothing = await house.add_job(of=factories.make_build(head_sha="e" * 40))
    assert await program.get(f"/jobs/{nothing.id}/results") == {"items": [], "results": None, "next": None}


async def test_deliveries_come_with_their_trail_and_without_what_proves_something(
    house: House, program: Program
) -> None:
    headers = {"content-type": "application/json", "x-hub-signature-256": "sha256=" + "a" * 64}
    one = await house.add_delivery(headers=headers, body=b'{"token": "ghp_' + b"A" * 36 + b'"}')
    await house.handle(one)
    others = [await house.add_delivery(event="create") for _ in range(3)]
    found = await program.follow("/deliveries?limit=2")
    assert [of["id"] for of in found] == [*(of.guid for of in reversed(others)), one.guid]
    assert len(await program.follow("/deliveries?event=create")) == 3
    assert [of["id"] for of in await program.follow("/deliveries?state=handled")] == [one.guid]
    shown = await program.get(f"/deliveries/{one.guid}")
    assert shown["trail"]
    assert "a" * 64 not in json.dumps(shown)
    assert await program.get(f"/deliveries/{one.guid}/payload") == {"token": "[secret]"}


async def test_the_queue_says_why_each_build_waits(house: House, program: Program) -> None:
    waiting = await house.add_build(factories.make_build())
    done = await house.add_build(factories.make_build(head_sha="d" * 40))
    await house.save_build(done.build.id, state=build.State.PASSED)
    (found,) = await program.follow("/queue")
    assert (found["id"], found["cause"]) == (waiting.build.id, "queued")
    assert "no service runs on this database" in found["why"]


async def test_the_engines_come_with_what_their_sandboxes_held(house: House, program: Program) -> None:
    await house.store.write(self_tests.save, factories.make_self_test(held=30, escaped=("a file of this host",)))
    told = {"host": "worker-1", "kernel": "6.12.0", "tried": 31, "held": 30, "escaped": ["a file of this host"]}
    test = told | {"tried_at": factories.NOW.isoformat().replace("+00:00", "Z"), "untried": []}
    local = {"name": "local", "is_default": True, "labels": [], "self_tests": [test]}
    assert await program.get("/engines") == {"items": [local], "max_jobs": 2, "trouble": None}


async def test_repositories_come_with_the_newest_build_of_their_default_branch(house: House, program: Program) -> None:
    payload = {"repository": {"default_branch": "trunk"}}
    wanted = await house.add_build(factories.make_build(ref="refs/heads/trunk", payload=payload))
    await house.add_build(factories.make_build(ref="refs/heads/topic", payload=payload, head_sha="b" * 40))
    await house.add_build(factories.make_build(repository_id=9, repository="octo/other", head_sha="c" * 40))
    found = await program.follow("/repositories?limit=1")
    assert [(one["name"], one["default_branch"]) for one in found] == [("octo/other", None), ("octo/hello", "trunk")]
    assert [one["newest"] and one["newest"]["id"] for one in found] == [None, wanted.build.id]


async def test_the_same_question_has_the_same_answer_as_on_the_command_line(house: House, program: Program) -> None:
    made = await house.add_build(factories.make_build())
    told = await program.get("/explain", params={"q": made.build.head_sha})
    assert told["cause"] == "queued"
    assert [one["id"] for one in told["builds"]] == [made.build.id]
    assert "title" not in told["builds"][0]
    assert told["builds"][0]["untrusted"]["title"] == made.build.title
    problem = await program.get("/explain", params={"q": "what is this"}, status=400)
    assert "owner/repo#7" in problem["detail"]


async def test_hostile_text_is_only_text_and_every_answer_is_still_as_described(house: House, program: Program) -> None:
    for path in await fill_with(house, HOSTILE):
        if path.startswith(("/builds/", "/jobs/", "/deliveries/", "/explain")) and not path.endswith("/tests"):
            await program.get(path)
    for path in ("/builds", "/deliveries", "/queue", "/repositories"):
        assert await program.follow(path), path


# Logs.


async def _log(house: House, program: Program, **more: Any) -> tuple[bytes, str | None, str | None]:
    one = more.pop("one")
    answer = await program.ask("GET", f"/jobs/{one.id}/log", **more)
    assert answer.headers["Content-Type"] == "text/plain; charset=utf-8"
    return (
        await answer.read(),
        answer.headers["Buildhook-Log-Bytes"],
        answer.headers.get("Buildhook-Log-Lines"),
    )


async def test_a_log_is_read_whole_by_lines_or_by_bytes(house: House, program: Program) -> None:
    one = await house.add_job(log=b"one\ntwo\nthree\nfour")
    assert await _log(house, program, one=one) == (b"one\ntwo\nthree\nfour", "18", None)
    for query, wanted in (
        ({"from_line": "2", "lines": "2"}, b"two\nthree\n"),
        ({"from_line": "3"}, b"three\nfour"),
        ({"lines": "1"}, b"one\n"),
        ({"from_line": "4", "lines": "100000"}, b"four"),
        ({"from_line": "5"}, b""),
        ({"from_line": str(2**53)}, b""),
    ):
        assert await _log(house, program, one=one, params=query) == (wanted, "18", "4"), query
    for given, wanted, where in (
        ("bytes=4-6", b"two", "bytes 4-6/18"),
        ("bytes=14-", b"four", "bytes 14-17/18"),
        ("bytes=-4", b"four", "bytes 14-17/18"),
        ("bytes=14-999", b"four", "bytes 14-17/18"),
    ):
        answer = await program.ask("GET", f"/jobs/{one.id}/log", status=206, headers={"Range": given})
        assert (await answer.read(), answer.headers["Content-Range"]) == (wanted, where)


async def test_a_range_that_is_not_there_is_416_and_one_that_is_none_is_ignored(house: House, program: Program) -> None:
    one = await house.add_job(log=b"one\n")
    answer = await program.ask("GET", f"/jobs/{one.id}/log", status=416, headers={"Range": "bytes=4-"})
    assert answer.headers["Content-Range"] == "bytes */4"
    for given in ("lines=1-2", "bytes=1-2,3-4", "bytes=x", "bytes=2-1"):
        assert (await _log(house, program, one=one, headers={"Range": given}))[0] == b"one\n"
    with_tag = {"Range": "bytes=0-0", "If-Range": '"x"'}
    assert (await _log(house, program, one=one, headers=with_tag))[0] == b"one\n"
    both = await program.get(
        f"/jobs/{one.id}/log", status=400, params={"from_line": "1"}, headers={"Range": "bytes=0-0"}
    )
    assert "not for both" in both["detail"]


async def test_an_empty_log_has_no_lines_and_a_lost_one_is_told(house: House, program: Program) -> None:
    one = await house.add_job()
    assert await _log(house, program, one=one, params={"from_line": "1"}) == (b"", "0", "0")
    lost = await house.add_job(
        of=factories.make_build(head_sha="b" * 40), state=job.State.PASSED, log_size_bytes=9, finished_at=factories.NOW
    )
    assert "is not here" in (await program.get(f"/jobs/{lost.id}/log", status=410))["detail"]


# Changes.


async def test_a_change_is_asked_for_with_json_and_written_down_as_the_apis(house: House, program: Program) -> None:
    made = await house.add_build()
    guid = (await house.add_delivery()).guid
    assert await program.post(f"/builds/{made.build.id}/cancel", status=202) == {
        "id": made.build.id,
        "cancel": "requested",
    }
    again = await program.post(f"/builds/{made.build.id}/retry", {"only_failed": True}, status=201)
    assert again["id"] != made.build.id
    await program.post(f"/builds/{made.build.id}/retry", status=201)
    assert await program.post(f"/deliveries/{guid}/replay", status=202) == {"id": guid, "state": "received"}
    wish = {"ref": "main", "inputs": {"level": "debug"}}
    started = await program.post("/repositories/octo/hello/builds", wish, status=202)
    assert (started["state"], started["build"]) == ("received", None)
    assert [verb for verb, _ in house.asked] == ["cancel", "retry-failed", "retry", "replay", "start"]
    assert house.asked[-1][1] == "octo/hello main {'level': 'debug'}"
    assert {str(one.via) for one in house.actors} == {"api"}


async def test_what_is_refused_is_a_problem(house: House, program: Program) -> None:
    made = await house.add_build()
    house.refusal = errors.Conflict(f"Build {made.build.id} has ended.")
    problem = await program.post(f"/builds/{made.build.id}/cancel", status=409)
    assert problem == {"type": "about:blank", "title": "Conflict", "status": 409, "detail": house.refusal.args[0]}


async def test_t97_only_json_changes_anything(house: House, program: Program) -> None:
    made = await house.add_build()
    for given in (None, "application/x-www-form-urlencoded", "text/plain", "multipart/form-data"):
        headers = {} if given is None else {"Content-Type": given}
        await program.ask("POST", f"/builds/{made.build.id}/cancel", status=415, data=b"{}", headers=headers)
    assert house.asked == []


FOREIGN = (
    ({"Origin": "https://example.com"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "none"}, 403),
    ({"Host": "example.com"}, 404),
    ({"X-Forwarded-For": "127.0.0.1"}, 404),
)


async def test_t97_no_page_of_another_site_changes_anything(house: House, program: Program) -> None:
    made = await house.add_build()
    for headers, status in FOREIGN:
        await program.ask("POST", f"/builds/{made.build.id}/cancel", status=status, headers=headers)
    assert house.asked == []


async def test_a_body_that_cannot_be_used_changes_nothing(house: House, program: Program) -> None:
    made = await house.add_build()
    headers = {"Content-Type": "application/json"}
    for body in (b"", b"[]", b"null", b"{", b'{"only_failed": 1}', b'{"more": 1}', b'"\xff"', b"[" * 5000):
        await program.ask("POST", f"/builds/{made.build.id}/retry", status=400, data=body, headers=headers)
    assert house.asked == []


async def test_a_body_that_is_too_large_is_not_read(house: House, program: Program) -> None:
    body = {"inputs": {"a": "x" * 100_000}}
    await program.post("/repositories/octo/hello/builds", body, status=413)
    assert house.asked == []


# Answers.


MISTAKES = (
    ("", 404),
    ("/nothing", 404),
    (f"/builds/{'0' * 26}", 404),
    ("/builds/x", 404),
    ("/builds?state=x", 400),
    ("/builds?state=null", 400),
    ("/builds?limit=0", 400),
    ("/builds?limit=1000", 400),
    ("/builds?limit=1&limit=2", 400),
    ("/builds?sate=failed", 400),
    ("/builds?ref=a%00b", 400),
    ("/builds?pull=99999999999", 400),
    ("/builds?sha=abcdef0", 400),
    ("/builds?cursor=AAAA", 400),
    ("/builds?cursor=%22", 400),
    ("/deliveries?event=%00", 400),
    ("/explain", 400),
)


async def test_a_mistake_is_a_problem_with_what_to_do(program: Program) -> None:
    for (path, status), accept in itertools.product(MISTAKES, ("application/json", "text/html")):
        answer = await program.ask("GET", path, status=status, headers={"Accept": accept})
        assert answer.content_type == "application/problem+json"
        problem = await answer.json(content_type=None)
        assert problem["status"] == status
        assert problem["detail"].endswith(".")


async def test_another_method_is_405_and_says_which_there_are(program: Program) -> None:
    answer = await program.ask("DELETE", "/builds", status=405, headers={"Origin": _own(program)})
    assert sorted(answer.headers["Allow"].split(",")) == ["GET", "HEAD"]


def _own(program: Program) -> str:
    return f"http://{program.client.host}:{program.client.port}"


async def test_t103_a_cursor_is_good_for_its_own_list_alone(house: House, program: Program) -> None:
    for number in range(3):
        await house.add_build(factories.make_build(head_sha=f"{number:040x}"))
        await house.add_delivery()
    cursors = {}
    for path in ("/builds?limit=1", "/builds?limit=1&state=queued", "/deliveries?limit=1", "/queue?limit=1"):
        cursors[path] = (await program.get(path))["next"].partition("cursor=")[2]
    for (path, _), (other, cursor) in itertools.permutations(cursors.items(), 2):
        problem = await program.get(f"{path}&cursor={cursor}", status=400)
        assert "no cursor of this list" in problem["detail"], (path, other)
    spoilt = cursors["/builds?limit=1"][:-1] + ("A" if cursors["/builds?limit=1"][-1] != "A" else "B")
    await program.get(f"/builds?limit=1&cursor={spoilt}", status=400)


async def test_what_is_known_already_is_not_sent_again(house: House, program: Program) -> None:
    made = await house.add_build()
    path = f"/builds/{made.build.id}"
    first = await program.ask("GET", path)
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert first.headers["Vary"] == "Authorization, Cookie"
    tag = first.headers["ETag"]
    for given in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = await program.ask("GET", path, status=304, headers={"If-None-Match": given})
        assert (again.headers["ETag"], again.headers["Cache-Control"]) == (tag, "private, no-cache")
    await program.ask("GET", path, headers={"If-None-Match": '"other"'})
    await house.save_build(made.build.id, state=build.State.PASSED)
    changed = await program.ask("GET", path, headers={"If-None-Match": tag})
    assert changed.headers["ETag"] != tag


async def test_head_is_get_without_the_body(house: House, program: Program) -> None:
    made = await house.add_build()
    one = made.jobs[0]
    await house.append(one, b"hello\n")
    for path in ("/builds", f"/builds/{made.build.id}", f"/jobs/{one.id}/log"):
        whole, head = await program.ask("GET", path), await program.ask("HEAD", path)
        assert await head.read() == b""
        assert head.headers["Content-Length"] == whole.headers["Content-Length"]


async def test_a_crash_is_a_problem_without_its_trace(
    house: House, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of ours")

    monkeypatch.setattr(builds, "list_newest", broken)
    answer = await program.ask("GET", "/builds", status=500)
    assert "secret" not in await answer.text()
    assert (await answer.json(content_type=None))["detail"].startswith("Something went wrong here.")


async def test_where_the_database_is_away_the_problem_says_so(
    house: House, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(*_: object, **__: object) -> None:
        raise errors.StoreUnavailable("The database cannot be reached.")

    monkeypatch.setattr(builds, "list_newest", away)
    assert (await program.get("/builds", status=503))["detail"] == "The database cannot be reached."


# The description.


async def test_the_description_is_valid_and_names_every_route(house: House, program: Program) -> None:
    given = await (await program.client.get(f"{rules.API}/openapi.json")).json()
    assert given == document(OPERATIONS, takes_tokens=False)
    described = {
        (method.upper(), rules.API + path) for path, methods in DOCUMENT["paths"].items() for method in methods
    }
    routes = {
        (route.method, route.resource.canonical)
        for route in house.app.router.routes()
        if route.resource is not None and rules.is_api(route.resource.canonical) and route.method != "HEAD"
    }
    assert routes == described | {("GET", f"{rules.API}/openapi.json")}
    names = [one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()]
    assert len(set(names)) == len(names)


def test_shapes_are_what_the_command_line_prints() -> None:
    """Which fields there are and in which order is a promise: one that goes or moves fails here."""
    assert built.Build.__struct_fields__[:4] == ("id", "repository", "repository_id", "event")
    assert built.WholeBuild.__struct_fields__[-2:] == ("jobs", "checks")
    assert delivered.WholeDelivery.__struct_fields__[-5:] == ("headers", "trail", "builds", "handlers", "payload")
    assert explained.Explanation.__struct_fields__[-1] == "untrusted"
