"""git over HTTP, by git's own `http-backend`: clone, fetch and push at `/{owner}/{repo}.git`.

Bodies are streamed both ways. A push sets off all that a push sets off. See `git help http-backend`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import hdrs, web

from bot.simulator import auth, faults, git, github, values

_CHUNK_BYTES = 65_536

#: What http-backend serves; everything else of a git repository stays inside.
_PATHS = "info/refs|git-upload-pack|git-receive-pack"


class GitHttp:
    """Serves the world's repositories to git."""

    def __init__(self, world: github.GitHub) -> None:
        self._world = world

    def add_to(self, router: web.UrlDispatcher) -> None:
        for suffix in (".git", ""):
            path = f"/{{owner:[^/]+}}/{{repo:[^/]+?}}{suffix}/{{path:{_PATHS}}}"
            router.add_route("GET", path, self.serve)
            router.add_route("POST", path, self.serve)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        fault = self._world.faults.take(request.method, request.path_qs)
        if fault is not None:
            await asyncio.sleep(fault.delay_seconds)
            if fault.drop_before and request.transport is not None:
                request.transport.abort()
                return web.Response()
            if fault.status is not None:
                return web.Response(status=fault.status, text=str(fault.body or ""), headers=fault.headers)
        full_name = f"{request.match_info['owner']}/{request.match_info['repo']}"
        repository = self._world.find_repository(full_name)
        renamed = self._world.find_renamed(full_name)
        if repository is None and renamed is not None:
            return web.Response(
                status=301,
                headers={"Location": f"{renamed.clone_url}/{request.match_info['path']}?{request.query_string}"},
            )
        service = request.query.get("service") or request.match_info["path"]
        is_push = service == "git-receive-pack"
        try:
            principal = self._allowed(request, repository, is_push=is_push)
        except auth.Refused as refused:
            headers = {"WWW-Authenticate": 'Basic realm="GitHub"'} if refused.status == 401 else {}
            return web.Response(status=refused.status, text=refused.message + "\n", headers=headers)
        assert repository is not None
        try:
            return await self._run(request, repository, principal, fault)
        except ConnectionError:
            return web.Response()  # nobody is there to take it

    def _allowed(self, request: web.Request, repository: values.Repository | None, *, is_push: bool) -> auth.Principal:
        """:raises Refused: with what GitHub says to git"""
        principal = self._world.tokens.principal(request.headers.get(hdrs.AUTHORIZATION))
        if principal.kind == "app":
            raise auth.Refused(401, "Bad credentials")
        if repository is None or not auth.sees(principal, repository, self._world):
            if principal.kind == "anonymous":
                raise auth.Refused(401, "Authentication required")
            raise auth.Refused(404, "Repository not found.")
        if not auth.may(principal, repository, self._world, "contents:read"):
            raise auth.Refused(403, "Resource not accessible by integration")
        if is_push and not auth.may(principal, repository, self._world, "contents:write"):
            if principal.kind == "anonymous":
                raise auth.Refused(401, "Authentication required")
            raise auth.Refused(403, f"Permission to {repository.full_name}.git denied to {principal.label}.")
        return principal

    def _environment(
        self, request: web.Request, repository: values.Repository, principal: auth.Principal
    ) -> dict[str, str]:
        folder = self._world.git_of(repository).folder
        variables = {
            "GIT_PROJECT_ROOT": str(folder.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{folder.name}/{request.match_info['path']}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.query_string,
            "CONTENT_TYPE": request.headers.get(hdrs.CONTENT_TYPE, ""),
            "REMOTE_USER": principal.label,
            "REMOTE_ADDR": request.remote or "",
        }
        if protocol := request.headers.get("Git-Protocol"):
            variables["GIT_PROTOCOL"] = protocol
        return git.environment(**variables)

    async def _run(
        self,
        request: web.Request,
        repository: values.Repository,
        principal: auth.Principal,
        fault: faults.Fault | None,
    ) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            "git",
            "http-backend",
            env=self._environment(request, repository, principal),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        # aiohttp unpacks a gzip body, so the length that the client told would be wrong: git reads to the end.
        feeding = asyncio.create_task(_feed(process, request.content.iter_chunked(_CHUNK_BYTES)))
        try:
            response = await self._answer(request, process)
        finally:
            feeding.cancel()
            await asyncio.gather(feeding, return_exceptions=True)
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            if request.match_info["path"] == "git-receive-pack":
                # Even if whoever pushed has gone; else before the answer ends, so that they find everything done.
                person = principal.user or self._world.app.bot
                await self._world.received(repository, sender=person.login)
        if fault is not None and (fault.truncate or fault.drop_response_after_applying):
            if request.transport is not None:
                request.transport.abort()
        else:
            await response.write_eof()
        return response

    async def _answer(self, request: web.Request, process: asyncio.subprocess.Process) -> web.StreamResponse:
        assert process.stdout is not None
        status, headers = 200, {}
        while line := (await process.stdout.readline()).decode("latin-1").strip():
            name, _, value = line.partition(":")
            if name.lower() == "status":
                status = int(value.split()[0])
            else:
                headers[name] = value.strip()
        response = web.StreamResponse(status=status if headers else 500, headers=headers)
        await response.prepare(request)
        while chunk := await process.stdout.read(_CHUNK_BYTES):
            await response.write(chunk)
        await process.wait()
        return response


async def _feed(process: asyncio.subprocess.Process, chunks: AsyncIterator[Any]) -> None:
    assert process.stdin is not None
    try:
        async for chunk in chunks:
            process.stdin.write(chunk)
            await process.stdin.drain()
    finally:
        process.stdin.close()
