"""A server of Git LFS: the questions at the git server's own address, the objects on another one, as with GitHub.

https://github.com/git-lfs/git-lfs/blob/main/docs/api/batch.md
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.engines import gitserver

PROOF = "Bearer of this download alone"


@dataclass
class Large:
    """The running server, what it has and what it was asked."""

    url: str = ""
    #: By their hashes, whatever repository they are of.
    objects: dict[str, bytes] = field(default_factory=dict)
    #: Path, user's proof and body of each question.
    asked: list[tuple[str, str | None, dict[str, Any]]] = field(default_factory=list)
    #: Path and headers of each download.
    downloads: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    #: When set, who asks has to give it as the password.
    token: str | None = None
    #: Answers to the next questions instead, by status.
    refusals: list[int] = field(default_factory=list)
    #: The same for the next downloads; 0 cuts one off in the middle, 1 sends something else.
    faults: list[int] = field(default_factory=list)
    #: Changes an answer before it is given.
    change: Callable[[dict[str, Any]], Any] = field(default=lambda answer: answer)
    #: While not set, downloads wait.
    is_open: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, data: bytes) -> str:
        """Keep an object; gives its pointer."""
        oid = hashlib.sha256(data).hexdigest()
        self.objects[oid] = data
        return pointer(oid, len(data))

    async def ask(self, request: web.Request) -> web.StreamResponse:
        """One question."""
        proof = request.headers.get("Authorization")
        body = await request.json()
        self.asked.append((request.path, proof, body))
        if self.refusals:
            raise _status(self.refusals.pop(0))
        if self.token is not None and proof != _basic(self.token):
            raise web.HTTPUnauthorized
        found = [self._object(one["oid"], one["size"]) for one in body["objects"]]
        answer = self.change({"transfer": "basic", "objects": found})
        return web.json_response(answer, content_type="application/vnd.git-lfs+json")

    def _object(self, oid: str, size: int) -> dict[str, Any]:
        if oid not in self.objects:
            return {"oid": oid, "size": size, "error": {"code": 404, "message": "Object does not exist"}}
        action = {"href": f"{self.url}/objects/{oid}?signed=a%2Fb", "header": {"Authorization": PROOF}}
        return {"oid": oid, "size": size, "authenticated": True, "actions": {"download": action}}

    async def give(self, request: web.Request) -> web.StreamResponse:
        """One download."""
        self.downloads.append((request.path_qs, dict(request.headers)))
        await self.is_open.wait()
        data = self.objects.get(request.path.rpartition("/")[2], b"")
        fault = self.faults.pop(0) if self.faults else None
        if fault is not None and fault > 1:
            raise _status(fault)
        if fault == 1:
            data = b"x" * len(data)
        response = web.StreamResponse(headers={"Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2] if fault == 0 else data)
        if fault == 0:
            assert request.transport is not None
            request.transport.abort()
        return response


def pointer(oid: str, size: int) -> str:
    """A pointer as git-lfs writes it."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {size}\n"


def _basic(token: str) -> str:
    return "Basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _status(status: int) -> web.HTTPException:
    class Answer(web.HTTPException):
        status_code = status

    return Answer(headers={"Location": "http://127.0.0.1:1/elsewhere"} if 300 <= status < 400 else {})


@asynccontextmanager
async def serve(server: gitserver.Server) -> AsyncIterator[Large]:
    """Serve LFS beside a git server."""
    large = Large()
    large.is_open.set()
    async with gitserver.listening(large.give) as url:
        large.url = url
        server.large = large.ask
        try:
            yield large
        finally:
            large.is_open.set()
            server.large = None
