"""Disks as a test needs them: small, or read-only. Where they cannot be had the test is skipped, loudly."""

from __future__ import annotations

import contextlib
import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


@contextlib.contextmanager
def mounted(folder: Path, *arguments: str) -> Iterator[Path]:
    """The folder with something mounted on it while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    made = subprocess.run(["mount", *arguments, str(folder)], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"NOT TESTED: nothing can be mounted here ({made.stderr.strip()})")
    try:
        yield folder
    finally:
        # Whoever still has a file open there does not hold the end of the test.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def small(folder: Path, *, options: str) -> contextlib.AbstractContextManager[Path]:
    """A disk in memory. :param options: of tmpfs, such as `size=8m`."""
    return mounted(folder, "-t", "tmpfs", "-o", options, "tmpfs")


@contextlib.contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """The folder as it is, but nobody can write to it."""
    with mounted(folder, "--bind", str(folder)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(folder)], check=True)
        yield folder


@contextlib.contextmanager
def filled(folder: Path) -> Iterator[None]:
    """A disk without a free byte while the block runs."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size_bytes in (65_536, 1):
            try:
                while file.write(bytes(size_bytes)):
                    pass
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    try:
        yield
    finally:
        filler.unlink()
