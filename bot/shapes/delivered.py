"""Deliveries as programs read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from bot.model import delivery, handler_run
from bot.model.delivery import State
from bot.shapes.shape import Instant, Shape, taken


class Delivery(Shape, frozen=True, kw_only=True):
    """One webhook request as received, and what became of it."""

    id: str
    event: str
    action: str | None
    repository: str | None
    received_at: Instant
    state: delivery.State
    reason: str | None
    error: str | None
    attempts: int


class HandlerRun(Shape, frozen=True, kw_only=True):
    """What one of the users' own handlers did with a delivery."""

    handler: str
    state: delivery.State
    attempts: int
    error: str | None
    finished_at: Instant | None


class ShownDelivery(Delivery, frozen=True, kw_only=True):
    """A delivery with the trail of its decision; its payload is at its own address."""

    headers: dict[str, str]
    trail: tuple[str, ...]
    builds: tuple[str, ...]
    handlers: tuple[HandlerRun, ...]


class WholeDelivery(ShownDelivery, frozen=True, kw_only=True):
    """A delivery with its payload."""

    payload: msgspec.Raw


class Replaying(Shape, frozen=True, kw_only=True):
    """A delivery that is handled again."""

    id: str
    state: Literal["received"] = "received"


class Starting(Shape, frozen=True, kw_only=True):
    """A build that was asked for: the delivery that asks, and the build as soon as there is one."""

    delivery: str
    state: State
    build: str | None


def of_delivery(one: delivery.Delivery) -> Delivery:
    """A delivery alone."""
    return taken(Delivery, one)


def of_shown(
    one: delivery.Delivery, *, headers: Mapping[str, str], made: Sequence[str], runs: Sequence[handler_run.HandlerRun]
) -> ShownDelivery:
    """A delivery with its trail.

    :param headers: as they may be shown.
    :param made: the ids of the builds that it made.
    """
    return taken(ShownDelivery, one, headers=dict(headers), builds=tuple(made), handlers=_runs(runs))


def of_whole(one: delivery.Delivery, *, made: Sequence[str], runs: Sequence[handler_run.HandlerRun]) -> WholeDelivery:
    """A delivery with all of its headers and its payload."""
    return taken(
        WholeDelivery,
        one,
        headers=dict(one.headers),
        builds=tuple(made),
        handlers=_runs(runs),
        payload=msgspec.Raw(delivery.payload(headers=one.headers, body=one.body)),
    )


def _runs(runs: Sequence[handler_run.HandlerRun]) -> tuple[HandlerRun, ...]:
    return tuple(taken(HandlerRun, one) for one in runs)
