"""Static files: read once into memory and served by exact name; a path never reaches the disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from aiohttp import web

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    "site.css": "text/css",
    "site.js": "text/javascript",
    "log.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


class Asset(msgspec.Struct, frozen=True):
    """One file as it is sent."""

    content_type: str
    body: bytes


class Assets:
    """The files that pages need, each under a name that changes with its content."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._files: dict[str, Asset] = {}
        for name, content_type in _TYPES.items():
            body = (_FOLDER / name).read_bytes()
            stem, _, suffix = name.rpartition(".")
            hashed = f"{stem}.{hashlib.sha256(body).hexdigest()[:16]}.{suffix}"
            self._names[name] = hashed
            self._files[hashed] = Asset(content_type, body)

    @property
    def files(self) -> Mapping[str, Asset]:
        """Every file by the name it is served under."""
        return self._files

    def path(self, name: str) -> str:
        """The path of an asset, for a template. :raises KeyError: if there is no such asset."""
        return f"/static/{self._names[name]}"

    def routes(self) -> list[web.RouteDef]:
        """The only route."""
        return [web.get("/static/{name}", self.send)]

    async def send(self, request: web.Request) -> web.Response:
        """Send one file; it never changes under this name."""
        found = self._files.get(request.match_info["name"])
        if found is None:
            raise web.HTTPNotFound
        return web.Response(
            body=found.body,
            content_type=found.content_type,
            charset="utf-8",
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )
