"""The API's operations on deliveries."""

from __future__ import annotations

import asyncio
from typing import Annotated

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.model import audit, delivery
from bot.model.person import Permission
from bot.shapes import delivered, listed
from bot.store import builds, deliveries, handler_runs, inbox_list
from bot.web import viewing
from bot.web.actions import by
from bot.web.api import answering, asking
from bot.web.api.asking import Part, RepositoryName
from bot.web.api.builds import Nothing
from bot.web.api.operation import GUID, Call, Operation
from bot.web.pages.delivery import shown_headers

_PLACE = "[1-9][0-9]{0,17}"
_Event = Annotated[str, msgspec.Meta(pattern="^[a-z_]{1,64}$", description="Only this event, such as `push`.")]


class WhichDeliveries(Part, frozen=True, kw_only=True):
    """Which deliveries."""

    state: Annotated[delivery.State, msgspec.Meta(description="Only those in this state.")] | UnsetType = UNSET
    event: _Event | UnsetType = UNSET
    repository: RepositoryName | UnsetType = UNSET


async def list_(call: Call) -> listed.Deliveries:
    """The deliveries that who asks may see."""
    query: WhichDeliveries = call.query
    state, event, repository = asking.given(query.state), asking.given(query.event), asking.given(query.repository)
    of = ("deliveries", state, event, repository)
    before = asking.read_cursor(query.cursor, of=of, form=_PLACE)
    found = await call.sources.store.read(
        inbox_list.list_newest,
        limit=query.limit + 1,
        before_seq=None if before is None else int(before),
        state=state,
        event=event,
        repository=repository,
        among=viewing.visible(call.request, Permission.WRITE),
    )
    last = str(found[: query.limit][-1].seq) if found else None
    shown, following = answering.part(call.request, found, query=query, last=last, of=of)
    return listed.Deliveries(items=tuple(map(delivered.of_delivery, shown)), next=following)


async def show(call: Call) -> delivered.ShownDelivery:
    """One delivery; what proves something to us is not shown."""
    return await call.sources.store.read(_read, call.id)


def _read(connection: Connection, guid: str) -> delivered.ShownDelivery:
    found = _find(connection, guid)
    made = [one.id for one in builds.list_of_delivery(connection, guid)]
    runs = handler_runs.list_of_delivery(connection, found.seq)
    return delivered.of_shown(found, headers=shown_headers(found.headers), made=made, runs=runs)


def _find(connection: Connection, guid: str) -> delivery.Delivery:
    found = deliveries.find(connection, guid)
    if found is None:
        raise errors.NotFound(f"There is no delivery {guid}.")
    return found


async def send_payload(call: Call) -> web.Response:
    """The payload, without what looks like a credential."""
    found = await call.sources.store.read(_find, call.id)
    # It can be 25 MB.
    return answering.send_bytes(call.request, await asyncio.to_thread(_payload, found))


def _payload(found: delivery.Delivery) -> bytes:
    raw = delivery.payload(headers=found.headers, body=found.body)
    return telemetry.redact(raw.decode("utf-8", "replace")).encode()


async def replay(call: Call) -> delivered.Replaying:
    """Handle a delivery again."""
    await call.actions.replay(call.id, by(call.request, via=audit.Via.API))
    return delivered.Replaying(id=call.id)


OPERATIONS = (
    Operation(
        name="listDeliveries",
        summary="What GitHub sent about repositories that you may write to, the newest first.",
        path="/deliveries",
        query=WhichDeliveries,
        answer=listed.Deliveries,
        run=list_,
    ),
    Operation(
        name="getDelivery",
        summary="One delivery: its headers, the trail of its decision, its builds, and what your handlers did.",
        path=f"/deliveries/{{id:{GUID}}}",
        answer=delivered.ShownDelivery,
        run=show,
    ),
    Operation(
        name="getPayload",
        summary="The JSON that GitHub sent.",
        path=f"/deliveries/{{id:{GUID}}}/payload",
        run=send_payload,
    ),
    Operation(
        name="replayDelivery",
        summary="Handle a delivery again. What it already did is not done twice.",
        method="POST",
        path=f"/deliveries/{{id:{GUID}}}/replay",
        body=Nothing,
        answer=delivered.Replaying,
        status=web.HTTPAccepted.status_code,
        run=replay,
    ),
)
