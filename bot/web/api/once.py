"""`Idempotency-Key`: a change that is asked for twice with one key is made once, and answered as the first time.

https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable

import msgspec
from aiohttp import web
from msgspec.structs import replace
from ulid import ULID

from bot.store import requests
from bot.store.requests import Verdict
from bot.web import viewing
from bot.web.api import answering
from bot.web.api.operation import Call

HEADER = "Idempotency-Key"
#: A string of structured fields, or the same without its quotes where it needs none.
#: https://www.rfc-editor.org/rfc/rfc9651#name-strings
PATTERN = r'^("([ !#-\[\]-~]|\\["\\]){1,255}"|[A-Za-z0-9._:/+=-]{1,255})$'
_FORM = re.compile(PATTERN.removesuffix("$") + r"\Z", re.ASCII)
_ESCAPED = re.compile(r'\\(["\\])')
#: Statuses of problems that only a request with a key has.
PROBLEMS = (422, 429)
#: A request that is under way is answered in less.
_AGAIN_SECONDS = 1


async def answer(call: Call, perform: Callable[[Call], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    """The answer to a request that has the header.

    :param perform: answers the request as if it had none.
    :raises web.HTTPException: if the key is none, is another request's, or its request is under way.
    """
    store, now = call.sources.store, call.sources.clock
    claimed = requests.Claimed(
        caller=viewing.viewer(call.request).user_id or 0,
        digest=hashlib.sha256(_key(call.request).encode()).digest(),
        token=str(ULID()),
    )
    found = await store.write(requests.claim, claimed, fingerprint=_fingerprint(call), now=now())
    if found.verdict is Verdict.ANSWERED:
        return answering.send_bytes(call.request, found.answer, status=found.status)
    if found.verdict is not Verdict.CLAIMED:
        raise _refusal(found.verdict)
    try:
        given = await perform(replace(call, actions=call.actions.once(claimed)))
        assert isinstance(given, web.Response)
        assert isinstance(given.body, bytes)
        await store.write(requests.keep, claimed, status=given.status, answer=given.body, now=now())
    except Exception:
        # What was refused did nothing: it is looked at anew when it is asked for again.
        await store.write(requests.release, claimed, now=now())
        raise
    return given


def _key(request: web.Request) -> str:
    given = request.headers.getall(HEADER)
    if len(given) != 1 or not _FORM.fullmatch(given[0]):
        raise web.HTTPBadRequest(
            text=f"`{HEADER}` has to be one text of 1 to 255 characters in double quotes, such as a random UUID."
        )
    (key,) = given
    return _ESCAPED.sub(r"\1", key[1:-1]) if key.startswith('"') else key


def _fingerprint(call: Call) -> bytes:
    """What tells this request from another one: spaces in its body and the order of its fields do not."""
    asked = (call.request.method, call.request.path, call.body)
    return hashlib.sha256(msgspec.json.encode(asked, order="deterministic")).digest()


def _refusal(verdict: Verdict) -> web.HTTPException:
    if verdict is Verdict.DIFFERS:
        return web.HTTPUnprocessableEntity(
            text=f"Another request had this `{HEADER}` within a day: take a new one for each request."
        )
    if verdict is Verdict.TOO_MANY:
        return web.HTTPTooManyRequests(
            text=f"You used {requests.MOST_OF_ONE} keys within a day, and no more are kept: send none, or wait."
        )
    return web.HTTPConflict(
        text="The request with this key is under way: ask again in a moment.",
        headers={"Retry-After": str(_AGAIN_SECONDS)},
    )
