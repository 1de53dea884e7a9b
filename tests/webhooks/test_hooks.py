"""The side door over real HTTP: every answer of its closed set, and nothing stored that proves nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDict

from bot import clock, policy, signing, telemetry
from bot.listener import Listener
from bot.model import delivery
from bot.store import Store
from bot.webhooks import doorway, parse
from bot.webhooks.hooks import HookDoor
from bot.webhooks.inbox import Inbox
from tests import forgeries
from tests.forgeries import BODY, ID, KEY, OTHER_KEY
from tests.webhooks.service import Answer, _all

JSON = {"Content-Type": "application/json"}


def source(**changes: Any) -> policy.Source:
    """A source as the policy file says it."""
    given: dict[str, Any] = {
        "name": "shop",
        "repository": "octo/hello",
        "ref": "refs/heads/main",
        "secrets": (),
        "keys": (KEY,),
        **changes,
    }
    return policy.Source(**given)


@dataclass
class House:
    """A running side door and what stands behind it."""

    store: Store
    metrics: telemetry.Metrics
    http: aiohttp.ClientSession
    inbox: Inbox
    sources: dict[str, policy.Source] = field(default_factory=lambda: {"shop": source()})
    is_set_up: bool = True
    ahead: timedelta = timedelta(0)
    port: int = 0

    def now(self) -> datetime:
        """The time at the door."""
        return clock.now() + self.ahead

    async def post(
        self, sent: forgeries.Sent | None = None, *, to: str = "shop", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Send a webhook, signed now unless another one is given."""
        sent = sent or forgeries.right(self.now())
        return await self.send({**JSON, **sent.headers, **(headers or {})}, sent.body, to=to)

    async def send(self, headers: Mapping[str, str] | CIMultiDict[str], body: Any, *, to: str = "shop") -> Answer:
        """Send any request."""
        url = f"http://127.0.0.1:{self.port}/hooks/{to}"
        if isinstance(body, bytes) and len(body) > 1024 * 1024:
            # The client warns of large bodies in one piece.
            body = io.BytesIO(body)
        async with self.http.post(url, data=body, headers=headers) as response:
            is_ours = response.content_type == "application/json"
            return Answer(response.status, dict(response.headers), await response.json() if is_ours else {})

    async def stored(self) -> list[delivery.Delivery]:
        """All deliveries in the order of arrival."""
        return await self.store.read(_all)

    def rejected(self, reason: str) -> float:
        """How many requests were refused for this reason."""
        name = "buildhook_webhook_rejected_total"
        return self.metrics.registry.get_sample_value(name, {"reason": reason}) or 0.0


@pytest.fixture
async def house(store: Store, metrics: telemetry.Metrics) -> AsyncIterator[House]:
    """A side door that listens on a free port of this machine."""
    box = Inbox(store, metrics=metrics, on_stored=lambda _: None)
    await box.open()
    loop = asyncio.create_task(box.run())
    async with aiohttp.ClientSession(auto_decompress=False) as http:
        made = House(store=store, metrics=metrics, http=http, inbox=box)
        door = HookDoor(
            box,
            sources=lambda: made.sources,
            is_set_up=lambda: made.is_set_up,
            metrics=metrics,
            now=made.now,
        )
        app = web.Application()
        app.add_routes(door.routes())
        listener = Listener(app, host="127.0.0.1", port=0)
        await listener.open()
        made.port = listener.port
        yield made
    await listener.close()
    loop.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await loop


async def test_a_signed_webhook_is_stored_before_it_is_answered(house: House) -> None:
    answer = await house.post(headers={"Authorization": "Bearer of-a-gateway", "Cookie": "a=b", "X-Anything": "x"})
    assert (answer.status, answer.result) == (202, "stored")
    (found,) = await house.stored()
    assert answer.body["delivery"] == found.id
    assert (found.event, found.action, found.repository) == ("hook", "order.paid", "octo/hello")
    assert (found.installation_id, found.repository_id, found.hook_id) == (None, None, 0)
    assert (found.body, found.state) == (BODY, delivery.State.RECEIVED)
    assert delivery.hook_source(found.headers) == "shop"
    kept = {"content-type", "user-agent", signing.ID, signing.TIMESTAMP, signing.SIGNATURE, delivery.SOURCE}
    assert set(found.headers) == kept


@pytest.mark.parametrize("name", forgeries.UNPROVED)
async def test_t40_a_forged_replayed_or_late_webhook_stores_nothing(house: House, name: str) -> None:
    make, label, status = forgeries.UNPROVED[name]
    sent = make(house.now())
    if name in {"full-width digits", "empty signature"}:
        # Bytes that aiohttp's client would not send are tried by the pure check.
        sent.headers[signing.TIMESTAMP if "digits" in name else signing.SIGNATURE] = "?"
        label = "header" if "digits" in name else "malformed"
    answer = await house.post(sent)
    assert answer.status == status
    assert set(answer.body) == {"error"}
    if status == 401:
        # One text for every cause: the sender learns nothing from it.
        assert answer.body["error"] == "The request does not prove who sends it, or not lately."
        assert house.rejected(f"signature_{label}") == 1
    else:
        assert house.rejected("body" if name == "the parts cut elsewhere" else "header") == 1
    assert await house.stored() == []


async def test_t9_a_replay_changes_nothing_however_often_and_however_signed(house: House) -> None:
    first = forgeries.right(house.now())
    assert (await house.post(first)).result == "stored"
    assert {(await house.post(first)).result for _ in range(5)} == {"duplicate"}
    # The sender's own next attempt bears the same id, signed anew.
    later = forgeries.right(house.now() + timedelta(seconds=60))
    assert (await house.post(later)).result == "duplicate"
    house.ahead = timedelta(minutes=6)
    assert (await house.post(first)).status == 401
    assert len(await house.stored()) == 1


async def test_t11_the_same_id_with_another_body_keeps_the_first(house: House) -> None:
    await house.post()
    other = forgeries.right(house.now(), body=b'{"type": "order.refunded"}')
    assert (await house.post(other)).result == "conflict"
    assert [one.action for one in await house.stored()] == ["order.paid"]


async def test_t128_each_source_has_ids_and_secrets_of_its_own(house: House) -> None:
    house.sources["other"] = source(name="other", keys=(OTHER_KEY,))
    assert (await house.post()).result == "stored"
    assert (await house.post(to="other")).status == 401
    own = forgeries.right(house.now(), key=OTHER_KEY)
    assert (await house.post(own, to="other")).result == "stored"
    ids = {one.id for one in await house.stored()}
    assert len(ids) == 2
    assert all(one.headers[signing.ID] == ID for one in await house.stored())


async def test_t15_a_secret_is_changed_without_a_refusal(house: House) -> None:
    old, new = KEY, OTHER_KEY
    house.sources["shop"] = source(keys=(new, old))
    assert (await house.post(forgeries.right(house.now(), id="a", key=old))).status == 202
    assert (await house.post(forgeries.right(house.now(), id="b", key=new))).status == 202
    both = forgeries.Sent(signing.headers(BODY, id="c", at=house.now(), keys=[old, new]))
    assert (await house.post(both)).status == 202
    house.sources["shop"] = source(keys=(new,))
    assert (await house.post(forgeries.right(house.now(), id="d", key=old))).status == 401


async def test_a_source_that_nobody_named_is_answered_as_what_is_not_there(house: House) -> None:
    answers = [await house.post(to=name) for name in ("nobody", "SHOP", "shop%00", "..%2fshop", "shop%2f")]
    assert {one.status for one in answers} == {404}
    async with house.http.post(f"http://127.0.0.1:{house.port}/nothing/here", data=b"") as response:
        assert (response.status, await response.text()) == (404, "404: Not Found")
    assert await house.stored() == []


@pytest.mark.parametrize(
    ("headers", "status", "reason"),
    [
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "content_type"),
        ({"Content-Type": "text/plain"}, 415, "content_type"),
        ({"Content-Encoding": "gzip"}, 415, "content_encoding"),
        ({"Content-Encoding": "identity"}, 415, "content_encoding"),
    ],
)
async def test_another_content_is_415(house: House, headers: dict[str, str], status: int, reason: str) -> None:
    assert (await house.post(headers=headers)).status == status
    assert house.rejected(reason) == 1


async def test_t3_a_body_that_is_too_large_is_413(house: House) -> None:
    body = b'{"type": "' + b"x" * parse.MAX_HOOK_BYTES + b'"}'
    assert (await house.post(forgeries.right(house.now(), body=body))).status == 413

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(64 * 1024)

    headers = {**JSON, **forgeries.right(house.now()).headers}
    assert (await house.send(headers, endless())).status == 413
    assert await house.stored() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'"order.paid"', b"{", b'{"a": NaN}', b"\xff", b'{"a":' * 101 + b"1" + b"}" * 101],
)
async def test_t6_a_signed_body_that_is_no_object_is_400(house: House, body: bytes) -> None:
    assert (await house.post(forgeries.right(house.now(), body=body))).status == 400
    assert house.rejected("body") == 1
    assert await house.stored() == []


@pytest.mark.parametrize(
    "body", [b"{}", b'{"type": 7}', b'{"type": null}', b'{"type": "a b"}', b'{"type": "\\u0000"}', b'{"type": {}}']
)
async def test_a_body_without_a_type_is_taken_all_the_same(house: House, body: bytes) -> None:
    assert (await house.post(forgeries.right(house.now(), body=body))).status == 202
    assert [one.action for one in await house.stored()] == [None]


async def test_a_body_that_claims_to_be_about_something_says_nothing(house: House) -> None:
    body = b'{"installation": {"id": 1}, "repository": {"id": 2, "full_name": "octo/secret"}, "action": "opened"}'
    assert (await house.post(forgeries.right(house.now(), body=body))).status == 202
    (found,) = await house.stored()
    assert (found.installation_id, found.repository_id, found.repository, found.action) == (
        None,
        None,
        "octo/hello",
        None,
    )


async def test_t8_a_header_that_came_twice_is_400(house: House) -> None:
    headers = CIMultiDict({**JSON, **forgeries.right(house.now()).headers})
    headers.add(signing.ID, "another")
    assert (await house.send(headers, BODY)).status == 400
    assert await house.stored() == []


async def test_t124_only_what_is_proved_uses_the_rate_of_a_source_up(house: House) -> None:
    house.sources["shop"] = source(per_minute=2)
    for number in range(9):
        assert (await house.post(forgeries.right(house.now(), id=f"f{number}", key=OTHER_KEY))).status == 401
    answers = [await house.post(forgeries.right(house.now(), id=f"m{number}")) for number in range(3)]
    assert [one.status for one in answers] == [202, 202, 503]
    assert answers[2].headers["Retry-After"] == str(doorway.RETRY_AFTER_SECONDS)
    assert len(await house.stored()) == 2


async def test_without_credentials_it_may_be_sent_again_later(house: House) -> None:
    house.is_set_up = False
    answer = await house.post()
    assert (answer.status, answer.headers["Retry-After"]) == (503, str(doorway.RETRY_AFTER_SECONDS))


async def test_a_full_inbox_is_503(house: House) -> None:
    house.inbox._max_rows = 0
    assert (await house.post()).status == 503
    assert house.rejected("inbox_full") == 1
