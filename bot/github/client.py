"""The transport: one call to GitHub's API over HTTP, safely repeated or not at all, its credential kept at home.

Redirects are followed here and not by aiohttp, which would turn a POST that is answered 301 or 302 into a GET and so
call a list of check runs a success.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import aiohttp
import msgspec
import stamina
from gidgethub import sansio
from yarl import URL

import bot
from bot import errors, telemetry
from bot.github import answers, classify, graphql_errors, limits
from bot.github.clock import Clock
from bot.github.urls import Urls
from bot.model import budget

T = TypeVar("T")

USER_AGENT = f"buildhook/{bot.__version__}"
API_VERSION = "2022-11-28"
JSON = "application/vnd.github+json"
#: The bytes of a file as they are.
RAW = "application/vnd.github.raw+json"
#: The largest answer that is read into memory.
MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_REDIRECTS = 3
#: GitHub allows 100 requests at once. https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
_CONNECTIONS = 64
_CACHE_BYTES = 8 * 1024 * 1024
_FOLLOWED = frozenset({301, 302, 307, 308})
_PERMANENT = frozenset({301, 308})

_log = telemetry.log("github")


class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """How long GitHub is waited for."""

    connect_seconds: float = 5.0
    #: From the first byte sent to the last one read, each redirect and each attempt anew.
    total_seconds: float = 30.0
    #: How often a call that changes nothing is tried in all.
    attempts: int = 3
    #: Before the second attempt; doubles, and has jitter of the same size.
    pause_seconds: float = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One question to GitHub's API."""

    #: POST and PATCH are sent once. PUT and DELETE, idempotent by definition, aiohttp repeats when a kept connection
    #: turns out to be dead.
    method: str
    #: Below the API's URL, from `urls.path`.
    path: str
    #: Installation token, JWT, token of a person, or what `scheme` says; empty for none.
    credential: str = field(repr=False)
    #: Whose rate limit it counts against: `app`, or `installation 7`.
    account: str
    #: Who may share kept answers: installation, repository and purpose of the token.
    scope: str
    #: May hold a token, as content may.
    body: Any = field(default=None, repr=False)
    #: Instead of a body that is made into JSON: bytes as they are, and their type.
    content: bytes | None = field(default=None, repr=False)
    content_type: str = "application/json; charset=utf-8"
    accept: str = JSON
    max_bytes: int = MAX_ANSWER_BYTES
    #: Whether doing it twice does no harm.
    is_repeatable: bool = False
    #: Whether it goes to the GraphQL API, which has one address, and a budget beside that of REST.
    is_graphql: bool = False
    #: Whether it goes to the web pages' address instead of the API's. No redirect is followed from there.
    is_web: bool = False
    scheme: str = "Bearer"

    @property
    def budget_account(self) -> str:
        """Whose primary limit it counts against; secondary ones are the account's for both APIs."""
        return limits.graphql_account(self.account) if self.is_graphql else self.account

    @property
    def what(self) -> str:
        """The call in words, for errors."""
        if self.is_graphql:
            return f"{self.method} /graphql"
        shown = self.path if len(self.path) <= 300 else self.path[:300] + "…"
        return f"{self.method} {shown}"


class _Nothing(msgspec.Struct, frozen=True):
    """No whole answer came."""

    reason: str
    #: Whether GitHub may have received the request.
    is_sent: bool
    #: Whether it would be the same the next time.
    is_lasting: bool = False


class Client:
    """Calls to one GitHub, over one pool of connections."""

    def __init__(
        self,
        urls: Urls,
        *,
        metrics: telemetry.Metrics,
        clock: Clock | None = None,
        patience: Patience | None = None,
        ledger: limits.Ledger | None = None,
    ) -> None:
        self.urls = urls
        self._metrics = metrics
        self._clock = clock or Clock()
        self._patience = patience or Patience()
        self._limits = limits.Limits(clock=self._clock, ledger=ledger)
        self._answers = answers.Answers(size_bytes=_CACHE_BYTES)
        self._session: aiohttp.ClientSession | None = None
        #: By how much GitHub's clock was ahead of ours at its last answer; negative: behind.
        self.ahead_seconds = 0.0

    async def open(self) -> None:
        """Make ready. No connection is made yet."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._patience.total_seconds, connect=self._patience.connect_seconds),
        )

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def call(self, call: Call, shape: type[T]) -> T:
        """Make the call and read its answer as a value of this shape.

        :raises errors.AnswerLost: if a write was sent and what came back does not tell what became of it.
        :raises errors.GitHubError: if GitHub did not do it; the class says why.
        """
        answer = await self.fetch(call)
        try:
            return classify.decode(answer, shape, what=call.what)
        except errors.GitHubUnavailable as error:
            raise _lost(call, error) from None

    async def fetch(self, call: Call) -> classify.Answer:
        """Make the call; an answer that is a success as it came.

        :raises errors.AnswerLost: if a write was sent and what came back does not tell what became of it.
        :raises errors.GitHubError: if GitHub did not do it; the class says why.
        """
        is_safe = call.method == "GET" or call.is_repeatable
        retrying = stamina.retry_context(
            on=_is_passing,
            attempts=self._patience.attempts if is_safe else 1,
            timeout=2 * self._patience.total_seconds,
            wait_initial=self._patience.pause_seconds,
            wait_jitter=self._patience.pause_seconds,
        )
        async for attempt in retrying:
            with attempt:
                return await self._attempt(call)
        raise AssertionError("the last attempt returns or raises")

    async def ask(self, call: Call) -> classify.Answer:
        """Make the call once; the answer as it came, whatever its status, for somebody with rules of their own.

        What GitHub limits holds for them as well.

        :raises errors.RateLimited: if the account has to wait, before the call or by its answer.
        :raises errors.GitHubUnavailable: if no whole answer came.
        """
        answer, error = await self._judged(call)
        if isinstance(error, errors.RateLimited):
            raise error
        return answer

    async def _attempt(self, call: Call) -> classify.Answer:
        answer, error = await self._judged(call)
        if isinstance(error, errors.GitHubUnavailable):
            error = _lost(call, error)
        if error is not None:
            raise graphql_errors.away(error) if call.is_graphql else error
        return answer

    async def _judged(self, call: Call) -> tuple[classify.Answer, errors.GitHubError | None]:
        """An answer, and what it is if it is no success; what it tells of limits is noted."""
        self._limits.check(call.account)
        if call.is_graphql and (wait := self._limits.find(call.budget_account)) is not None:
            raise graphql_errors.away(wait)
        answer = await self._answered(call)
        now = self._clock.now()
        try:
            classify.check(answer, what=call.what, now=now)
            if call.is_graphql:
                graphql_errors.check(answer, what=call.what, now=now)
        except errors.RateLimited as error:
            # What asks for a pause of its own asks for it everywhere.
            account = call.account if error.is_secondary else call.budget_account
            _log.warning("GitHub limits our rate.", action="github_rate_limited", account=account, text=str(error))
            return answer, self._limits.limited(account, error)
        except errors.GitHubError as error:
            return answer, error
        if call.is_graphql and (limited := graphql_errors.find_limit(answer, what=call.what, now=now)) is not None:
            # It came in the middle: what was done before counts.
            self._limits.limited(call.account if limited.is_secondary else call.budget_account, limited)
            return answer, None
        self._limits.succeeded(
            call.budget_account,
            reset_at=classify.rate_limit_reset(answer, now=now),
            told=classify.told(answer, now=now),
        )
        return answer, None

    async def _answered(self, call: Call) -> classify.Answer:
        """The answer to the call after redirects, perhaps one kept from before."""
        below = self.urls.web if call.is_web else self.urls.api
        address = self.urls.graphql if call.is_graphql else below + call.path
        key = answers.Key(scope=call.scope, url=address, accept=call.accept)
        url = URL(self._answers.address(key), encoded=True)
        kept = self._answers.find(key) if call.method == "GET" else None
        headers = _headers(call, etag=kept.etag if kept is not None else None)
        content = msgspec.json.encode(call.body) if call.body is not None else call.content
        is_lasting = call.method == "GET"
        for _ in range(MAX_REDIRECTS + 1):
            answer = await self._exchange(call, url, headers=headers, content=content)
            if answer.status == 304 and kept is not None:
                # The newer headers win: those of the rate limit are about now.
                return replace(kept.answer, headers={**kept.answer.headers, **answer.headers})
            if answer.status not in _FOLLOWED:
                break
            url = self._redirected(call, url, answer)
            is_lasting = is_lasting and answer.status in _PERMANENT
            if is_lasting:
                self._answers.moved(key, str(url))
        else:
            raise errors.GitHubUnavailable(
                f"GitHub answered {call.what} with more than {MAX_REDIRECTS} redirects.", status=answer.status
            )
        if call.method == "GET":
            self._answers.keep(key, answer)
        return answer

    def _redirected(self, call: Call, url: URL, answer: classify.Answer) -> URL:
        """Where the redirect leads, if a credential may go there.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
        """
        said = f"GitHub answered {call.what} with a redirect ({answer.status})"
        try:
            target = url.join(URL(answer.headers["location"], encoded=True))
            is_home = target.origin() == URL(self.urls.api).origin() and target.user is None and not call.is_web
        except (KeyError, ValueError):
            raise errors.GitHubUnavailable(f"{said} that leads nowhere.", status=answer.status) from None
        if not is_home:
            raise errors.GitHubUnavailable(
                f"{said} to another place than its API. It is not followed: our credential does not go there. "
                "Look at BUILDHOOK_GITHUB_API_URL, BUILDHOOK_GITHUB_URL and at proxies.",
                status=answer.status,
            )
        return target.with_fragment(None)

    async def _exchange(
        self, call: Call, url: URL, *, headers: Mapping[str, str], content: bytes | None
    ) -> classify.Answer:
        """One request and its whole answer."""
        started_at = self._clock.now()
        came = await self._send(call, url, headers=headers, content=content)
        is_read = call.method == "GET"
        points = budget.READ_POINTS if is_read else budget.WRITE_POINTS
        self._limits.spent(call.budget_account, points)
        self._metrics.github_points.labels("read" if is_read else "write").inc(points)
        status_class = "none" if isinstance(came, _Nothing) else f"{came.status // 100}xx"
        self._metrics.github_requests.labels(call.method, status_class).inc()
        if isinstance(came, classify.Answer):
            if (answered_at := came.answered_at) is not None:
                self.ahead_seconds = (answered_at - started_at).total_seconds()
            return came
        said = f"No answer of GitHub to {call.what}: {came.reason}."
        if came.is_sent and _is_write(call):
            raise errors.AnswerLost(f"{said} It may have been done all the same.")
        if came.is_lasting:
            raise errors.Invalid(said)
        raise errors.GitHubUnavailable(f"{said} It is tried again later.")

    async def _send(
        self, call: Call, url: URL, *, headers: Mapping[str, str], content: bytes | None
    ) -> classify.Answer | _Nothing:
        # A value instead of an exception: aiohttp's exceptions hold the request's headers, and so the credential.
        if self._session is None:
            return _Nothing("the client is closed", is_sent=False)
        try:
            async with self._session.request(
                call.method, url, headers=headers, data=content, allow_redirects=False
            ) as response:
                body = await _read(response, call.max_bytes)
                names = {name.lower(): value for name, value in response.headers.items()}
                status = response.status
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return _Nothing(_why(error), is_sent=False)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return _Nothing(_why(error), is_sent=True)
        if body is None:
            return _Nothing(f"it is larger than {call.max_bytes} bytes", is_sent=True, is_lasting=True)
        return classify.Answer(status=status, headers=names, body=body)


async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """The body after decompression, or None when it is larger than allowed."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > max_bytes:
            response.close()
            return None
    return bytes(body)


def _headers(call: Call, *, etag: str | None) -> dict[str, str]:
    headers = sansio.create_headers(USER_AGENT, accept=call.accept)
    if call.credential:
        headers["authorization"] = f"{call.scheme} {call.credential}"
    headers["x-github-api-version"] = API_VERSION
    if call.body is not None or call.content is not None:
        headers["content-type"] = call.content_type
    if etag is not None:
        headers["if-none-match"] = etag
    return headers


def _is_write(call: Call) -> bool:
    return call.method != "GET" and not call.is_repeatable


def _lost(call: Call, error: errors.GitHubUnavailable) -> errors.GitHubUnavailable:
    """A write whose answer cannot be trusted may have been done, unless GitHub refused or redirected it."""
    is_unknown = error.status is None or error.status >= 500 or error.status < 300
    if isinstance(error, errors.AnswerLost) or not is_unknown or not _is_write(call):
        return error
    return errors.AnswerLost(f"{error} What it was meant to write may have been written.", status=error.status)


def _is_passing(error: Exception) -> bool:
    """Whether another attempt a moment later may go well."""
    if not isinstance(error, errors.GitHubUnavailable) or isinstance(error, errors.AnswerLost):
        return False
    return error.status is None or error.status >= 500


def _why(error: Exception) -> str:
    """Why there is no answer, in words; nothing of what the exception holds beyond that."""
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"the name {error.host} cannot be resolved"
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate of {error.host} is not trusted"
        case aiohttp.ClientConnectorSSLError():
            return f"no TLS connection to {error.host} comes about"
        case aiohttp.ClientConnectorError():
            return f"no connection to {error.host}:{error.port} ({error.os_error.strerror or 'refused'})"
        case aiohttp.ConnectionTimeoutError():
            return "no connection came about in time"
        case asyncio.TimeoutError():
            return "the answer took too long"
        case _:
            return f"the connection broke ({type(error).__name__})"
