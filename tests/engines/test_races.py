"""T47: what a job's files are is seen once they are open, so that nothing is gained by exchanging them meanwhile."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bot.engines.local import results
from bot.engines.local.supervisor import collect, files, output
from bot.model import job

CANARY = b"canary of the host"
SECONDS = [1.0, pytest.param(60.0, marks=[pytest.mark.long, pytest.mark.timeout(180)])]


#: A process of its own, so that it runs at the same time indeed: there and back in one step each, without a pause.
_FLIP = """
import ctypes, itertools, os, sys
libc = ctypes.CDLL(None, use_errno=True)
pairs = []
for number, (place, there) in enumerate(zip(sys.argv[1::2], sys.argv[2::2])):
    folder = os.path.dirname(place)
    link, pipe = f"{folder}/.link-{number}", f"{folder}/.pipe-{number}"
    os.symlink(there, link)
    os.mkfifo(pipe)
    pairs += [(place.encode(), other.encode()) for other in (link, link, link, pipe)]
print("ready", flush=True)
for one, other in itertools.cycle(pairs):
    for _ in "there", "back":
        assert libc.renameat2(-100, one, -100, other, 2) == 0, os.strerror(ctypes.get_errno())
"""


@contextlib.contextmanager
def exchanging(*places: Path, outside: Path) -> Iterator[None]:
    """While the block runs each of these is by turns what it was, a link to its like outside, and a pipe."""
    pairs = [str(one) for place in places for one in (place, outside / place.name)]
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", _FLIP, *pairs], stdout=subprocess.PIPE) as flipping:
        assert flipping.stdout is not None
        assert flipping.stdout.readline() == b"ready\n"
        try:
            yield
            assert flipping.poll() is None
        finally:
            flipping.kill()


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What no job may have: files and a folder of the same names as those of the job."""
    folder = tmp_path / "outside"
    (folder / "sub").mkdir(parents=True)
    for name in ("a.xml", "sub/a.xml", "summary.md", "packed", "sub/packed"):
        (folder / name).write_bytes(CANARY)
    return folder


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a job, in which a supervisor is."""
    for name in ("box/workspace/sub", "box/results", "box/tmp"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("workspace/a.xml", "workspace/sub/a.xml", "results/summary.md", "tmp/packed"):
        (tmp_path / "box" / name).write_bytes(b"of the job")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "box"


REPORTS = results.wanted(job.Reports(junit=("**/*.xml",)))
ARTIFACTS = results.wanted(job.Reports(), (job.Artifact(name="all", paths=("**/*.xml",)),))


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("wanted", [REPORTS, ARTIFACTS], ids=["reports", "artifacts"])
@pytest.mark.parametrize("place", ["workspace/a.xml", pytest.param("workspace/sub", marks=pytest.mark.long)])
def test_t47_result_files_and_artifacts_are_never_what_was_put_in_their_place(
    box: Path, outside: Path, place: str, wanted: dict[str, object], seconds: float
) -> None:
    if place.endswith("a.xml"):
        shutil.rmtree(box / "workspace/sub")
    else:
        (box / "workspace/a.xml").unlink()
    found: set[bytes] = set()
    with exchanging(box / place, outside=outside):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            stream = os.open("stream", os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
            collect.collect(output.Stream(stream, log_limit_bytes=1000), wanted)
            os.close(stream)
            if os.path.exists(collect.KEPT):
                for path in Path(collect.KEPT).iterdir():
                    found |= _contents(path.read_bytes())
                shutil.rmtree(collect.KEPT)
    # It was met whole, so the race was run; and what is outside never was.
    assert found == {b"of the job"}


@pytest.mark.parametrize("wanted", [REPORTS, ARTIFACTS], ids=["reports", "artifacts"])
def test_t47_a_link_that_comes_between_the_look_and_the_opening_is_not_followed(
    box: Path, outside: Path, wanted: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The race as it is lost at its worst, each time."""
    victim = box / "workspace/a.xml"
    real = os.stat

    def exchanging_stat(*args: Any, **kwargs: Any) -> os.stat_result:
        found = real(*args, **kwargs)
        if args[0] == "a.xml":
            victim.unlink()
            victim.symlink_to(outside / "a.xml")
        return found

    monkeypatch.setattr(os, "stat", exchanging_stat)
    shutil.rmtree(box / "workspace/sub")
    stream = os.open("stream", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    collect.collect(output.Stream(stream, log_limit_bytes=1000), wanted)
    os.close(stream)
    assert victim.is_symlink()
    kept = box.parent / collect.KEPT
    copies = kept.iterdir() if kept.exists() else ()
    assert not any(CANARY in _contents(path.read_bytes()) for path in copies)


def _contents(data: bytes) -> set[bytes]:
    if not zipfile.is_zipfile(io.BytesIO(data)):
        return {data}
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("place", ["tmp/packed", pytest.param("tmp", marks=pytest.mark.long)])
def test_t47_what_a_step_writes_and_what_is_packed_for_a_cache_is_never_read_elsewhere(
    box: Path, outside: Path, place: str, seconds: float
) -> None:
    (outside / "tmp").mkdir()
    (outside / "tmp" / "packed").write_bytes(CANARY)
    found: set[bytes | None] = set()
    with exchanging(box / place, outside=outside):
        until = time.monotonic() + seconds
        for _ in itertools.takewhile(lambda _: time.monotonic() < until, itertools.count()):
            found.add(files.read(("box", "tmp", "packed"), limit=100))
    assert found == {b"of the job", None}
