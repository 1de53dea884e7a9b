"""T89, T70, T97, T102: each route meets each kind of person; what may not be seen is like what is not there."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientError

from bot.model import artifact, build, job, person
from bot.model.person import Permission
from bot.store import artifacts, replicas, results
from bot.web import rules
from bot.web.rules import About, Rule
from tests import factories
from tests.web import gate as gates
from tests.web.gate import OPERATOR, PEOPLE, Gate

RIGHTS = {"none": 0, "read": 1, "triage": 1, "write": 2, "admin": 3}
#: Everybody who may come: nobody, people, and programs in their place.
ROLES = ("stranger", *PEOPLE, OPERATOR, "writer's reading token", "writer's token", "reader's token", "a made up token")
#: The test that each job of these ran.
CASE = results.digest(factories.make_case()).hex()
#: A stranger may ask these, and they are somebody else's tests.
OPEN = [(method, path) for method, of in rules.RULES.items() for path, one in of.items() if one.about is About.NOTHING]
GUARDED = [
    (method, path) for method, of in rules.RULES.items() for path, one in of.items() if one.about is not About.NOTHING
]


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def _everything(gate: Gate, repository_id: int, name: str) -> dict[About, str]:
    """One of each thing in a repository; gives the id of each."""
    given = await gate.house.add_delivery(repository_id=repository_id, repository=name)
    made = factories.make_build(
        repository_id=repository_id,
        repository=name,
        delivery_id=given.guid,
        head_sha=factories.new_id().lower()[:8] * 5,
    )
    one = await gate.house.add_job(log=b"hello\n", of=made, state=job.State.PASSED, finished_at=factories.NOW)
    kept = artifact.Artifact(
        id=factories.new_id(),
        job_id=one.id,
        name="a.txt",
        size_bytes=1,
        sha256="0" * 64,
        files=1,
        created_at=factories.NOW,
    )
    await gate.house.store.write(artifacts.replace_of_job, one.id, [kept])
    await gate.house.store.write(results.insert_cases, one, [factories.make_case()], repository_id=repository_id)

    async def copy(path: Path) -> None:
        path.write_bytes(b"x")

    await gate.house.artifacts.put(kept.id, copy)
    return {
        About.BUILD: made.id,
        About.JOB: one.id,
        About.ARTIFACT: kept.id,
        About.DELIVERY: given.guid,
        About.REPOSITORY: name,
    }


def _path(route: str, of: dict[About, str], rule: Rule) -> str:
    owner, _, repo = of[About.REPOSITORY].partition("/")
    found = of.get(rule.about) or factories.new_id()
    return route.replace("{owner}", owner).replace("{repo}", repo).replace("{id}", found).replace("{digest}", CASE)


def _expected(rule: Rule, method: str, route: str, role: str) -> set[int]:
    """What somebody is answered about a thing in octo/hello."""
    is_token, login, is_api = "token" in role, role.partition("'")[0], rules.is_api(route)
    if role in ("stranger", "a made up token"):
        return {401 if method == "POST" or is_api else 303}
    if is_api and method == "POST" and not is_token:
        # Where no form of ours can be checked no cookie is looked at.
        return {401}
    if role == OPERATOR:
        may_see = may_do = True
    else:
        has = RIGHTS[PEOPLE[login]]
        may_see = rule.about is About.SELF or (rule.about is not About.SERVICE and has >= rules.seeing(rule))
        may_do = rule.about is About.SELF or (rule.about is not About.SERVICE and has >= rule.need)
    if "reading" in role or role == "reader's token":
        may_do = may_do and (rule.need <= Permission.READ)
        may_see = may_see and (rules.seeing(rule) <= Permission.READ)
    if not may_see:
        return {404}
    if not may_do or (method == "POST" and ("reading" in role or role == "reader's token")):
        return {403}
    if rule.is_grave and is_token:
        return {403}
    return {200, 201, 202, 303, 400, 409, 410}


async def _known(gate: Gate) -> dict[str, dict[str, Any]]:
    """How each role asks."""
    for login in (*PEOPLE, OPERATOR):
        await gate.sign_in(login)
    read, write = person.Scope.READ, person.Scope.WRITE
    return {
        "stranger": {},
        **{login: {"login": login} for login in (*PEOPLE, OPERATOR)},
        "writer's reading token": {"token": await gate.token("writer", read)},
        "writer's token": {"token": await gate.token("writer", read, write)},
        "reader's token": {"token": await gate.token("reader", read)},
        "a made up token": {"token": "bhk_" + "A" * 43},
    }


def test_every_route_is_named_and_every_name_is_a_route(gate: Gate) -> None:
    found = {
        (route.method, route.resource.canonical)
        for route in gate.house.app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    assert found == set(OPEN) | set(GUARDED)


async def test_t89_t70_each_route_meets_each_kind_of_person(gate: Gate) -> None:
    known = await _known(gate)
    wrong: list[tuple[object, ...]] = []
    for method, route in GUARDED:
        rule = rules.RULES[method][route]
        of = await _everything(gate, gate.hello.id, "octo/hello")
        for role in ROLES:
            if route in ("/logout",):
                continue
            before = len(gate.house.asked)
            answer = await gate.ask(method, _path(route, of, rule), headers=gates.HTML, **known[role])
            await answer.read()
            expected = _expected(rule, method, route, role)
            if answer.status not in expected:
                wrong.append((method, route, role, answer.status, expected))
            has_acted = len(gate.house.asked) > before
            if has_acted != (method == "POST" and "/account" not in route and expected > {200}):
                wrong.append((method, route, role, "acted" if has_acted else "did nothing"))
            if role == "stranger" and method == "GET" and not rules.is_api(route):
                assert answer.headers["Location"].startswith("/login?next=/")
    assert wrong == []


async def test_t91_t102_what_is_somebody_elses_is_like_what_is_not_there(gate: Gate) -> None:
    await gate.sign_in("admin")
    token = await gate.token("admin", person.Scope.READ, person.Scope.WRITE)
    theirs = await _everything(gate, gate.secret.id, "other/secret")
    nobodys = {
        **{about: factories.new_id() for about in (About.BUILD, About.JOB, About.ARTIFACT)},
        About.DELIVERY: factories.new_guid(),
        About.REPOSITORY: "other/nothing",
    }
    for method, route in GUARDED:
        rule = rules.RULES[method][route]
        if rule.about in (About.SELF, About.SERVICE):
            continue
        by = {"token": token} if rules.is_api(route) else {"login": "admin"}
        answers = []
        for of in (theirs, nobodys):
            answer = await gate.ask(method, _path(route, of, rule), **by)
            told = {name: value for name, value in answer.headers.items() if name not in ("Date", "Content-Length")}
            answers.append((answer.status, told, await answer.text()))
        assert answers[0] == answers[1], (method, route)
        assert answers[0][0] == 404
    assert gate.house.asked == []


async def test_t91_lists_and_questions_know_nothing_of_what_somebody_may_not_see(gate: Gate) -> None:
    for login in ("outsider", "reader", "writer", OPERATOR):
        await gate.sign_in(login)
    ours = await _everything(gate, gate.hello.id, "octo/hello")
    theirs = await _everything(gate, gate.secret.id, "other/secret")
    seen = {}
    for login in ("outsider", "reader", "writer", OPERATOR):
        pages = [await (await gate.ask("GET", path, login=login)).text() for path in ("/", "/deliveries")]
        seen[login] = [(of[About.BUILD] in pages[0], of[About.DELIVERY] in pages[1]) for of in (ours, theirs)]
    assert seen == {
        "outsider": [(False, False), (False, False)],
        "reader": [(True, False), (False, False)],
        "writer": [(True, True), (False, False)],
        OPERATOR: [(True, True), (True, True)],
    }
    for asked in (theirs[About.DELIVERY], "other/secret#1"):
        page = await (await gate.ask("GET", "/explain", login="writer", params={"q": asked})).text()
        same = await (await gate.ask("GET", "/explain", login="writer", params={"q": asked[:-1] + "9"})).text()
        assert page.replace(asked, "") == same.replace(asked[:-1] + "9", "")
        assert theirs[About.BUILD] not in page


def _jobs(engine: str, count: int) -> list[job.Job]:
    plans = [factories.make_plan(key=f"job {number}", name=f"job {number}") for number in range(count)]
    return [factories.make_job(plan=plan, engine=engine) for plan in plans]


async def test_t91_what_others_have_changes_nothing_that_somebody_is_shown(gate: Gate) -> None:
    """Two tenants: whatever becomes of the one, each page of the other stays the same to the byte."""
    for login in ("reader", OPERATOR):
        await gate.sign_in(login)
    house, hello, secret = gate.house, gate.hello.id, gate.secret.id
    await house.store.write(replicas.start, replica_id="r", name="worker-1", now=house.now, is_only=True)
    for state in ("queued", "running", "failed"):
        made = factories.make_build(repository_id=hello, repository="octo/hello", head_sha=state.encode().hex()[:8] * 5)
        await house.add_build(made, *_jobs("local", 2))
        await house.save_build(made.id, state=build.State(state))
    pages = ["/", "/queue", "/engines", "/deliveries", "/?state=running", f"/explain?q={factories.HEAD_SHA}"]
    pages += ["/api/v1/queue", "/api/v1/builds", "/api/v1/repositories"]

    async def look(login: str) -> list[str]:
        return [await (await gate.ask("GET", path, login=login)).text() for path in pages]

    before, all_before = await look("reader"), await look(OPERATOR)
    for number, state in enumerate(("queued", "waiting", "running", "failed", "errored")):
        made = factories.make_build(
            repository_id=secret, repository="other/secret", head_sha=f"{number:040x}", started_at=factories.NOW
        )
        jobs = _jobs("theirs", 3)
        await house.add_build(made, *jobs)
        for one, its in zip(jobs, ("running", "queued", "errored"), strict=True):
            await house.save_job(one, state=job.State(its), started_at=factories.NOW, finished_at=factories.NOW)
        await house.save_build(made.id, state=build.State(state))
        await house.add_delivery(repository_id=secret, repository="other/secret")
    assert await look("reader") == before
    changed = [path for path, now, then in zip(pages, await look(OPERATOR), all_before, strict=True) if now != then]
    assert changed == pages


async def test_a_public_repository_may_be_seen_by_whoever_signed_in_and_changed_by_those_who_may(gate: Gate) -> None:
    await gate.sign_in("reader")
    of = await _everything(gate, gate.open.id, "other/open")
    for path in (f"/builds/{of[About.BUILD]}", f"/jobs/{of[About.JOB]}", "/repos/other/open"):
        answer = await gate.ask("GET", path, login="reader")
        assert answer.status == 200
        assert '<form method="post"' not in await answer.text()
    assert (await gate.ask("POST", f"/builds/{of[About.BUILD]}/cancel", login="reader")).status == 403
    assert (await gate.ask("GET", f"/deliveries/{of[About.DELIVERY]}", login="reader")).status == 404
    assert (await gate.client.get(f"/builds/{of[About.BUILD]}", allow_redirects=False)).status == 401


async def test_t97_a_change_needs_our_origin_and_our_form(gate: Gate) -> None:
    await gate.sign_in("writer")
    await gate.sign_in("admin")
    of = await _everything(gate, gate.hello.id, "octo/hello")
    path = f"/builds/{of[About.BUILD]}/retry"
    refused: list[dict[str, Any]] = [
        {"headers": {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}},
        {"headers": {"Origin": "https://builds.example.com.evil.example", "Sec-Fetch-Site": "cross-site"}},
        {"headers": {"Origin": "http://builds.example.com"}},
        {"headers": {"Origin": "null", "Sec-Fetch-Site": "same-site"}},
        {"data": {"form": ""}},
        {"data": {"form": gates.form_token(gate.cookies["admin"])}},
        {"data": {"form": "A" * 44}},
    ]
    for more in refused:
        assert (await gate.ask("POST", path, login="writer", **more)).status == 403, more
    assert gate.house.asked == []
    assert (await gate.ask("POST", path, login="writer")).status == 303
    assert gate.house.asked == [("retry", of[About.BUILD])]


async def test_who_does_something_is_named_in_the_audit(gate: Gate) -> None:
    await gate.sign_in("writer")
    of = await _everything(gate, gate.hello.id, "octo/hello")
    await gate.ask("POST", f"/builds/{of[About.BUILD]}/cancel", login="writer")
    (by,) = gate.house.actors
    assert (by.via, by.id, by.name) == ("page", gate.github.user("writer").id, "writer")


async def test_t90_what_github_takes_away_is_gone_here_and_a_stream_is_cut(gate: Gate) -> None:
    await gate.sign_in("reader")
    one = await gate.house.add_job(
        log=b"hello\n", of=factories.make_build(repository_id=gate.hello.id, repository="octo/hello")
    )
    stream = await gate.ask("GET", f"/jobs/{one.id}/events", login="reader")
    assert stream.status == 200
    first = await stream.content.readuntil(b"\r\n\r\n")
    assert first
    gate.github.set_permission(gate.hello, "reader", "none")
    # As when GitHub's webhook tells of it.
    gate.entrance.hear([factories.make_verified_delivery(event="member")])
    assert (await gate.ask("GET", f"/jobs/{one.id}", login="reader")).status == 404
    async with asyncio.timeout(10):
        with contextlib.suppress(ClientError):
            while await stream.content.readany():
                pass
    assert len(gate.house.streams) == 0


async def test_t90_without_any_word_of_github_a_right_is_asked_for_again_within_a_minute(gate: Gate) -> None:
    await gate.sign_in("reader")
    of = await _everything(gate, gate.hello.id, "octo/hello")
    path = f"/builds/{of[About.BUILD]}"
    assert (await gate.ask("GET", path, login="reader")).status == 200
    gate.github.set_permission(gate.hello, "reader", "none")
    assert (await gate.ask("GET", path, login="reader")).status == 200
    gate.pass_seconds(60)
    assert (await gate.ask("GET", path, login="reader")).status == 404


async def test_where_github_cannot_be_asked_nobody_sees_anything(gate: Gate) -> None:
    await gate.sign_in("admin")
    of = await _everything(gate, gate.hello.id, "octo/hello")
    gate.github.faults.add(path="/user/installations", status=503, times=None)
    gate.pass_seconds(60)
    answer = await gate.ask("GET", f"/builds/{of[About.BUILD]}", login="admin")
    assert answer.status == 503
    assert of[About.BUILD] not in await answer.text()
    gate.github.faults.clear()
    assert (await gate.ask("GET", f"/builds/{of[About.BUILD]}", login="admin")).status == 200
