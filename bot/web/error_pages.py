"""Errors have one shape: a page for people, a problem for programs at the API; traces stay in the log."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from ulid import ULID

from bot import errors, telemetry
from bot.shapes.problem import PROBLEM_TYPE, Problem
from bot.web import rules, viewing
from bot.web.templating import Templates

_log = telemetry.log("web")
_ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.ASCII)
_NOT_FOUND = "There is nothing here. It may have been deleted, or it never was."
_BROKEN = "Something went wrong here. The service's log says what."
_TEXTS = {404: _NOT_FOUND, 405: "This cannot be asked in this way.", 413: "The request is too large.", 500: _BROKEN}
#: Our own errors whose text is for people, by the status they are answered with; the first that fits counts.
_STATUSES: tuple[tuple[type[errors.BuildhookError], int], ...] = (
    (errors.SignInRefused, 403),
    (errors.Conflict, 409),
    (errors.InboxFull, 503),
    (errors.StoreUnavailable, 503),
    (errors.GitHubUnavailable, 503),
    (errors.RateLimited, 503),
    (errors.GitHubError, 502),
    (errors.LogUnreadable, 500),
)
#: Headers of an aiohttp answer that say what to do instead.
_KEPT_HEADERS = ("Allow", "Content-Range", "Retry-After", "WWW-Authenticate")


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """What an error's page shows."""

    status: int
    #: The status in words, e.g. `Not Found`.
    title: str
    #: What to do about it, for people.
    text: str


def make_context(status: int, text: str | None = None) -> Context:
    """The page for a status; without a text it gets the usual one."""
    title = HTTPStatus(status).phrase
    return Context(status=status, title=title, text=text or _TEXTS.get(status, f"{title}."))


def wants_html(request: web.Request) -> bool:
    """Whether a person with a browser asks."""
    return "text/html" in request.headers.get("Accept", "").lower()


def why_gone(asked_id: str, *, now: datetime, retention: timedelta) -> str | None:
    """Why a build or job that is not there is gone, as its id tells when it was made; None where it says nothing."""
    if not _ULID.fullmatch(asked_id) or ULID.from_str(asked_id).datetime >= now - retention:
        return None
    return f"It was deleted: builds and their logs are kept for {retention.days} days."


def problem(context: Context) -> web.Response:
    """The answer to a program. https://www.rfc-editor.org/rfc/rfc9457"""
    told = Problem(title=context.title, status=context.status, detail=context.text)
    return web.Response(status=context.status, body=msgspec.json.encode(told), content_type=PROBLEM_TYPE)


def shown(templates: Templates, *, clock: Callable[[], datetime], retention: timedelta | None) -> Middleware:
    """The outermost middleware: turns whatever is raised into an answer.

    :param retention: how long builds are kept; what is older and not there was deleted, and is answered 410.
    """

    def answer(request: web.Request, context: Context) -> web.Response:
        if rules.is_api(request.path):
            return problem(context)
        if wants_html(request):
            page = templates.render("error.html", context, shell=viewing.shell(request))
            return web.Response(status=context.status, text=page, content_type="text/html")
        body = {"error": {"status": context.status, "text": context.text}}
        return web.json_response(body, status=context.status)

    @web.middleware
    async def show_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            response = answer(request, _of_http(error))
            response.headers.update({name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers})
            return response
        except errors.NotFound as error:
            why = None
            if retention is not None and not isinstance(error, errors.Gone):
                why = why_gone(request.match_info.get("id", ""), now=clock(), retention=retention)
            is_gone = why is not None or isinstance(error, errors.Gone)
            return answer(request, make_context(410 if is_gone else 404, why or str(error)))
        except errors.BuildhookError as error:
            known = next((number for kind, number in _STATUSES if isinstance(error, kind)), None)
            status = known or 500
            if status >= 500:
                _log.warning("A request could not be served.", action="serve_request", status=status, error=str(error))
            return answer(request, make_context(status, None if known is None else str(error)))
        except Exception as error:
            _log.error("A request failed.", action="serve_request", method=request.method, exc_info=error)
            return answer(request, make_context(500))

    return show_errors


def _of_http(error: web.HTTPException) -> Context:
    # aiohttp's own text is "404: Not Found"; ours is a sentence.
    is_own_text = error.text is not None and error.text != f"{error.status}: {error.reason}"
    return make_context(error.status, error.text if is_own_text and error.status < 500 else None)
