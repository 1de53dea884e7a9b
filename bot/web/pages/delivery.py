"""The page `/deliveries/{id}`: one delivery as it came, and why what became of it became of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from aiohttp import web
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors, telemetry
from bot.model import build, delivery, handler_run
from bot.store import builds, deliveries, handler_runs
from bot.web import states
from bot.web.page import Page, Sources

#: How much of a payload is shown.
SHOWN_CHARACTERS = 256 * 1024
#: A larger payload is shown as it came: laying it out would take long.
_LAID_OUT_BYTES = 2 * 1024**2
#: Headers that prove something to us, or would prove something to others.
_MASKED = frozenset(
    {
        "x-hub-signature",
        "x-hub-signature-256",
        "webhook-signature",
        "authorization",
        "proxy-authorization",
        "cookie",
    }
)
#: Where deliveries come from that no request brought.
_SOURCES = {
    "api": "GitHub could not deliver it: its payload was fetched from GitHub's API.",
    "state": "GitHub did not tell of it: it is made of what GitHub's API shows.",
}


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What the page shows."""

    now: datetime
    #: Without its body; proofs among its headers are masked.
    delivery: delivery.Delivery
    #: Where it came from, if GitHub did not send it.
    source: str | None
    #: The builds that it made.
    builds: tuple[build.Build, ...]
    #: What each of the users' own handlers did with it.
    runs: tuple[handler_run.HandlerRun, ...]
    #: The payload laid out, as far as it is shown.
    payload: str
    is_cut: bool
    #: Whether it still has to be worked on, so that the page looks again.
    is_live: bool


def make_context(
    one: delivery.Delivery,
    *,
    made: Sequence[build.Build],
    runs: Sequence[handler_run.HandlerRun] = (),
    now: datetime,
) -> Context:
    """The page of a delivery with its body."""
    payload, is_cut = shown_payload(one.headers, body=one.body)
    return Context(
        now=now,
        delivery=replace(one, headers=shown_headers(one.headers), body=b""),
        source=told_source(one.headers),
        builds=tuple(made),
        runs=tuple(runs),
        payload=payload,
        is_cut=is_cut,
        is_live=states.is_live_delivery(one) or any(run.state in delivery.UNFINISHED for run in runs),
    )


def told_source(headers: Mapping[str, str]) -> str | None:
    """Where a delivery came from that GitHub did not send; None for all others."""
    name = delivery.hook_source(headers)
    if name is not None:
        return f"It came, signed, to /hooks/{name}."
    return _SOURCES.get(headers.get(delivery.SOURCE, ""))


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers by name, without what could be used by whoever reads them."""
    return {
        name: f"({len(value)} characters, not shown)" if name in _MASKED else telemetry.redact(value)
        for name, value in sorted(headers.items())
    }


def shown_payload(headers: Mapping[str, str], *, body: bytes) -> tuple[str, bool]:
    """The payload laid out, and whether it was cut."""
    try:
        raw = delivery.payload(headers=headers, body=body)
    except ValueError:
        raw = body
    text = _laid_out(raw) if len(raw) <= _LAID_OUT_BYTES else raw[: 4 * SHOWN_CHARACTERS].decode("utf-8", "replace")
    return telemetry.redact(text[:SHOWN_CHARACTERS]), len(text) > SHOWN_CHARACTERS or len(raw) > _LAID_OUT_BYTES


def _laid_out(raw: bytes) -> str:
    try:
        return json.dumps(json.loads(raw), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return raw.decode("utf-8", "replace")


def _read(
    connection: Connection, guid: str
) -> tuple[delivery.Delivery, list[build.Build], list[handler_run.HandlerRun]]:
    found = deliveries.find(connection, guid)
    if found is None:
        raise errors.NotFound(f"There is no delivery {guid}.")
    return (
        found,
        builds.list_of_delivery(connection, guid),
        handler_runs.list_of_delivery(connection, found.seq),
    )


async def load(sources: Sources, request: web.Request) -> Context:
    """Read the delivery. :raises errors.NotFound: if there is no such delivery."""
    one, made, runs = await sources.store.read(_read, request.match_info["id"])
    # A payload can be 25 MB.
    return await asyncio.to_thread(make_context, one, made=made, runs=runs, now=sources.clock())


PAGE = Page(route="/deliveries/{id:[A-Za-z0-9-]{1,72}}", template="delivery.html", context=Context, load=load)
