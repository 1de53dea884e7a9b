"""Every API request passes here: fault, identity, rate limit, rights, body, handler, judgement, headers, record."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import re
import time
import uuid
from collections.abc import Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import hdrs, web

from bot.simulator import auth, faults, github, limits, openapi, values
from bot.simulator.rest import call, graph, people

DOCUMENTATION_URL = "https://docs.github.com/rest"

#: What each part of a path may be; others are one segment.
_PATTERNS = {"path": ".*", "client_id": "[^/]+", "ref": ".+", "branch": ".+", "basehead": ".+"}

#: Paths that belong to the API, for which an unknown one is answered by JSON and not by a page.
_API_ROOTS = ("/api/v3", "/app", "/app-manifests", "/applications", "/installation", "/repos", "/repositories", "/user")

#: The beginning of a path that names a repository.
_REPOSITORY_PATH = re.compile(r"(?:/api/v3)?/repos/([^/?]+/[^/?]+)")

#: A request's body may be as large as this.
LARGEST_BODY_BYTES = 30 * 1024 * 1024


class Api:
    """Serves routes at `/` and at `/api/v3`, and every repository's also at `/repositories/{id}`."""

    def __init__(self, world: github.GitHub, routes: Sequence[call.Route]) -> None:
        self._world = world
        self._routes = routes

    def add_to(self, router: web.UrlDispatcher) -> None:
        """Registers all routes."""
        for root in ("/api/v3", ""):
            for route in self._routes:
                for path in _paths(route.template):
                    router.add_route(route.method, root + path, self._serve(route))
        # At the site and not below the API's address, which a client with its secret must not mistake for it.
        router.add_route("POST", people.ACCESS_TOKEN.template, self._serve(people.ACCESS_TOKEN))
        for path in ("/graphql", "/api/graphql"):
            router.add_route("POST", path, self._serve(graph.ROUTE))
        for root in _API_ROOTS:
            router.add_route("*", root + "/{tail:.*}", self._serve(None))

    def _serve(self, route: call.Route | None) -> Any:
        async def serve(request: web.Request) -> web.StreamResponse:
            return await self.serve(request, route)

        return serve

    async def serve(self, request: web.Request, route: call.Route | None) -> web.StreamResponse:
        """Answers one request, after the fault that is set for it, if one is."""
        started, at = time.monotonic(), self._world.clock.instant()
        path = "/graphql" if route is graph.ROUTE else request.path_qs.removeprefix("/api/v3")
        resource = limits.GRAPHQL if route is graph.ROUTE else limits.CORE
        principal, body = self._who(request), None
        self._world.waits.came(principal.label, resource=resource, method=request.method, path=path)
        content = await request.read()
        fault = self._world.faults.take(request.method, path, content)
        answer: call.Answer | None = None
        if fault is not None and fault.delay_seconds:
            await asyncio.sleep(fault.delay_seconds)
        if fault is not None and fault.status is not None:
            answer = _ordered(fault)
        elif fault is None or not fault.drop_before:
            try:
                principal = self._world.tokens.principal(request.headers.get(hdrs.AUTHORIZATION))
                body = (
                    dict(parse_qsl(content.decode(errors="replace")))
                    if route is not None and route.is_form
                    else _parsed(content)
                )
                answer = await self._answer(request, route, principal, body)
            except auth.Refused as refused:
                answer = self._error(call.ApiError(refused.status, refused.message), route)
            except call.ApiError as error:
                answer = self._error(error, route)
            except Exception as error:
                self._world.problems.append(f"{request.method} {path}: {type(error).__name__}: {error}")
                logging.getLogger(__name__).exception("%s %s failed", request.method, path)
                answer = self._error(call.ApiError(500, "Server Error"), None)
            if fault is not None and fault.html:
                answer = _ordered(fault)
        is_dropped = answer is None or (fault is not None and fault.drop_response_after_applying)
        self._world.requests.append(
            values.RecordedRequest(
                method=request.method,
                path=path,
                template=route.template if route else "",
                status=0 if is_dropped or answer is None else answer.status,
                at=at,
                duration_seconds=time.monotonic() - started,
                authenticated_as=principal.label,
                body=body,
            )
        )
        self._world.changes.ring()
        if is_dropped or answer is None:
            return _cut(request)
        return await self._respond(request, answer, principal, fault, resource=resource)

    def _who(self, request: web.Request) -> auth.Principal:
        """Whose limits a request counts against, also where it is refused."""
        try:
            return self._world.tokens.principal(request.headers.get(hdrs.AUTHORIZATION))
        except auth.Refused:
            return auth.ANONYMOUS

    async def _answer(
        self, request: web.Request, route: call.Route | None, principal: auth.Principal, body: Any
    ) -> call.Answer:
        if hdrs.USER_AGENT not in request.headers:
            raise call.ApiError(
                403, "Request forbidden by administrative rules. Please make sure your request has a User-Agent header"
            )
        if route is graph.ROUTE and not self._world.has_graphql:
            raise call.ApiError(404, "Not Found")
        is_read = request.method in limits.READS or (route is graph.ROUTE and not graph.is_mutation(body))
        resource = limits.GRAPHQL if route is graph.ROUTE else limits.CORE
        refusal = self._world.rates.take(principal, resource=resource, is_read=is_read)
        if refusal is not None and refusal.is_primary and route is graph.ROUTE:
            return graph.limited(principal)
        if refusal is not None:
            raise call.ApiError(refusal.status, refusal.message, headers=refusal.headers)
        if route is None:
            self._redirect(request, principal)
            raise call.ApiError(404, "Not Found")
        repository = self._repository(request, principal) if route.template.startswith("/repos/") else None
        self._check_rights(route, principal, repository)
        if request.method in ("POST", "PATCH", "PUT") and route.is_described:
            problems = openapi.request_problems(*_judge(route), body)
            if problems:
                raise call.ApiError(422, "Invalid request.\n\n" + "\n".join(problems))
        made = call.Call(
            world=self._world,
            principal=principal,
            token=auth.credential(request.headers.get(hdrs.AUTHORIZATION)),
            parameters=request.match_info,
            query=request.query,
            accept=request.headers.get(hdrs.ACCEPT, ""),
            body=body,
            url=self._world.shapes.origin + request.path,
            found=repository,
        )
        answer = await route.handler(made)
        if answer.raw is None:
            self._note_problems(route, answer.status, answer.body)
        return answer

    def _repository(self, request: web.Request, principal: auth.Principal) -> values.Repository:
        """The repository of the path, if whoever asks sees it; a name that it had before redirects.

        :raises ApiError: 301, 307 or 404
        """
        world = self._world
        if "repository_id" in request.match_info:
            repository = world.repositories.get(int(request.match_info["repository_id"]))
        else:
            self._redirect(request, principal)
            repository = world.find_repository(f"{request.match_info['owner']}/{request.match_info['repo']}")
        if repository is None or not auth.sees(principal, repository, world):
            raise call.ApiError(404, "Not Found")
        return repository

    def _redirect(self, request: web.Request, principal: auth.Principal) -> None:
        """Sends whoever sees the repository from a name that it had before to its id, whatever the verb.

        :raises ApiError: 301 or 307
        """
        match, world = _REPOSITORY_PATH.match(request.raw_path), self._world
        if match is None or world.find_repository(unquote(match[1])) is not None:
            return
        renamed = world.find_renamed(unquote(match[1]))
        if renamed is None or not auth.sees(principal, renamed, world):
            return
        is_read = request.method in ("GET", "HEAD")
        raise call.ApiError(
            301 if is_read else 307,
            "Moved Permanently" if is_read else "Temporary Redirect",
            headers={"Location": f"{world.shapes.api}/repositories/{renamed.id}{request.raw_path[match.end() :]}"},
        )

    def _check_rights(self, route: call.Route, principal: auth.Principal, repository: values.Repository | None) -> None:
        if route.needs == "app":
            if principal.kind != "app":
                raise call.ApiError(401, "A JSON web token could not be decoded")
        elif route.needs == "client":
            if principal.kind != "client":
                raise call.ApiError(401, "Bad credentials")
        elif route.needs == "user":
            if principal.user is None:
                raise call.ApiError(401, "Requires authentication")
        elif route.needs == "token":
            if principal.kind != "installation":
                raise call.ApiError(403, "You must authenticate with an installation access token in order to do this.")
        elif repository is not None and not auth.may(principal, repository, self._world, route.needs):
            if principal.kind == "anonymous":
                raise call.ApiError(401, "Requires authentication")
            kind = "integration" if principal.kind in ("app", "installation") else "personal access token"
            raise call.ApiError(403, f"Resource not accessible by {kind}")

    def _error(self, error: call.ApiError, route: call.Route | None) -> call.Answer:
        body: dict[str, Any] = {"message": error.message}
        if error.errors:
            body["errors"] = list(error.errors)
        body["documentation_url"] = DOCUMENTATION_URL
        body["status"] = str(error.status)
        if "Location" in error.headers:
            body["url"] = error.headers["Location"]
        if route is not None:
            self._note_problems(route, error.status, body)
        return call.Answer(status=error.status, body=body, headers=error.headers)

    def _note_problems(self, route: call.Route, status: int, body: Any) -> None:
        if not route.is_described:
            return
        method, template = _judge(route)
        for problem in openapi.response_problems(method, template, status, body):
            self._world.problems.append(f"{method} {template} {status}: {problem}")

    async def _respond(
        self,
        request: web.Request,
        answer: call.Answer,
        principal: auth.Principal,
        fault: faults.Fault | None,
        *,
        resource: str,
    ) -> web.StreamResponse:
        content = answer.raw
        if content is None:
            content = b"" if answer.body is None else msgspec.json.encode(answer.body)
        headers = {
            "Date": formatdate(self._world.clock.seconds(), usegmt=True),
            "Cache-Control": "private, max-age=60, s-maxage=60",
            "X-GitHub-Request-Id": uuid.uuid4().hex[:20].upper(),
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": request.headers.get("X-GitHub-Api-Version", "2022-11-28"),
            **answer.headers,
        }
        status = answer.status
        if request.method == "GET" and status == 200:
            etag = f'W/"{hashlib.sha256(content).hexdigest()}"'
            headers["ETag"] = etag
            if _matches(request.headers.get(hdrs.IF_NONE_MATCH, ""), etag):
                status, content = 304, b""
                self._world.rates.give_back(principal)
        headers.update(self._world.rates.headers(principal, resource))
        if fault is not None:
            headers.update(fault.headers)
        if content or status not in (204, 304):
            headers["Content-Type"] = answer.media_type
        if fault is not None and fault.truncate:
            return await _half(request, status, headers, content)
        self._world.waits.told(principal.label, resource=resource, status=status, headers=headers, body=content)
        return web.Response(status=status, body=content, headers=headers)


def _paths(template: str) -> list[str]:
    """The paths of aiohttp's router for a path of GitHub's description."""

    def pattern(match: re.Match[str]) -> str:
        name = match[1]
        kind = _PATTERNS.get(name) or ("[0-9]{1,18}" if name.endswith(("_id", "_number")) else "[^/]+")
        return f"{{{name}:{kind}}}"

    path = re.sub(r"\{([a-z_]+)\}", pattern, template)
    prefix = re.sub(r"\{([a-z_]+)\}", pattern, "/repos/{owner}/{repo}")
    if path.startswith(prefix):
        return [path, "/repositories/{repository_id:[0-9]{1,18}}" + path.removeprefix(prefix)]
    return [path]


def _judge(route: call.Route) -> tuple[str, str]:
    method, _, template = (route.judged_as or f"{route.method} {route.template}").partition(" ")
    return method, template


def _parsed(content: bytes) -> Any:
    """:raises ApiError: 400, if it is not JSON"""
    if not content:
        return None
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError):
        raise call.ApiError(400, "Problems parsing JSON") from None
    if not isinstance(body, dict):
        raise call.ApiError(400, "Body should be a JSON object")
    return body


def _matches(header: str, etag: str) -> bool:
    weak = {entry.strip().removeprefix("W/") for entry in header.split(",")}
    return etag.removeprefix("W/") in weak


def _ordered(fault: faults.Fault) -> call.Answer:
    status = fault.status if fault.status is not None else 200
    if fault.html:
        page = b"<!DOCTYPE html><html><head><title>Unicorn!</title></head><body>We had issues.</body></html>"
        return call.Answer(status=status, raw=page, media_type="text/html; charset=utf-8")
    if isinstance(fault.body, str | bytes):
        raw = fault.body.encode() if isinstance(fault.body, str) else fault.body
        return call.Answer(status=status, raw=raw)
    return call.Answer(status=status, body=fault.body if fault.body is not None else {"message": "Server Error"})


def _cut(request: web.Request) -> web.StreamResponse:
    """Cuts the connection; what is returned goes nowhere."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response()


async def _half(request: web.Request, status: int, headers: dict[str, str], content: bytes) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = len(content)
    await response.prepare(request)
    await response.write(content[: len(content) // 2])
    if request.transport is not None:
        request.transport.close()
    return response
