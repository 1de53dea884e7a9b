"""The control groups of one job: how much memory, how many processes and how much of the processors it may use.

A folder of version 2 of the interface is known by its `cgroup.controllers`, all others are of version 1.

https://docs.kernel.org/admin-guide/cgroup-v2.html
https://docs.kernel.org/admin-guide/cgroup-v1/index.html
"""

from __future__ import annotations

import os
import time

from . import spaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MEMORY, PROCESSES, CPUS = "memory", "pids", "cpu"
_PERIOD_MICROSECONDS = 100_000
_KILL = 9
#: How long the end of what was killed is waited for.
_END_SECONDS = 5.0
_LOOK_SECONDS = 0.01


class Group:
    """Made by a job's supervisor before its first step, taken away behind its last one."""

    def __init__(
        self, folders: dict[str, str], name: str, *, memory_bytes: int, processes: int, cpus: float, leaf: str = ""
    ) -> None:
        """Make it, empty.

        :param folders: kind -> folder in which to make it.
        :param memory_bytes: and no swap beside it; 0 for no limit, as with the others.
        :param cpus: of one processor's time; may be more than 1.
        :param leaf: name of a group in it for its own processes, where containers have others beside that.
        :raises OSError: if it cannot be made.
        """
        self._folders = {kind: os.path.join(folder, name) for kind, folder in folders.items()}
        for folder in self._each():
            _make(folder)
        if MEMORY in self._folders and memory_bytes:
            _limit_memory(self._folders[MEMORY], memory_bytes)
        if PROCESSES in self._folders and processes:
            _write(self._folders[PROCESSES], "pids.max", str(processes))
        if CPUS in self._folders and cpus:
            _limit_cpus(self._folders[CPUS], max(1000, round(cpus * _PERIOD_MICROSECONDS)))
        #: For each the descriptor by which a process comes into it: it writes `0` there.
        self.doors = []
        for folder in self._each():
            own = os.path.join(folder, leaf)
            _make(own)
            self.doors.append(spaces.high(os.open(os.path.join(own, "cgroup.procs"), os.O_WRONLY | os.O_CLOEXEC)))
        self._seen = {MEMORY: 0, PROCESSES: 0}

    def ran_out(self) -> set[str]:
        """Of what there was not enough since this was asked last."""
        found = set()
        for kind, (names, word) in _COUNTS.items():
            if kind in self._folders:
                folder = self._folders[kind]
                count = sum(_count(one, names, word) for one in [folder, *_below(folder)])
                if count > self._seen[kind]:
                    found.add(kind)
                self._seen[kind] = count
        return found

    def end(self) -> None:
        """Kill whatever is left in it, and take it away."""
        for door in self.doors:
            os.close(door)
        remove(self._each())

    def _each(self) -> list[str]:
        return sorted(set(self._folders.values()))


#: Where it is counted how often there was not enough, by the names of both versions, and the word before the number.
_COUNTS = {
    MEMORY: (("memory.events", "memory.oom_control"), "oom_kill"),
    PROCESSES: (("pids.events",), "max"),
}


def remove(folders: Iterable[str]) -> bool:
    """Kill whatever is left in groups and take them away; returns whether they are gone."""
    until = time.monotonic() + _END_SECONDS
    left = list(folders)
    while left:
        for folder in list(left):
            # Containers have groups of their own in there.
            for inner in [*_below(folder), folder]:
                _kill(inner)
                try:
                    os.rmdir(inner)
                except FileNotFoundError:
                    pass
                except OSError:
                    break
            else:
                left.remove(folder)
        if left and time.monotonic() >= until:
            return False
        if left:
            time.sleep(_LOOK_SECONDS)
    return True


def _kill(folder: str) -> None:
    pids = _read(folder, "cgroup.procs").split()
    if not pids:
        return
    try:
        _write(folder, "cgroup.kill", "1")
    except OSError:
        # Of version 1, or of a kernel before 5.14.
        for pid in pids:
            try:
                os.kill(int(pid), _KILL)
            except ProcessLookupError:
                continue


def mounted(table: str) -> list[tuple[str, str]]:
    """Where control groups are mounted, and the names of the controllers of each; version 2 has none there.

    :param table: `/proc/self/mountinfo`.
    """
    found = []
    for line in table.splitlines():
        before, _, behind = line.partition(" - ")
        kind, _, options = behind.split(" ", 2)
        if kind in ("cgroup", "cgroup2"):
            found.append((before.split(" ")[4], options if kind == "cgroup" else ""))
    return found


def _below(folder: str) -> list[str]:
    """The groups in a group, the innermost first."""
    try:
        inner = [one.path for one in os.scandir(folder) if one.is_dir(follow_symlinks=False)]
    except OSError:
        return []
    return [one for path in inner for one in (*_below(path), path)]


def _make(folder: str) -> None:
    try:
        os.mkdir(folder, 0o755)
    except FileExistsError:
        return


def _limit_memory(folder: str, memory_bytes: int) -> None:
    if _is_second(folder):
        _write(folder, "memory.max", str(memory_bytes))
        _write_where_it_is(folder, "memory.swap.max", "0")
        # Of a build in which something is missing nothing good comes.
        _write_where_it_is(folder, "memory.oom.group", "1")
    else:
        _write(folder, "memory.limit_in_bytes", str(memory_bytes))
        _write_where_it_is(folder, "memory.memsw.limit_in_bytes", str(memory_bytes))


def _limit_cpus(folder: str, microseconds: int) -> None:
    if _is_second(folder):
        _write(folder, "cpu.max", f"{microseconds} {_PERIOD_MICROSECONDS}")
    else:
        _write(folder, "cpu.cfs_period_us", str(_PERIOD_MICROSECONDS))
        _write(folder, "cpu.cfs_quota_us", str(microseconds))


def _is_second(folder: str) -> bool:
    return os.path.exists(os.path.join(folder, "cgroup.controllers"))


def _write(folder: str, name: str, text: str) -> None:
    file = os.open(os.path.join(folder, name), os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(file, text.encode("ascii"))
    finally:
        os.close(file)


def _write_where_it_is(folder: str, name: str, text: str) -> None:
    if os.path.exists(os.path.join(folder, name)):
        _write(folder, name, text)


def _read(folder: str, name: str) -> str:
    try:
        with open(os.path.join(folder, name), encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def _count(folder: str, names: tuple[str, ...], word: str) -> int:
    for name in names:
        for line in _read(folder, name).splitlines():
            said, _, number = line.partition(" ")
            if said == word and number.isdigit():
                return int(number)
    return 0
