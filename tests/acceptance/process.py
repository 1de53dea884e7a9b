"""`buildhook serve` as people run it: a process of its own, told everything by its environment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from bot.simulator import Simulator
from tests.acceptance import starter

READY_SECONDS = 20.0
#: Kubernetes kills after this: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
STOP_SECONDS = 30.0
#: `buildhook`, as arguments of Python.
PROGRAM = ("-m", "bot")


class Process:
    """One run of `buildhook serve`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process | starter.Child,
        *,
        told: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self.process = process
        #: What it printed when it was ready.
        self.told = told
        self.url = told["url"]
        self.environment = environment

    @property
    def webhook_url(self) -> str:
        """Where deliveries go."""
        return f"{self.url}/webhook"

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self.url.rpartition(":")[2])

    async def kill(self) -> None:
        """`kill -9` of its whole process group, as a machine's operator would."""
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()

    async def stop(self) -> int:
        """SIGTERM; gives the exit status."""
        if self.process.returncode is None:
            self.process.terminate()
        return await self.end()

    async def end(self) -> int:
        """Wait for the end, which has to come within the time that supervisors of services give; gives the status."""
        return await asyncio.wait_for(self.process.wait(), STOP_SECONDS)

    async def command(self, *arguments: str) -> Any:
        """Run another `buildhook` command beside it; gives its JSON."""
        status, out, err = await run(*arguments, "--json", environment=self.environment)
        assert status == 0, err
        return json.loads(out)


async def run(*arguments: str, environment: Mapping[str, str], given: bytes | None = None) -> tuple[int, str, str]:
    """Run one `buildhook` command to its end; gives status, standard output and standard error.

    :param given: its standard input.
    """
    with tempfile.TemporaryFile() as entered, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        entered.write(given or b"")
        entered.seek(0)
        fds = (entered.fileno(), out.fileno(), err.fileno())
        child = starter.start(arguments, env=environment, cwd=Path.cwd(), fds=fds)
        try:
            status = await child.wait()
        except asyncio.CancelledError:
            child.kill()
            raise
        out.seek(0)
        err.seek(0)
        return status, out.read().decode(), err.read().decode()


def environment(data_dir: Path, **given: object) -> dict[str, str]:
    """The environment of a service: nothing of ours but the path, and the settings given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    fixed = {"BUILDHOOK_DATA_DIR": str(data_dir), "BUILDHOOK_PORT": "0", "BUILDHOOK_LOG_LEVEL": "info"}
    return {**kept, **fixed, **{f"BUILDHOOK_{name.upper()}": str(value) for name, value in given.items()}}


def for_github(github: Simulator, data_dir: Path, **given: object) -> dict[str, str]:
    """The environment of a service for this simulator, and the settings given."""
    return environment(
        data_dir,
        github_api_url=github.api_url,
        app_id=github.app_id,
        private_key=github.private_key,
        webhook_secret=github.webhook_secret,
        **given,
    )


@contextlib.asynccontextmanager
async def serving(
    environment: Mapping[str, str],
    *,
    log: Path,
    program: Sequence[str] | None = None,
    command: Sequence[str] = ("serve",),
) -> AsyncIterator[Process]:
    """A running service; its log goes to a file, so that a failing test can show it.

    :param program: arguments of Python to start it by, such as `PROGRAM`; else it is started in less time.
    :param command: the command that is the service, and its options.
    """
    hearing, said = os.pipe()
    with open(said, "wb") as out, log.open("ab") as err:
        process = await _started(environment, log.parent, program, [*command, "--json"], out=out, err=err)
    reader, pipe = asyncio.StreamReader(), os.fdopen(hearing, "rb", buffering=0)
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: protocol, pipe)
    try:
        line = await asyncio.wait_for(reader.readline(), READY_SECONDS)
        assert line, f"the service did not start:\n{log.read_text()}"
        yield Process(process, told=json.loads(line), environment=environment)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        transport.close()


async def _started(
    environment: Mapping[str, str],
    folder: Path,
    program: Sequence[str] | None,
    arguments: Sequence[str],
    *,
    out: IO[bytes],
    err: IO[bytes],
) -> asyncio.subprocess.Process | starter.Child:
    """In a group of its own, which a test can kill as a whole."""
    if program is None:
        with open(os.devnull, "rb") as nothing:
            fds = (nothing.fileno(), out.fileno(), err.fileno())
            return starter.start(arguments, env=environment, cwd=folder, fds=fds)
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        *arguments,
        env=environment,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=out,
        stderr=err,
        start_new_session=True,
    )
