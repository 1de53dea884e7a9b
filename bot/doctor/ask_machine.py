"""Asks this machine: processors, folders, and who may read the files with secrets."""

from __future__ import annotations

import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path

from bot import keyring, policy
from bot import settings as setting
from bot.doctor.facts import Machine, Place, SecretFile
from bot.settings import Settings

_MOUNTS = Path("/proc/self/mountinfo")


def machine() -> Machine:
    """The machine."""
    return Machine(
        python=sys.version_info[:2],
        processors=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
    )


def place(path: Path) -> Place:
    """Where something lies, or would lie once the service has made it."""
    nearest = path
    while not nearest.exists():
        nearest = nearest.parent
    return Place(
        path=str(path),
        is_there=nearest == path,
        is_writable=_is_writable(nearest),
        mode=stat.S_IMODE(nearest.stat().st_mode),
        filesystem=filesystem(nearest.resolve()),
        free_bytes=shutil.disk_usage(nearest).free,
    )


def _is_writable(nearest: Path) -> bool:
    if not nearest.is_dir():
        return os.access(nearest, os.W_OK)
    try:
        # Tried, because what rights say is not all: such as of a disk that can only be read.
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=nearest):
            return True
    except OSError:
        return False


def filesystem(path: Path) -> str:
    """The kind of filesystem that a path lies on; empty where the kernel does not tell.

    https://docs.kernel.org/filesystems/proc.html#proc-pid-mountinfo-information-about-mounts
    """
    best, kind = Path(), ""
    try:
        lines = _MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return ""
    for line in lines:
        before, _, behind = line.partition(" - ")
        mounted = Path(before.split(" ")[4].encode("utf-8", "surrogateescape").decode("unicode_escape"))
        # The last one wins: it lies over those before it.
        if path.is_relative_to(mounted) and (not kind or mounted.is_relative_to(best)):
            best, kind = mounted, behind.partition(" ")[0]
    return kind


def secret_files(settings: Settings | None, rules: policy.Policy | None) -> tuple[SecretFile, ...]:
    """The files with secrets that are there."""
    named = dict(setting.secret_paths())
    if settings is not None:
        named["the encryption key"] = settings.data_dir / keyring.FILE_NAME
        named["the settings that set-up wrote"] = settings.data_dir / "settings.env"
    if settings is not None and settings.policy_file is not None and rules is not None:
        wanted = [one for of in rules.sources.values() for one in of.secrets]
        wanted += [one for of in rules.subscribers.values() for one in of.secrets]
        for one in wanted:
            if one.where == policy.Where.FILE:
                named[f"{one.name} of the policy file"] = settings.policy_file.parent / Path(one.name).expanduser()
    found = []
    for name, path in named.items():
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
        except OSError:
            continue
        found.append(SecretFile(name=name, path=str(path), mode=mode))
    return tuple(found)
