"""The routes of the API: every module with operations is named here, and nowhere else."""

from __future__ import annotations

import functools
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from bot.web import rules
from bot.web.actions import Actions
from bot.web.api import answering, asking, builds, deliveries, describing, jobs, once, service
from bot.web.api.operation import Call, Operation
from bot.web.page import Sources

OPERATIONS: tuple[Operation, ...] = (
    *service.OPERATIONS,
    *builds.OPERATIONS,
    *jobs.OPERATIONS,
    *deliveries.OPERATIONS,
)
#: As aiohttp names them: a GET comes with its HEAD.
_METHODS = {"GET": web.get, "POST": web.post}


def routes(sources: Sources, actions: Actions) -> list[web.RouteDef]:
    """All of them, and that of their description."""

    # Made when it is first asked for: it takes as long as some hundred answers, and few ask.
    @functools.cache
    def described() -> bytes:
        return msgspec.json.encode(describing.document(OPERATIONS, takes_tokens=sources.people is not None))

    async def describe(request: web.Request) -> web.Response:
        return answering.send_bytes(request, described())

    return [
        web.get(f"{rules.API}/openapi.json", describe),
        *(_METHODS[one.method](rules.API + one.path, _handler(one, sources, actions)) for one in OPERATIONS),
    ]


def _handler(operation: Operation, sources: Sources, actions: Actions) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        call = Call(
            sources=sources,
            actions=actions,
            request=request,
            query=None if operation.query is None else asking.read_query(operation.query, request),
            body=None if operation.body is None else await asking.read_body(operation.body, request),
        )
        if operation.method == "POST" and once.HEADER in request.headers:
            return await once.answer(call, perform)
        return await perform(call)

    async def perform(call: Call) -> web.StreamResponse:
        given: Any = await operation.run(call)
        if operation.answer is None:
            assert isinstance(given, web.StreamResponse)
            return given
        assert type(given) is operation.answer, "what is described is what is answered"
        return answering.send(call.request, given, status=operation.status)

    return answer
