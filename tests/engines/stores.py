"""A store of images for a test, and what is left of it put away."""

from __future__ import annotations

import contextlib
import hashlib
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bot.engines.local import podman
from tests.engines import images

SMALL, TOOLS, SERVER = "localhost/small:1", "localhost/tools:1", "localhost/server:1"


@contextlib.contextmanager
def made(data_dir: Path, *, named: dict[str, images.Image]) -> Iterator[podman.Podman]:
    """Podman of the engine with this data folder, with images in it."""
    program = podman.Podman(data_dir / "engine", extra_env={})
    look = program.look()
    assert look.problem is None, look.problem
    for name, image in named.items():
        images.put(program.command, program.env, image, name)
    try:
        yield program
    finally:
        program.sweep(lambda _: False)
        _wait_for_all(data_dir / "engine/podman/store")
        # Root's Podman mounts it over itself.
        over = data_dir / "engine/podman/store/overlay"
        while subprocess.run(["umount", "--lazy", over], check=False, capture_output=True).returncode == 0:
            pass
        shutil.rmtree(program.run_dir, ignore_errors=True)
        subprocess.run(["chmod", "-R", "u+rwX", data_dir / "engine/podman"], check=False, capture_output=True)


def _wait_for_all(store: Path) -> None:
    """What Podman itself does behind the end of a container would mount the store again."""
    while left := [pid for pid in _processes() if os.fsencode(store) in _words(pid) and pid != os.getpid()]:
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                fd = os.pidfd_open(pid)
                poll = select.poll()
                poll.register(fd, select.POLLIN)
                ended = poll.poll(20_000)
                os.close(fd)
                assert ended, _words(pid)


def _processes() -> list[int]:
    return [int(one) for one in os.listdir("/proc") if one.isdigit()]


def _words(pid: int) -> list[bytes]:
    with contextlib.suppress(OSError):
        return Path("/proc", str(pid), "cmdline").read_bytes().split(b"\0")
    return []


def containers(program: podman.Podman) -> list[str]:
    """The names of all containers there."""
    return program.run("ps", "--all", "--format", "{{.Names}}").split()


def groups(data_dir: Path) -> list[str]:
    """Control groups of containers that are left of this data folder's jobs, anywhere."""
    mine = f"buildhook-{hashlib.blake2s(os.fsencode(data_dir.absolute() / 'engine')).hexdigest()[:12]}"
    tops = [os.path.join(place, mine) for place, inner, _ in os.walk("/sys/fs/cgroup") if mine in inner]
    return [os.path.join(top, one) for top in tops for one in os.listdir(top) if os.path.isdir(os.path.join(top, one))]
