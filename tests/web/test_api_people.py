"""T89, T91, T102, T103: a program sees and does at the API what its owner may, and no more than its token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from bot.model import person
from bot.store import self_tests
from bot.web import rules, viewing
from tests import factories
from tests.web import gate as gates
from tests.web.gate import OPERATOR, URL, Gate
from tests.web.program import DOCUMENT, Program

READ, WRITE = person.Scope.READ, person.Scope.WRITE


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def _program(gate: Gate, login: str, *scopes: person.Scope) -> Program:
    if login not in gate.cookies:
        await gate.sign_in(login)
    return Program(client=gate.client, token=await gate.token(login, *(scopes or (READ,))))


async def _filled(gate: Gate) -> None:
    """A waiting build and a delivery of each repository, the private one of somebody else included."""
    for repository, name in ((gate.hello, "octo/hello"), (gate.secret, "other/secret")):
        for number in range(3):
            made = factories.make_build(
                repository_id=repository.id, repository=name, head_sha=f"{number:040x}", ref="refs/heads/main"
            )
            await gate.house.add_build(made)
            await gate.house.add_delivery(repository_id=repository.id, repository=name)


async def test_a_program_is_who_made_its_token(gate: Gate) -> None:
    program = await _program(gate, "writer")
    writer = gate.github.user("writer")
    told = {"id": writer.id, "login": "writer", "is_operator": False, "may_write": False}
    assert await program.get("/me") == told
    program = await _program(gate, "writer", READ, WRITE)
    assert await program.get("/me") == told | {"may_write": True}
    assert (await (await _program(gate, OPERATOR)).get("/me"))["is_operator"]


async def test_t91_lists_know_nothing_of_what_their_reader_may_not_see(gate: Gate) -> None:
    await _filled(gate)
    seen = {}
    for login in ("outsider", "reader", "writer", OPERATOR):
        program = await _program(gate, login)
        found = {path: await program.follow(f"{path}?limit=2") for path in ("/builds", "/queue", "/deliveries")}
        repositories = await program.follow("/repositories?limit=1")
        seen[login] = [
            *({one["repository"] for one in items} for items in found.values()),
            {one["name"] for one in repositories},
        ]
    ours, all_ = {"octo/hello"}, {"octo/hello", "other/secret"}
    assert seen == {
        "outsider": [set(), set(), set(), set()],
        "reader": [ours, ours, set(), ours],
        "writer": [ours, ours, ours, ours],
        OPERATOR: [all_, all_, all_, all_],
    }


async def test_t91_what_a_sandbox_did_not_hold_is_for_operators_alone(gate: Gate) -> None:
    await gate.house.store.write(self_tests.save, factories.make_self_test(escaped=("a file of this host",)))
    for login, seen in (("writer", None), (OPERATOR, ["a file of this host"])):
        (local,) = (await (await _program(gate, login)).get("/engines"))["items"]
        assert (local["self_tests"] and local["self_tests"][0]["escaped"]) == seen
        page = await gate.ask("GET", "/engines", login=login)
        assert ("a file of this host" in await page.text()) is (login == OPERATOR)


async def test_t91_t102_a_name_a_commit_or_a_cursor_of_another_tenant_tells_nothing(gate: Gate) -> None:
    await _filled(gate)
    reader, operator = await _program(gate, "reader"), await _program(gate, OPERATOR)
    assert await reader.get("/builds?repository=other/secret") == {"items": [], "next": None}
    assert await reader.get("/builds?repository=other/nothing") == {"items": [], "next": None}
    told = await reader.get("/explain?q=" + f"{1:040x}")
    assert {one["untrusted"]["repository"] for one in told["builds"]} == {"octo/hello"}
    following = (await operator.get("/builds?limit=1"))["next"].removeprefix(rules.API)
    assert {one["repository"] for one in (await reader.get(following))["items"]} <= {"octo/hello"}


async def test_t103_a_token_for_reading_changes_nothing(gate: Gate) -> None:
    await gate.house.add_build(factories.make_build(repository_id=gate.hello.id, repository="octo/hello"))
    program = await _program(gate, "writer", READ)
    (made,) = (await program.get("/builds"))["items"]
    problem = await program.post(f"/builds/{made['id']}/cancel", status=403)
    assert "make one with the scope `write`" in problem["detail"]
    assert gate.house.asked == []
    program = await _program(gate, "writer", READ, WRITE)
    await program.post(f"/builds/{made['id']}/cancel", status=202)
    (by,) = gate.house.actors
    assert (by.via, by.id, by.name) == ("api", gate.github.user("writer").id, "writer")


async def test_t103_a_token_that_ended_or_was_deleted_is_none(gate: Gate) -> None:
    program = await _program(gate, "reader")
    await program.get("/me")
    gate.house.now += timedelta(days=1, seconds=1)
    for token in (program.token, "bhk_" + "A" * 43, "ghp_" + "A" * 36, ""):
        answer = await Program(client=gate.client, token=token).ask(
            "GET", "/me", status=401, headers={"Accept": "text/html"}
        )
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="buildhook"'


async def test_t97_a_cookie_may_read_and_is_not_looked_at_for_a_change(gate: Gate) -> None:
    await gate.sign_in("writer")
    made = await gate.house.add_build(factories.make_build(repository_id=gate.hello.id, repository="octo/hello"))
    cookie = {"Cookie": f"{viewing.COOKIE}={gate.cookies['writer']}"}
    own = {"Origin": URL, "Sec-Fetch-Site": "same-origin", **cookie}
    stranger = Program(client=gate.client)
    assert (await stranger.get("/me", headers=cookie))["login"] == "writer"
    await stranger.get("/me", status=403, headers={**cookie, "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"})
    for headers in (cookie, own, {**own, "Authorization": "Bearer bhk_x"}):
        await stranger.ask("POST", f"/builds/{made.build.id}/cancel", status=401, headers=headers)
    assert gate.house.asked == []


async def test_strangers_may_read_the_description_and_nothing_else(gate: Gate) -> None:
    stranger = Program(client=gate.client)
    assert await (await gate.client.get(f"{rules.API}/openapi.json")).json() == DOCUMENT
    for path in ("/me", "/builds", "/deliveries", "/queue", "/repositories", "/explain?q=octo/hello%231"):
        await stranger.get(path, status=401)
    await stranger.get("/nothing", status=404)
    assert (await stranger.ask("DELETE", "/builds", status=405)).headers["Allow"]


async def test_what_a_person_lost_the_right_to_is_gone_for_their_program_too(gate: Gate) -> None:
    made = await gate.house.add_build(factories.make_build(repository_id=gate.hello.id, repository="octo/hello"))
    program = await _program(gate, "reader")
    await program.get(f"/builds/{made.build.id}")
    gate.github.set_permission(gate.hello, "reader", "none")
    gate.pass_seconds(60)
    await program.get(f"/builds/{made.build.id}", status=404)
    assert await program.follow("/builds") == []
