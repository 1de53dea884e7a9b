"""How a step, or a job, ended, and why in words for people."""

from __future__ import annotations

from . import groups

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .orders import Launch

_KILLED = 128 + 9
#: By SIGXFSZ: a file grew larger than it may.
_FILE_TOO_LARGE = 128 + 25


class End:
    """How a step, or the job, ended."""

    def __init__(self, result: str, reason: str | None = None, exit_code: int | None = None) -> None:
        self.result = result
        self.reason = reason
        self.exit_code = exit_code


class Trouble(Exception):
    """The containers are not as the job needs them.

    :ivar result: how the job ends.
    """

    def __init__(self, reason: str, *, result: str = "errored") -> None:
        super().__init__(reason)
        self.result = result


def cancel_reason() -> str:
    """Why somebody wants the job cancelled."""
    try:
        with open("cancel", encoding="utf-8") as file:
            return file.read()
    except OSError:
        return "It was cancelled."


def by_limit(launch: Launch, lacking: set[str], code: int | None) -> str | None:
    """Which limit of the job may have been what ended a step; None where it met none.

    :param lacking: of what there was not enough, see `groups.Group.ran_out`.
    """
    known = launch.group or {}
    ended = "killed" if code in (None, _KILLED) else f"exit status {code}"
    if groups.MEMORY in lacking and known["memory_bytes"]:
        return f"{ended}: memory ran out, of which a job has {_size(known['memory_bytes'])}"
    if launch.file_bytes and code == _FILE_TOO_LARGE:
        return f"{ended}: {by_disk(launch)}"
    if groups.PROCESSES in lacking and known["processes"]:
        return f"{ended}: it wanted more than the {known['processes']} processes that a job may have at once"
    return None


def by_disk(launch: Launch) -> str:
    """That a job took more of the disk than it may."""
    return f"it wrote more than the {_size(launch.disk_bytes)} or {launch.disk_files} files that a job may have"


def too_long(launch: Launch) -> str:
    """That a job ran longer than it may."""
    return f"It ran longer than {duration(launch.timeout_seconds)}, its time limit."


def by_code(code: int) -> str:
    """What an exit status says."""
    if code == _KILLED:
        return f"exit status {code}: killed by signal 9, often because memory ran out"
    if 128 < code < 193:
        return f"exit status {code}: killed by signal {code - 128}"
    return f"exit status {code}"


def duration(seconds: float) -> str:
    """A length of time."""
    if seconds >= 120:
        return f"{seconds / 60:g} minutes"
    return f"{seconds:g} seconds"


def _size(size_bytes: int) -> str:
    for shift, unit in ((30, "GiB"), (20, "MiB")):
        if size_bytes >= 1 << shift:
            return f"{size_bytes / (1 << shift):.1f}".removesuffix(".0") + f" {unit}"
    return f"{size_bytes} bytes"
