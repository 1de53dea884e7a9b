"""Redirects over real HTTP: each code with each verb, where a credential may go, and what is remembered."""

from __future__ import annotations

import pytest

from bot import errors
from bot.github.client import MAX_REDIRECTS, Client
from tests.github.conftest import SECRET, VERBS, Reply, Server, Thing, make_call

FOLLOWED = (301, 302, 307, 308)


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("status", FOLLOWED)
@pytest.mark.parametrize("is_relative", [True, False])
async def test_f97_a_redirect_keeps_verb_and_body(
    client: Client, server: Server, method: str, status: int, is_relative: bool
) -> None:
    location = ("" if is_relative else server.url) + "/repositories/1/thing?page=2"
    server.on(method, "/thing", Reply(status=status, headers={"location": location}))
    server.on(method, "/repositories/1/thing", Reply(data={"id": 1}))
    assert await client.call(make_call(method), Thing) == Thing(1)
    first, second = server.seen
    assert (first.method, second.method) == (method, method)
    assert second.body == first.body
    assert second.query == {"page": "2"}
    assert second.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("status", FOLLOWED)
async def test_t127_a_credential_never_goes_to_another_origin(
    client: Client, server: Server, foreign: Server, method: str, status: int
) -> None:
    server.on(method, "/thing", Reply(status=status, headers={"location": f"{foreign.url}/thing"}))
    with pytest.raises(errors.GitHubUnavailable, match="our credential does not go there") as caught:
        await client.call(make_call(method), Thing)
    assert not isinstance(caught.value, errors.AnswerLost)
    assert foreign.seen == []
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    "location",
    [
        "//evil.example/x",
        "https://127.0.0.1/x",
        "http://localhost/x",
        "mailto:octo@example.com",
        "http://[::1",
        "",
        None,
    ],
)
@pytest.mark.parametrize("method", VERBS)
async def test_t127_a_redirect_that_leads_away_or_nowhere_fails(
    client: Client, server: Server, method: str, location: str | None
) -> None:
    headers = {} if location is None else {"location": location}
    server.on(method, "/thing", Reply(status=302, headers=headers))
    with pytest.raises(errors.GitHubUnavailable, match="redirect"):
        await client.call(make_call(method), Thing)


async def test_t127_a_redirect_with_credentials_in_it_fails(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(status=302, headers={"location": server.url.replace("//", "//octo:x@") + "/b"}))
    with pytest.raises(errors.GitHubUnavailable, match="redirect"):
        await client.call(make_call(), Thing)


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("status", [300, 303, 305, 306])
async def test_f97_other_redirects_fail_loudly(client: Client, server: Server, method: str, status: int) -> None:
    server.on(method, "/thing", Reply(status=status, headers={"location": "/b"}))
    with pytest.raises(errors.GitHubUnavailable):
        await client.call(make_call(method), Thing)
    assert len(server.seen) == 1


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("status", FOLLOWED)
async def test_f97_what_a_redirect_leads_to_is_judged_like_any_answer(
    client: Client, server: Server, method: str, status: int
) -> None:
    server.on(method, "/thing", Reply(status=status, headers={"location": "/moved"}))
    server.on(method, "/moved", Reply(data=[{"id": 1}]))
    with pytest.raises(errors.GitHubUnavailable) as listed:
        await client.call(make_call(method), Thing)
    assert isinstance(listed.value, errors.AnswerLost) == (method != "GET")
    server.on(method, "/moved", Reply(status=404, data={"message": "Not Found"}))
    with pytest.raises(errors.NotReachable):
        await client.call(make_call(method), Thing)
    assert {one.method for one in server.seen} == {method}


@pytest.mark.parametrize("method", VERBS)
@pytest.mark.parametrize("first", FOLLOWED)
@pytest.mark.parametrize("second", FOLLOWED)
async def test_f97_redirects_of_different_kinds_in_a_row_keep_verb_and_body(
    client: Client, server: Server, method: str, first: int, second: int
) -> None:
    server.on(method, "/thing", Reply(status=first, headers={"location": "/passing"}))
    server.on(method, "/passing", Reply(status=second, headers={"location": "/moved"}))
    server.on(method, "/moved", Reply(data={"id": 1}))
    assert await client.call(make_call(method), Thing) == Thing(1)
    assert [one.method for one in server.seen] == [method] * 3
    assert server.seen[0].body == server.seen[1].body == server.seen[2].body


@pytest.mark.parametrize("method", VERBS)
async def test_f97_redirects_end(client: Client, server: Server, method: str) -> None:
    server.on(method, "/thing", Reply(status=307, headers={"location": "/thing"}))
    with pytest.raises(errors.GitHubUnavailable, match="more than 3 redirects"):
        await client.call(make_call(method), Thing)
    assert len(server.seen) == MAX_REDIRECTS + 1


@pytest.mark.parametrize(("status", "is_remembered"), [(301, True), (308, True), (302, False), (307, False)])
async def test_f40_only_a_permanent_move_is_remembered(
    client: Client, server: Server, status: int, is_remembered: bool
) -> None:
    server.on("GET", "/thing", Reply(status=status, headers={"location": "/moved"}))
    server.on("GET", "/moved", Reply(data={"id": 1}))
    for _ in range(2):
        await client.call(make_call(), Thing)
    assert len(server.asked("GET", "/thing")) == (1 if is_remembered else 2)
    # Nobody else's question goes that way.
    await client.call(make_call(scope="7/2"), Thing)
    assert len(server.asked("GET", "/thing")) == (2 if is_remembered else 3)


async def test_f40_a_move_for_good_behind_a_passing_one_is_not_remembered(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(status=307, headers={"location": "/passing"}))
    server.on("GET", "/passing", Reply(status=301, headers={"location": "/moved"}))
    server.on("GET", "/moved", Reply(data={"id": 1}))
    for _ in range(2):
        await client.call(make_call(), Thing)
    assert len(server.asked("GET", "/thing")) == 2


async def test_f40_a_move_is_forgotten_when_its_end_is_gone(client: Client, server: Server) -> None:
    server.on("GET", "/thing", Reply(status=301, headers={"location": "/moved"}), Reply(data={"id": 2}))
    server.on("GET", "/moved", Reply(data={"id": 1}), Reply(status=404))
    assert await client.call(make_call(), Thing) == Thing(1)
    with pytest.raises(errors.NotReachable):
        await client.call(make_call(), Thing)
    assert await client.call(make_call(), Thing) == Thing(2)
