"""Processes that a benchmark starts: each on the core that it is given, found ready, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path

from bot.simulator import Simulator
from tests.acceptance import process

ROOT = Path(__file__).parent.parent
#: Peers are installed here; `make clean` leaves them.
CACHE = Path(__file__).parent / ".cache"
_READY_SECONDS = 60.0


class Missing(Exception):
    """A peer cannot be had on this machine; the text says why."""


def cores() -> tuple[int, int]:
    """The core of what is measured, and the one of what makes the load."""
    here = sorted(os.sched_getaffinity(0))
    return here[0], here[-1]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.asynccontextmanager
async def running(
    command: Sequence[str | Path],
    *,
    port: int,
    core: int | None = None,
    env: Mapping[str, str] | None = None,
    folder: Path = ROOT,
    log: Path | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A server while the block runs; its whole process group ends with it.

    :param port: it is ready when it listens there.
    :param core: it runs on this one alone.
    :param log: where it writes; nowhere if None.
    """

    def settle() -> None:
        if core is not None:
            os.sched_setaffinity(0, {core})

    with open(log or os.devnull, "ab") as out:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=None if env is None else {**os.environ, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=out,
            stderr=out if log is not None else None,
            preexec_fn=settle,
            start_new_session=True,
        )
    try:
        await _listening(process, port, log)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def cpu_seconds(pid: int) -> float:
    """What a process and its ended children have used of processors."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


async def _listening(process: asyncio.subprocess.Process, port: int, log: Path | None) -> None:
    async with asyncio.timeout(_READY_SECONDS):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    said = log.read_text(errors="replace")[-2000:] if log is not None else ""
    raise RuntimeError(f"A server ended with status {process.returncode} before it listened. {said}")


async def install(command: Sequence[str | Path], *, folder: Path, what: str) -> None:
    """Run an installer.

    :raises Missing: if it fails, with the end of what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
    except FileNotFoundError:
        raise Missing(f"{what} is missing here: {command[0]} is not installed.") from None
    said = (await process.communicate())[0].decode("utf-8", "replace").strip()
    if process.returncode:
        raise Missing(f"{what} is missing here: `{command[0]}` ended with status {process.returncode}: {said[-200:]}")


#: `buildhook serve`, started anew as a person starts it.
serving = functools.partial(process.serving, program=process.PROGRAM)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[tuple[Simulator, process.Process]]:
    """A simulator, and a service that it delivers to, in folders that go with them."""
    with tempfile.TemporaryDirectory() as folder:
        async with Simulator(folder=Path(folder) / "github") as github:
            environment = process.for_github(github, Path(folder) / "data", log_level="warning")
            async with serving(environment, log=Path(folder) / "service.log") as service:
                github.webhook_url = service.webhook_url
                yield github, service
