"""Reads what a program asks for: queries, bodies and cursors are checked before anything is looked up."""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Annotated, TypeVar

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from bot.web.api.operation import Asked

A = TypeVar("A", bound=Asked)
T = TypeVar("T")
_JSON = "application/json"
_DIGEST_BYTES = 6
_WRITTEN = re.compile(r"([0-9A-Z]{1,26})\.([0-9a-f]{12})", re.ASCII)
_FOREIGN = "`cursor` is no cursor of this list: take the one of its last answer, with the same filters."

Cursor = Annotated[
    str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,60}$", description="Where to go on: from `next` of the part before.")
]
Limit = Annotated[int, msgspec.Meta(ge=1, le=100, description="At most so many.")]
RepositoryName = Annotated[
    str,
    msgspec.Meta(pattern="^[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}$", description="Its full name, `owner/name`."),
]
Ref = Annotated[
    str,
    msgspec.Meta(
        pattern="^[^\\u0000-\\u0020\\u007f]{1,255}$",
        description="A branch, or fully qualified, such as `refs/tags/v1`.",
    ),
]


class Part(Asked, frozen=True, kw_only=True):
    """Which part of a list."""

    cursor: Cursor | UnsetType = UNSET
    limit: Limit = 50


def given(value: T | UnsetType) -> T | None:
    """A field of a query, which is not there where nothing is given: a word such as `null` is a word."""
    return None if isinstance(value, UnsetType) else value


def read_query(kind: type[A], request: web.Request) -> A:
    """What the query asks for.

    :raises web.HTTPBadRequest: if it asks for what cannot be.
    """
    twice = next((name for name in request.query if len(request.query.getall(name)) > 1), None)
    if twice is not None:
        raise web.HTTPBadRequest(text=f"The query names `{twice[:80]}` twice.")
    try:
        return msgspec.convert(dict(request.query), kind, strict=False)
    except msgspec.ValidationError as error:
        raise web.HTTPBadRequest(text=f"The query cannot be used: {error}.") from None


async def read_body(kind: type[A], request: web.Request) -> A:
    """What the body asks for.

    :raises web.HTTPUnsupportedMediaType: if it says that it is no JSON.
    :raises web.HTTPBadRequest: if it is none, or asks for what cannot be.
    """
    # What a form of another site can send is never this; to send it a browser asks first, and nobody answers.
    if request.content_type != _JSON or "Content-Type" not in request.headers:
        raise web.HTTPUnsupportedMediaType(text=f"Send JSON, and say so: Content-Type: {_JSON}")
    try:
        return msgspec.json.decode(await request.read(), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"The body cannot be used: {error}.") from None


def write_cursor(place: str, *, of: object) -> str:
    """A cursor behind a place in a list: programs hand it back and need not understand it.

    :param of: the list and its filters; the cursor is good for no other.
    """
    return base64.urlsafe_b64encode(f"{place}.{_digest(place, of)}".encode()).decode().rstrip("=")


def read_cursor(cursor: str | UnsetType, *, of: object, form: str) -> str | None:
    """The place behind which a list goes on; None at its beginning.

    :param form: what a place of this list looks like, as a regular expression.
    :raises web.HTTPBadRequest: if it is a cursor of something else, or none at all.
    """
    if isinstance(cursor, UnsetType):
        return None
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except ValueError:
        raise web.HTTPBadRequest(text=_FOREIGN) from None
    found = _WRITTEN.fullmatch(text)
    if found is None or found[2] != _digest(found[1], of) or not re.fullmatch(form, found[1], re.ASCII):
        raise web.HTTPBadRequest(text=_FOREIGN)
    return found[1]


def _digest(place: str, of: object) -> str:
    # Against mistakes, not against attackers: whoever makes one up sees no more than with a true one.
    return hashlib.blake2s(msgspec.json.encode((place, of)), digest_size=_DIGEST_BYTES).hexdigest()
