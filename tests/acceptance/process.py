"""`buildhook serve` as people run it: a process of its own, told everything by its environment."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

READY_SECONDS = 20.0
#: Kubernetes kills after this: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#pod-termination
STOP_SECONDS = 30.0
#: `buildhook`, as arguments of Python.
PROGRAM = ("-m", "bot")


class Process:
    """One run of `buildhook serve`."""

    def __init__(self, process: asyncio.subprocess.Process, *, url: str, environment: Mapping[str, str]) -> None:
        self.process = process
        self.url = url
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
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *PROGRAM,
        *arguments,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(given)
    return process.returncode or 0, out.decode(), err.decode()


def environment(data_dir: Path, **given: object) -> dict[str, str]:
    """The environment of a service: nothing of ours but the path, and the settings given."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
    fixed = {"BUILDHOOK_DATA_DIR": str(data_dir), "BUILDHOOK_PORT": "0", "BUILDHOOK_LOG_LEVEL": "info"}
    return {**kept, **fixed, **{f"BUILDHOOK_{name.upper()}": str(value) for name, value in given.items()}}


@contextlib.asynccontextmanager
async def serving(
    environment: Mapping[str, str], *, log: Path, program: Sequence[str] = PROGRAM
) -> AsyncIterator[Process]:
    """A running service; its log goes to a file, so that a failing test can show it."""
    with log.open("ab") as err:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *program,
            "serve",
            "--json",
            env=environment,
            cwd=log.parent,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=err,
            # A group of its own, which a test can kill as a whole.
            start_new_session=True,
        )
    try:
        assert process.stdout is not None
        line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
        assert line, f"the service did not start:\n{log.read_text()}"
        yield Process(process, url=json.loads(line)["url"], environment=environment)
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        # The pipe's transport would else be closed by the collector, after the loop.
        process._transport.close()  # type: ignore[attr-defined]
