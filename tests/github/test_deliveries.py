"""Deliveries as GitHub keeps them: listed, shown with what was sent, and sent again."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from bot import errors
from bot.github import GitHub
from bot.github.deliveries import Attempt, DeliveryPage
from tests.github.conftest import Reply, Server, Time, http_date

DELIVERIES = "/app/hook/deliveries"
ATTEMPT = {
    "id": 2**53 + 1,
    "guid": "0b989ba4-242f-11e5-81e1-c7b6966d2516",
    "delivered_at": "2026-05-04T11:00:00Z",
    "redelivery": False,
    "duration": 0.27,
    "status": "OK",
    "status_code": 202,
    "event": "push",
    "action": None,
    "installation_id": 7,
    "repository_id": None,
    "throttled_at": None,
}
READ = Attempt(
    id=2**53 + 1,
    guid="0b989ba4-242f-11e5-81e1-c7b6966d2516",
    delivered_at=datetime(2026, 5, 4, 11, tzinfo=UTC),
    is_redelivery=False,
    status="OK",
    status_code=202,
    event="push",
    action=None,
    installation_id=7,
    repository_id=None,
)
REQUEST = {"headers": {"X-GitHub-Event": "push", "X-Number": 5, "X-None": None}, "payload": {"ü": 2**63}}


async def test_attempts_are_listed_from_a_cursor_on(github: GitHub, server: Server) -> None:
    link = f'<{server.url}{DELIVERIES}?per_page=2&cursor=v1_77>; rel="next"'
    server.on("GET", DELIVERIES, Reply(data=[ATTEMPT], headers={"link": link}), Reply(data=[]))
    assert await github.list_deliveries(per_page=2) == DeliveryPage(attempts=(READ,), next_cursor="v1_77")
    assert await github.list_deliveries(cursor="v1_77") == DeliveryPage(attempts=(), next_cursor=None)
    first, second = server.asked("GET")
    assert (first.query, second.query) == ({"per_page": "2"}, {"per_page": "100", "cursor": "v1_77"})
    # The App's own credential: three parts, no installation token.
    assert first.headers["authorization"].count(".") == 2
    assert server.asked("POST") == []


@pytest.mark.parametrize(
    ("status_code", "is_ok"),
    [(0, False), (200, True), (202, True), (204, True), (299, True), (302, False), (401, False)],
)
async def test_only_what_our_door_took_is_ok(github: GitHub, server: Server, status_code: int, is_ok: bool) -> None:
    server.on("GET", DELIVERIES, Reply(data=[ATTEMPT | {"status_code": status_code, "status": "whatever"}]))
    (attempt,) = (await github.list_deliveries()).attempts
    assert attempt.is_ok is is_ok


async def test_f27_a_wrong_clock_does_not_hide_the_deliveries(github: GitHub, server: Server, time: Time) -> None:
    refused = Reply(status=401, data={"message": "'Issued at'"}, headers={"date": http_date(datetime(2026, 5, 4, 13))})
    server.on("GET", DELIVERIES, refused, Reply(data=[ATTEMPT]))
    assert (await github.list_deliveries()).attempts == (READ,)


async def test_a_delivery_is_shown_with_what_was_sent(github: GitHub, server: Server) -> None:
    server.on("GET", f"{DELIVERIES}/5", Reply(data=ATTEMPT | {"request": REQUEST, "response": {}}))
    shown = await github.get_delivery(5)
    assert shown.attempt == READ
    assert shown.request_headers == {"x-github-event": "push", "x-number": "5"}
    # Not a digit is lost, whatever a number is read as.
    assert shown.payload_json == msgspec.json.encode({"ü": 2**63})
    assert "9223372036854775808" not in repr(shown)
    server.on("GET", f"{DELIVERIES}/5", Reply(data=ATTEMPT | {"request": REQUEST | {"headers": None}}))
    assert (await github.get_delivery(5)).request_headers == {}


async def test_a_payload_that_is_gone_is_not_reachable(github: GitHub, server: Server) -> None:
    server.on("GET", f"{DELIVERIES}/5", Reply(data=ATTEMPT | {"request": REQUEST | {"payload": None}}))
    with pytest.raises(errors.NotReachable):
        await github.get_delivery(5)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        {},
        ATTEMPT,
        ATTEMPT | {"request": REQUEST | {"payload": "text"}},
        ATTEMPT | {"request": {"headers": {}}},
    ],
)
async def test_a_delivery_of_another_shape_is_none(github: GitHub, server: Server, data: object) -> None:
    server.on("GET", f"{DELIVERIES}/5", Reply(data=data))
    with pytest.raises(errors.GitHubUnavailable):
        await github.get_delivery(5)


@pytest.mark.parametrize(
    "data", [None, {}, [None], [{}], [ATTEMPT | {"id": "5"}], [ATTEMPT | {"delivered_at": "yesterday"}]]
)
async def test_a_list_of_another_shape_is_no_empty_list(github: GitHub, server: Server, data: object) -> None:
    server.on("GET", DELIVERIES, Reply(data=data))
    with pytest.raises(errors.GitHubUnavailable):
        await github.list_deliveries()


async def test_an_event_is_sent_again(github: GitHub, server: Server) -> None:
    server.on("POST", f"{DELIVERIES}/5/attempts", Reply(status=202, data={}))
    await github.redeliver(5)
    server.on("POST", f"{DELIVERIES}/5/attempts", Reply(status=202, raw=b""))
    await github.redeliver(5)
    assert [one.body for one in server.asked("POST")] == [None, None]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply(status=422, data={"message": "Delivery is too old to be redelivered."}), errors.Invalid),
        (Reply(status=400, data={"message": "Bad request"}), errors.Invalid),
        (Reply(status=404, data={"message": "Not Found"}), errors.NotReachable),
        (Reply(status=410, data={"message": "Gone"}), errors.NotReachable),
        (Reply(status=403, data={"message": "Forbidden"}), errors.Forbidden),
        (Reply(status=401, data={"message": "Bad credentials"}), errors.Unauthorized),
        (Reply(status=502), errors.GitHubUnavailable),
        (Reply(raw=b"<html>", content_type="text/html"), errors.GitHubUnavailable),
    ],
)
async def test_each_refusal_has_its_error(
    github: GitHub, server: Server, reply: Reply, error: type[errors.GitHubError]
) -> None:
    server.on("POST", f"{DELIVERIES}/5/attempts", reply)
    server.on("GET", f"{DELIVERIES}/5", reply)
    server.on("GET", DELIVERIES, reply)
    for call in (github.redeliver(5), github.get_delivery(5), github.list_deliveries()):
        with pytest.raises(error) as raised:
            await call
        assert raised.type is error
