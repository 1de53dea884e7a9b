"""Where this machine lets us make control groups for jobs, found out by making one; and what is left of lost jobs."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bot.engines import contract
from bot.engines.local.supervisor import cage, groups

_WORDS = {groups.MEMORY: "memory", groups.PROCESSES: "processes", groups.CPUS: "time of the processors"}
#: Where the service's own processes go: in version 2 a group that limits others has none of its own.
_SERVICE = "buildhook-service"


class Cgroups(msgspec.Struct, frozen=True, kw_only=True):
    """The control groups of one engine's jobs."""

    #: Kind -> folder in which each job's is made; kinds that cannot be had here are not in it.
    folders: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Which limits cannot be set here, why, and how to mend it.
    problem: str | None = None

    def clear(self, job_id: str) -> None:
        """Kill what is left of a job, and take its groups away."""
        groups.remove({os.path.join(folder, job_id) for folder in self.folders.values()})

    def close(self) -> None:
        """Leave nothing behind, unless jobs go on."""
        for folder in set(self.folders.values()):
            with contextlib.suppress(OSError):
                os.rmdir(folder)

    def sweep(self, is_known: Callable[[str], bool]) -> None:
        """Clear what is left of jobs that are not known any more."""
        for folder in set(self.folders.values()):
            for path in Path(folder).iterdir():
                if path.is_dir() and not is_known(path.name):
                    self.clear(path.name)


def find(data_dir: Path, limits: contract.JobLimits, *, proc: Path = Path("/proc/self")) -> Cgroups:
    """Look where the groups for these limits can be made, and make one of each to be sure. Blocks.

    :param data_dir: whose groups are not those of another service on this machine.
    :param proc: where the kernel tells of the mounts and of the groups that we are in.
    """
    wanted = {groups.MEMORY: limits.memory_bytes, groups.PROCESSES: limits.processes, groups.CPUS: limits.cpus}
    kinds = [kind for kind, limit in wanted.items() if limit is not None]
    if not kinds:
        return Cgroups()
    tag = hashlib.blake2s(os.fsencode(data_dir.absolute())).hexdigest()[:12]
    folders: dict[str, str] = {}
    why: dict[str, str] = {}
    try:
        own = _own(proc)
    except (OSError, ValueError) as error:
        own, why = {}, {"": str(error)}
    for kind in set(kinds) & set(own):
        try:
            folder = _room(own[kind], kind) / f"buildhook-{tag}"
            folder.mkdir(mode=0o755, exist_ok=True)
            if _is_second(folder):
                _hand_down(folder, kind)
            groups.Group(**_given({kind: str(folder)}, f"try-{os.getpid()}", limits)).end()
            folders[kind] = str(folder)
        except OSError as error:
            why[kind] = f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror)
    missing = [kind for kind in kinds if kind not in folders]
    return Cgroups(folders=folders, problem=_told(missing, why) if missing else None)


def given(held: Cgroups, job_id: str, limits: contract.JobLimits) -> dict[str, Any] | None:
    """A job's groups as its supervisor is told of them; None where there can be none."""
    return _given(held.folders, job_id, limits) if held.folders else None


def _given(folders: Mapping[str, str], name: str, limits: contract.JobLimits) -> dict[str, Any]:
    return {
        "folders": dict(folders),
        "name": name,
        "memory_bytes": limits.memory_bytes or 0,
        "processes": limits.processes or 0,
        "cpus": float(limits.cpus or 0),
    }


def _told(missing: list[str], why: Mapping[str, str]) -> str:
    what = " and ".join(_WORDS[kind] for kind in missing)
    reasons = "; ".join(dict.fromkeys(why.values())) or "the kernel offers no control group for it"
    return (
        f"A job's {what} cannot be limited here ({reasons}). To mend it: run the service as root, or by systemd with"
        " Delegate=yes; in a container, let it write below /sys/fs/cgroup."
    )


def _own(proc: Path) -> dict[str, Path]:
    """The folder of the group that we are in, for each kind that there is."""
    paths: dict[str, str] = {}
    for line in (proc / "cgroup").read_text(encoding="utf-8").splitlines():
        _, kinds, path = line.split(":", 2)
        paths |= dict.fromkeys(kinds.split(","), path)
    found: dict[str, Path] = {}
    for line in (proc / "mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, behind = line.partition(" - ")
        root, mounted = before.split(" ")[3:5]
        kind, _, options = behind.split(" ", 2)
        if kind == "cgroup2" and "" in paths:
            folder = _below(mounted, paths[""], root)
            offered = (folder / "cgroup.controllers").read_text(encoding="ascii").split() if folder else []
            found |= {one: folder for one in offered if folder is not None}
        elif kind == "cgroup":
            for one in set(options.split(",")) & set(paths):
                folder = _below(mounted, paths[one], root)
                if folder is not None:
                    found.setdefault(one, folder)
    return found


def _below(mounted: str, path: str, root: str) -> Path | None:
    """Where a group is seen: a container may see a part of the tree only."""
    if root != "/" and path != root and not path.startswith(f"{root}/"):
        return Path(mounted) if path == "/" else None
    inner = path if root == "/" else path[len(root) :]
    folder = Path(mounted, inner.lstrip("/"))
    return folder if folder.is_dir() else None


def _room(own: Path, kind: str) -> Path:
    """The group in which we may make others: in version 2 none of our processes stays there."""
    if not _is_second(own):
        return own
    if own.name == _SERVICE:
        own = own.parent
    # The root of the tree has no type, and may have both.
    pids = (own / "cgroup.procs").read_text(encoding="ascii").split() if (own / "cgroup.type").exists() else []
    if pids:
        # Such as a terminal's: that is not ours to arrange.
        if not {int(pid) for pid in pids} <= {1, os.getpid(), *cage.descendants(os.getpid())}:
            raise OSError(errno.EBUSY, "other programs are in our control group", str(own))
        inner = own / _SERVICE
        inner.mkdir(mode=0o755, exist_ok=True)
        for pid in pids:
            (inner / "cgroup.procs").write_text(pid, encoding="ascii")
    _hand_down(own, kind)
    return own


def _hand_down(folder: Path, kind: str) -> None:
    control = folder / "cgroup.subtree_control"
    if kind not in control.read_text(encoding="ascii").split():
        control.write_text(f"+{kind}", encoding="ascii")


def _is_second(folder: Path) -> bool:
    return (folder / "cgroup.controllers").exists()
