"""Badges: the state of a branch as a small picture, or as JSON for shields.io. Pure, without any text from outside.

https://shields.io/badges/endpoint-badge
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bot.model import build

LABEL = "build"
#: Of the text in 11 px Verdana, on the average.
_CHARACTER, _PADDING, _HEIGHT = 6.6, 10, 20


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a badge says."""

    message: str
    #: White text can be read on it.
    color: str


UNKNOWN = Look(message="unknown", color="#59626e")
_LOOKS: Mapping[build.State, Look] = {
    build.State.PASSED: Look(message="passing", color="#17733a"),
    build.State.FAILED: Look(message="failing", color="#b3261e"),
    build.State.ERRORED: Look(message="errored", color="#9a4a00"),
    build.State.TIMED_OUT: Look(message="timed out", color="#9a4a00"),
}
#: The states that say something of a branch; others are passed over.
TELLING = frozenset(_LOOKS)


def look(state: build.State | None) -> Look:
    """What is said of a branch whose newest build ended like this; None where nothing may be said, or is known."""
    return UNKNOWN if state is None else _LOOKS.get(state, UNKNOWN)


def svg(one: Look) -> str:
    """The picture."""
    left, right = _width(LABEL), _width(one.message)
    whole = left + right
    name = f"{LABEL}: {one.message}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{_HEIGHT}" role="img" aria-label="{name}">'
        f"<title>{name}</title>"
        f'<clipPath id="r"><rect width="{whole}" height="{_HEIGHT}" rx="3"/></clipPath>'
        f'<g clip-path="url(#r)"><rect width="{left}" height="{_HEIGHT}" fill="#3b4148"/>'
        f'<rect x="{left}" width="{right}" height="{_HEIGHT}" fill="{one.color}"/></g>'
        '<g fill="#fff" text-anchor="middle" font-family="Verdana,Geneva,DejaVu Sans,sans-serif" font-size="11">'
        f'<text x="{left / 2}" y="14" textLength="{left - _PADDING}">{LABEL}</text>'
        f'<text x="{left + right / 2}" y="14" textLength="{right - _PADDING}">{one.message}</text></g></svg>\n'
    )


def json(one: Look) -> bytes:
    """What shields.io makes a badge of."""
    return msgspec.json.encode(
        {"schemaVersion": 1, "label": LABEL, "message": one.message, "color": one.color, "isError": one == UNKNOWN}
    )


def _width(text: str) -> int:
    return round(len(text) * _CHARACTER) + _PADDING
