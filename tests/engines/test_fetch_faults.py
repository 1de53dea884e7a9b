"""F76: a git server that is slow, breaks off, lies, hangs or is away: told with what was being done, and tried anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from bot.choices import Submodules
from bot.engines import contract
from bot.engines.local import engine as local
from tests.engines import gitserver, jobs
from tests.engines.conftest import Open

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PHASE = "Fetching octo/hello: "
#: Kind of fault -> how the reason goes on behind the phase, where it stays.
WORDS = {
    "slow": "127.0.0.1 took longer than 0.5 seconds, the time limit.",
    "hangs": "127.0.0.1 took longer than 0.5 seconds, the time limit.",
    "hangs in the pack": "127.0.0.1 took longer than 0.5 seconds, the time limit.",
    "partial pack": "the code could not be fetched from 127.0.0.1; the log says why.",
    "corrupted pack": "what 127.0.0.1 sent is broken; the log says why.",
    "no pack": "the code could not be fetched from 127.0.0.1; the log says why.",
    "empty pack": "the code could not be fetched from 127.0.0.1; the log says why.",
    "500": "the code could not be fetched from 127.0.0.1; the log says why.",
    "503": "the code could not be fetched from 127.0.0.1; the log says why.",
    "no git": "what 127.0.0.1 sent is broken; the log says why.",
    "closes": "the code could not be fetched from 127.0.0.1; the log says why.",
}


@dataclass
class Faulty:
    """A git server whose next answers have a fault."""

    server: gitserver.Server
    kind: str
    #: How many of them; below which path.
    left: int
    below: str = "/octo/hello"
    asked: int = 0
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request, real: Answer) -> web.StreamResponse:
        """One request."""
        is_pack = request.path.endswith("/git-upload-pack")
        wants_pack = "pack" in self.kind
        if not request.path.startswith(self.below) or not self.left or is_pack is not wants_pack:
            return await real(request)
        self.left -= 1
        self.asked += 1
        if self.kind in ("500", "503"):
            return web.Response(status=int(self.kind))
        if self.kind == "no git":
            return web.Response(text="<html>Please log in", content_type="text/html")
        if self.kind == "closes":
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if self.kind == "hangs":
            await self.is_over.wait()
            return web.Response()
        whole = await real(request)
        assert isinstance(whole, web.Response)
        body = whole.body
        assert isinstance(body, bytes)
        at = body.find(b"PACK") + 12 if is_pack else 0
        if self.kind == "corrupted pack":
            flipped = bytes(byte ^ 0x55 for byte in body[at + 4 : at + 20])
            return web.Response(headers=whole.headers, body=body[: at + 4] + flipped + body[at + 20 :])
        if self.kind == "partial pack":
            return web.Response(headers=whole.headers, body=body[: at + 8])
        if self.kind == "no pack":
            return web.Response(headers=whole.headers, body=b"")
        if self.kind == "empty pack":
            return web.Response(headers=whole.headers, body=b"0000")
        return await self._trickle(request, body, at=at)

    async def _trickle(self, request: web.Request, body: bytes, *, at: int) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-git-upload-pack-advertisement"})
        await response.prepare(request)
        await response.write(body[:at] if at else body[:1])
        await self.is_over.wait()
        return response


@pytest.fixture
def breaking(server: gitserver.Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Faulty]:
    """Gives the server a fault."""
    monkeypatch.setattr("bot.engines.local.mirrors._ATTEMPTS_SECONDS", (0.0, 0.01, 0.01))
    real = server.answer

    def break_it(kind: str, left: int, below: str = "/octo/hello") -> Faulty:
        faulty = Faulty(server, kind, left, below)
        server.instead = lambda request: faulty.answer(request, real)
        return faulty

    return break_it


#: What is tried in every run; the others look the same from here.
SHORT = ("500", "corrupted pack", "hangs in the pack")
PASSING = sorted(kind for kind in WORDS if "limit" not in WORDS[kind])


@pytest.mark.parametrize("kind", ["closes", *(pytest.param(one, marks=pytest.mark.long) for one in ("503", "no git"))])
async def test_f76_a_fetch_that_failed_once_is_made_anew(
    engine: local.Local, code: jobs.Code, breaking: Callable[..., Faulty], kind: str
) -> None:
    faulty = breaking(kind, 1)
    told = await jobs.run(engine, jobs.make(code.source(), "cat README.md; git fsck --no-dangling"))
    assert (told.result, told.log, faulty.asked) == ("passed", "hello\n", 1), told.reason


@pytest.mark.parametrize(
    "kind", [kind if kind in SHORT else pytest.param(kind, marks=pytest.mark.long) for kind in WORDS]
)
async def test_f76_a_fault_that_stays_is_told_with_its_phase_and_leaves_nothing_broken(
    open_engine: Open, code: jobs.Code, breaking: Callable[..., Faulty], kind: str, data_dir: Path
) -> None:
    is_slow = kind not in PASSING
    engine = await open_engine(limits=local.Limits(fetch_seconds=0.5 if is_slow else 60.0))
    faulty = breaking(kind, 99)
    told = await jobs.run(engine, jobs.make(code.source(), "true"))
    assert (told.result, told.steps) == ("errored", [])
    assert told.reason.startswith(PHASE + WORDS[kind]), told.log
    # What takes too long once is not waited for again.
    assert faulty.asked == 1 if is_slow else faulty.asked >= 3
    faulty.left = 0
    faulty.is_over.set()
    healthy = await open_engine()
    told = await jobs.run(healthy, jobs.make(code.source(), "cat README.md; git fsck --no-dangling"))
    assert (told.result, told.log) == ("passed", "hello\n"), told.reason
    assert not list(data_dir.glob("engine/mirrors/*/*.git/objects/pack/tmp_*"))


async def test_f76_a_server_of_a_submodule_that_is_down_is_told_by_the_submodule(
    open_engine: Open, code: jobs.Code, breaking: Callable[..., Faulty]
) -> None:
    lib = code.server.repository("octo/lib").commit({"lib.c": "one\n"})
    text = '[submodule "lib"]\n\tpath = third/lib\n\turl = ../lib\n'
    files: dict[str, str | gitserver.Entry] = {".gitmodules": text, "third/lib": gitserver.Entry(lib, mode="160000")}
    sha = code.repository.commit(files, parent=code.sha)
    engine = await open_engine(checkout=contract.Checkout(submodules=Submodules.TOP))
    faulty = breaking("503", 99, "/octo/lib")
    told = await jobs.run(engine, jobs.make(code.source(sha), "true"))
    assert (told.result, told.reason) == (
        "errored",
        "Fetching the submodule 'third/lib' (octo/lib): the code could not be fetched from 127.0.0.1; the log says "
        "why.",
    )
    assert "503" in told.log
    faulty.left = 1
    assert (await jobs.run(engine, jobs.make(code.source(sha), "cat third/lib/lib.c"))).log == "one\n"


async def test_f76_a_fetch_that_was_broken_off_leaves_no_lock_and_no_half_pack(
    open_engine: Open, code: jobs.Code, breaking: Callable[..., Faulty], data_dir: Path
) -> None:
    """The same mirror goes on: nothing of it has to be made anew because a fetch was stopped."""
    engine = await open_engine()
    assert (await jobs.run(engine, jobs.make(code.source(), "true"))).result == "passed"
    mirror = data_dir / "engine" / "mirrors" / "untrusted" / "1.git"
    before = mirror.stat().st_ino
    sha = code.repository.commit({"more": "x" * 10_000}, parent=code.sha)
    short = await open_engine(limits=local.Limits(fetch_seconds=0.5))
    faulty = breaking("hangs in the pack", 1)
    assert (await jobs.run(short, jobs.make(code.source(sha), "true"))).result == "errored"
    faulty.is_over.set()
    assert (await jobs.run(engine, jobs.make(code.source(sha), "wc -c < more"))).log.strip() == "10000"
    assert mirror.stat().st_ino == before
    assert not [*mirror.rglob("*.lock"), *mirror.glob("objects/pack/tmp_*")]
