"""A real git server on loopback: git's own HTTP backend behind a small handler, and repositories to put into it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "mona",
    "GIT_AUTHOR_EMAIL": "mona@example.com",
    "GIT_COMMITTER_NAME": "mona",
    "GIT_COMMITTER_EMAIL": "mona@example.com",
}


def run(*arguments: str | Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
    """Run git and give its output."""
    found = subprocess.run(
        ["git", *arguments], input=stdin, capture_output=True, env={**ENV, **(env or {})}, check=False
    )
    assert found.returncode == 0, found.stderr.decode()
    return found.stdout.decode().strip()


@dataclass(frozen=True)
class Entry:
    """A file of a commit that is not a plain one."""

    data: str
    #: e.g. `100755`, `120000` for a symbolic link, `160000` for a submodule's commit.
    mode: str = "100644"


@dataclass(frozen=True)
class Repository:
    """A bare repository that the server offers."""

    path: Path

    def commit(
        self,
        files: Mapping[str, str | Entry],
        *,
        parent: str | None = None,
        branch: str = "main",
        at: int = 1_700_000_000,
    ) -> str:
        """Make a commit on a branch: the parent's files with these laid over."""
        lines = [f"commit refs/heads/{branch}", f"committer mona <mona@example.com> {at} +0000", "data 4", "work"]
        lines += [f"from {parent}"] if parent else []
        stream = "\n".join(lines).encode() + b"\n"
        for name, content in files.items():
            entry = content if isinstance(content, Entry) else Entry(content)
            if entry.mode == "160000":
                stream += f"M 160000 {entry.data} {name}\n".encode()
                continue
            data = entry.data.encode()
            stream += f"M {entry.mode} inline {name}\ndata {len(data)}\n".encode() + data + b"\n"
        if parent is None:
            stream = f"reset refs/heads/{branch}\n\n".encode() + stream
        run(f"--git-dir={self.path}", "fast-import", "--quiet", "--force", stdin=stream)
        return run(f"--git-dir={self.path}", "rev-parse", f"refs/heads/{branch}")

    def tree(self, entries: list[tuple[str, str, str]]) -> str:
        """Make a tree that git itself would refuse to: (mode, name, blob's text) each."""
        raw = b""
        for mode, name, text in sorted(entries, key=lambda entry: entry[1]):
            blob = run(f"--git-dir={self.path}", "hash-object", "-w", "--stdin", stdin=text.encode())
            raw += f"{mode.lstrip('0')} {name}".encode() + b"\0" + bytes.fromhex(blob)
        return run(f"--git-dir={self.path}", "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)

    def commit_tree(self, tree: str, *, branch: str = "main") -> str:
        """Make a commit of a tree."""
        sha = run(f"--git-dir={self.path}", "commit-tree", "-m", "work", tree)
        run(f"--git-dir={self.path}", "update-ref", f"refs/heads/{branch}", sha)
        return sha

    def forget(self, branch: str) -> None:
        """Delete a branch and what only it held."""
        run(f"--git-dir={self.path}", "update-ref", "-d", f"refs/heads/{branch}")
        run(f"--git-dir={self.path}", "reflog", "expire", "--expire=now", "--all")
        run(f"--git-dir={self.path}", "gc", "--quiet", "--prune=now")


@dataclass
class Server:
    """The running server, and what it was asked."""

    root: Path
    url: str = ""
    #: Path and Authorization of each request.
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    #: When set, who reads has to give it.
    token: str | None = None
    #: When set, each request is answered with a redirect to there.
    redirect_to: str | None = None
    #: Below these paths each request is answered with a redirect to there.
    moved: Mapping[str, str] = field(default_factory=dict)
    #: While not set, answers wait.
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    #: How many requests are still to be refused, whatever they give.
    refusals: int = 0
    #: How many packs are still to be cut off in the middle.
    cut_packs: int = 0
    #: Answers in our place.
    instead: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None
    #: Answers what is asked of Git LFS; else nobody does.
    large: Callable[[web.Request], Awaitable[web.StreamResponse]] | None = None

    @property
    def fetches(self) -> int:
        """How many packs were asked for."""
        return sum(path.endswith("/git-upload-pack") for path, _ in self.requests)

    def repository(self, name: str = "octo/hello", *, kind: str = "sha1") -> Repository:
        """A new, empty repository."""
        path = self.root / f"{name}.git"
        run("init", "--quiet", "--bare", f"--object-format={kind}", path)
        return Repository(path)

    def address(self, name: str = "octo/hello") -> str:
        """Where git finds it."""
        return f"{self.url}/{name}.git"

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One request of anybody's."""
        return await (self.instead or self.answer)(request)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """One request of git's."""
        if self.large is not None and "/info/lfs/" in request.path:
            return await self.large(request)
        self.requests.append((request.path, request.headers.get("Authorization")))
        await self.is_open.wait()
        if self.redirect_to is not None:
            raise web.HTTPMovedPermanently(self.redirect_to + request.path_qs)
        for path, there in self.moved.items():
            if request.path.startswith(path):
                raise web.HTTPMovedPermanently(there + request.path_qs)
        if self.refusals:
            self.refusals -= 1
            raise web.HTTPForbidden
        if self.token is not None and "Authorization" not in request.headers:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="git"'})
        status, headers, body = await self._ask_backend(request)
        if self.cut_packs and request.path.endswith("/git-upload-pack") and b"PACK" in body:
            self.cut_packs -= 1
            body = body[: body.index(b"PACK") + 20]
        return web.Response(status=status, headers=headers, body=body)

    async def _ask_backend(self, request: web.Request) -> tuple[int, dict[str, str], bytes]:
        env = {
            **ENV,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": request.path,
            "QUERY_STRING": request.query_string,
            "REQUEST_METHOD": request.method,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        }
        body = await request.read()
        backend = await asyncio.create_subprocess_exec(
            "git", "http-backend", stdin=-1, stdout=-1, stderr=-3, env={**env, "CONTENT_LENGTH": str(len(body))}
        )
        said, _ = await backend.communicate(body)
        head, _, rest = said.partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
        return int(headers.pop("Status", "200").split()[0]), headers, rest


@asynccontextmanager
async def serve(root: Path) -> AsyncIterator[Server]:
    """Serve the repositories below a folder."""
    server = Server(root)
    server.is_open.set()
    async with listening(server.handle) as url:
        server.url = url
        try:
            yield server
        finally:
            server.is_open.set()


@asynccontextmanager
async def listening(answer: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    """Serve whatever is asked, on a free port; gives the address."""
    app = web.Application(client_max_size=1 << 30)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()
