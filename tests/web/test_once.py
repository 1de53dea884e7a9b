"""A change with a key is made once, whoever asks again, and answered as the first time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import errors
from bot.model import audit, person
from bot.store import requests
from bot.web import rules
from tests import factories
from tests.web import gate as gates
from tests.web.conftest import Client
from tests.web.gate import Gate
from tests.web.house import House
from tests.web.program import Program

START = "/repositories/octo/hello/builds"
KEY = '"8e03978e-40d5-43dd-bc93-6894a57f9324"'


@pytest.fixture
def program(client: Client) -> Program:
    return Program(client=client)


async def ask(
    program: Program, key: str = KEY, *, path: str = START, body: Any = None, status: int = 202
) -> tuple[bytes, str]:
    """A change with a key; gives the answer, and when to ask again."""
    answer = await program.ask(
        "POST", path, status=status, json={"ref": "main"} if body is None else body, headers={"Idempotency-Key": key}
    )
    return await answer.read(), answer.headers.get("Retry-After", "")


async def test_what_is_asked_for_twice_is_done_once_and_answered_as_the_first_time(
    house: House, program: Program
) -> None:
    first = await ask(program)
    assert await ask(program) == first
    # Written otherwise, and the same.
    assert await ask(program, KEY.strip('"'), body={"inputs": {}, "ref": "main"}) == first
    assert len(house.asked) == 1
    assert await ask(program, '"another"') != first
    house.now += requests.KEPT
    assert await ask(program) != first
    assert len(house.asked) == 3


async def test_a_build_that_runs_again_comes_back_as_it_was(house: House, program: Program) -> None:
    made = await house.add_build()
    path = f"/builds/{made.build.id}/retry"
    first = await ask(program, path=path, body={"only_failed": True}, status=201)
    assert await ask(program, path=path, body={"only_failed": True}, status=201) == first
    assert [verb for verb, _ in house.asked] == ["retry-failed"]


async def test_another_request_with_the_same_key_is_refused(house: House, program: Program) -> None:
    await ask(program)
    await ask(program, body={"ref": "next"}, status=422)
    await ask(program, path="/repositories/octo/other/builds", status=422)
    assert len(house.asked) == 1


async def test_while_the_first_is_under_way_the_second_is_told_to_come_again(house: House, program: Program) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    act = house._act

    async def slowly(verb: str, id_: str, by: audit.Actor) -> str:
        began.set()
        await may_end.wait()
        return await act(verb, id_, by)

    house._act = slowly  # type: ignore[method-assign]
    first = asyncio.create_task(ask(program))
    await began.wait()
    problem, again = await ask(program, status=409)
    assert (b"under way" in problem, again) == (True, "1")
    may_end.set()
    assert await ask(program) == await first
    assert len(house.asked) == 1


async def test_what_was_refused_did_nothing_and_may_be_asked_for_again(house: House, program: Program) -> None:
    house.refusal = errors.Conflict("The repository is suspended.")
    await ask(program, status=409)
    house.refusal = None
    await ask(program)
    assert len(house.asked) == 2


async def test_a_mistake_takes_no_key(house: House, program: Program) -> None:
    await ask(program, body={"rev": "main"}, status=400)
    await ask(program)
    assert len(house.asked) == 1


@pytest.mark.parametrize(
    "key", ["", '""', '"a', 'a"', "a b", '"\\a"', "x" * 256, '"' + "x" * 256 + '"', '"ü"', "a,b", '"a", "b"']
)
async def test_what_is_no_key_changes_nothing(house: House, program: Program, key: str) -> None:
    problem, _ = await ask(program, key, status=400)
    assert b"Idempotency-Key" in problem
    assert house.asked == []


async def test_two_keys_change_nothing(house: House, client: Client) -> None:
    headers = [("Idempotency-Key", '"a"'), ("Idempotency-Key", '"b"')]
    answer = await client.post(rules.API + START, json={"ref": "main"}, headers=headers)
    assert (answer.status, house.asked) == (400, [])


@pytest.mark.parametrize("key", ["\"' OR '1'='1\"", '"%"', '"\\\\ \\""', '"' + "[" * 255 + '"'])
async def test_hostile_keys_are_only_keys(house: House, program: Program, key: str) -> None:
    await ask(program)
    first = await ask(program, key)
    assert await ask(program, key) == first
    assert len(house.asked) == 2


async def test_nobody_has_more_keys_than_are_kept(
    house: House, program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "MOST_OF_ONE", 2)
    for number in range(2):
        await ask(program, f'"{number}"')
    await ask(program, '"2"', status=429)
    await ask(program, '"1"')
    # None is needed.
    await program.ask("POST", START, status=202, json={"ref": "main"})
    house.now += timedelta(hours=25)
    await ask(program, '"2"')
    assert len(house.asked) == 4


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with gates.gate(tmp_path) as opened:
        yield opened


async def test_t91_a_key_is_its_callers_and_shows_nobody_elses_answer(gate: Gate) -> None:
    await gate.house.add_build(factories.make_build(repository_id=gate.hello.id))
    programs = {}
    for login in ("writer", "admin", "reader", "outsider"):
        await gate.sign_in(login)
        token = await gate.token(login, person.Scope.READ, person.Scope.WRITE)
        programs[login] = Program(client=gate.client, token=token)
    first = await ask(programs["writer"])
    assert await ask(programs["admin"]) != first
    # The right is looked at each time, before the key is.
    await ask(programs["reader"], status=403)
    await ask(programs["outsider"], status=404)
    assert await ask(programs["writer"]) == first
    assert [verb for verb, _ in gate.house.asked] == ["start", "start"]
