"""Answers of the API: JSON that says what it is of, so that whoever has it already is not sent it again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeVar
from urllib.parse import urlencode

import msgspec
from aiohttp import ETag, web

from bot.shapes.listed import Listed
from bot.shapes.shape import Shape
from bot.web.api import asking
from bot.web.api.asking import Part

T = TypeVar("T")
#: Whoever keeps an answer asks before it is used again; what one person may see is for no other.
KEPT = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}


def send(request: web.Request, answer: Shape, *, status: int) -> web.Response:
    """The answer that a shape is; of a list also where the next part is.

    https://www.rfc-editor.org/rfc/rfc8288
    """
    headers = {}
    if isinstance(answer, Listed) and answer.next is not None:
        headers["Link"] = f'<{answer.next}>; rel="next"'
    return send_bytes(request, msgspec.json.encode(answer), status=status, headers=headers)


def send_bytes(
    request: web.Request, body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """JSON as it is, or to a GET that names the same bytes as known only that they are."""
    response = web.Response(
        status=status, body=body, content_type="application/json", headers={**KEPT, **(headers or {})}
    )
    if request.method == "POST":
        return response
    tag = hashlib.sha256(body).hexdigest()[:32]
    if any(known.value in (tag, "*") for known in request.if_none_match or ()):
        response = web.Response(status=304, headers=KEPT)
    response.etag = ETag(tag)
    return response


def part(
    request: web.Request, found: Sequence[T], *, query: Part, last: str | None, of: object
) -> tuple[Sequence[T], str | None]:
    """One part of a list, and the address of the next.

    :param found: what the part holds, and one more if another part follows.
    :param last: the place of the last one of this part, where it has one.
    :param of: the list and its filters.
    """
    shown = found[: query.limit]
    if len(found) <= query.limit or last is None:
        return shown, None
    kept = {name: value for name, value in request.query.items() if name != "cursor"}
    return shown, f"{request.path}?{urlencode({**kept, 'cursor': asking.write_cursor(last, of=of)})}"
