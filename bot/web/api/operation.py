"""An operation: a route of the API with the types of what it takes and gives, and the function that does it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from bot.shapes.shape import Shape
from bot.web.actions import Actions
from bot.web.page import Sources

#: Parts of an address, as aiohttp's router takes them.
ID, GUID, NAME = "[0-9A-Z]{26}", "[A-Za-z0-9-]{1,72}", "[A-Za-z0-9._-]{1,100}"


class Asked(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a program asks for: the fields of a query, or of a body."""


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One request, with what it asks for already read."""

    sources: Sources
    actions: Actions
    request: web.Request
    #: Of the operation's `query` and `body`.
    query: Any
    body: Any

    @property
    def id(self) -> str:
        """Of the thing that the address names."""
        return self.request.match_info["id"]


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One route of the API."""

    #: Unique; what programs that are made of the description call it.
    name: str
    #: One sentence for people.
    summary: str
    method: str = "GET"
    #: Behind `/api/v1`, as aiohttp's router takes it.
    path: str
    query: type[Asked] | None = None
    body: type[Asked] | None = None
    #: What it gives; None where `run` answers by itself.
    answer: type[Shape] | None = None
    #: The content type of an answer that is no JSON of ours.
    media: str = "application/json"
    #: Of an answer that is well.
    status: int = 200
    #: Headers that only its answer has, with what they say.
    headers: tuple[tuple[str, str], ...] = ()
    #: Statuses of problems that are its own.
    problems: tuple[int, ...] = ()
    run: Callable[[Call], Awaitable[Any]]
