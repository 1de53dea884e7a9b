"""Storage: what a repository keeps altogether, and what is said where it has no room for more. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from bot.model import artifact, report

#: How much a repository keeps where the operator's policy does not say.
USUAL_BYTES = 10 << 30
#: Of a job's output so much is kept where its repository has no room: its beginning, and the end of its steps.
LEAN_LOG_BYTES = 1 << 20
#: The same of test cases that did not pass, and of findings.
LEAN_ROWS = 100
_UNITS = ("bytes", "KiB", "MiB", "GiB", "TiB")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """What the jobs of a repository keep that have ended. A log counts as it was written, before it is packed."""

    log_bytes: int = 0
    report_bytes: int = 0
    artifact_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        """All of it."""
        return self.log_bytes + self.report_bytes + self.artifact_bytes


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """How much a repository may keep, and keeps."""

    kept: Kept
    most_bytes: int

    @property
    def is_full(self) -> bool:
        """Whether it may keep nothing more."""
        return self.kept.total_bytes >= self.most_bytes

    def has_place(self, more_bytes: int) -> bool:
        """Whether it may keep so much more."""
        return not self.is_full and self.kept.total_bytes + more_bytes <= self.most_bytes

    @property
    def text(self) -> str:
        """In words: `10.2 GiB of 10.0 GiB`."""
        return f"{size(self.kept.total_bytes)} of {size(self.most_bytes)}"


def fitting(
    made: Sequence[artifact.Artifact], *, room: Room
) -> tuple[tuple[artifact.Artifact, ...], tuple[artifact.Artifact, ...]]:
    """The artifacts that there is room for, in their order, and those that there is none for."""
    fits: list[artifact.Artifact] = []
    too_much: list[artifact.Artifact] = []
    for one in made:
        has_place = room.has_place(sum(other.size_bytes for other in fits) + one.size_bytes)
        (fits if has_place else too_much).append(one)
    return tuple(fits), tuple(too_much)


def lean(found: report.Results) -> report.Results:
    """What is kept of a job's reports where there is no room: all counts, and the first of what did not pass."""
    unwell = [one for one in found.cases if one.state in report.UNWELL]
    return replace(found, cases=tuple(unwell[:LEAN_ROWS]), findings=found.findings[:LEAN_ROWS])


def why_not_kept(room: Room, names: Sequence[str]) -> str:
    """What is said of artifacts that there is no room for."""
    what = f"the artifact {names[0]} was" if len(names) == 1 else f"the artifacts {', '.join(names)} were"
    return f"This repository keeps {room.text}: {what} not kept. {_MEND}"


def why_lean(room: Room) -> str:
    """What is said of a job of a repository that has no room."""
    return (
        f"This repository keeps {room.text}: of this job no artifacts are kept, of its log {size(LEAN_LOG_BYTES)} with "
        f"its end, of its reports the counts and the first failures. {_MEND}"
    )


_MEND = (
    "Lower `retention-days` of its artifacts, or have the operator raise `storage` in the policy's section `quotas`."
)


def report_bytes(found: report.Results) -> int:
    """About how much the rows of a job's reports take."""
    texts = [found.summary, *found.problems]
    for case in found.cases:
        texts += [case.name, case.classname, case.file or "", case.message, case.details]
    for one in found.findings:
        texts += [one.tool, one.path, one.text, one.title or "", one.details or ""]
    return sum(map(len, texts)) + _ROW_BYTES * (len(found.cases) + len(found.findings))


#: What a row takes besides its texts.
_ROW_BYTES = 100


def size(size_bytes: int) -> str:
    """A number of bytes: `512 bytes`, `1.5 MiB`."""
    amount, unit = float(size_bytes), 0
    while amount >= 1024 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1024, unit + 1
    if unit == 0:
        return "1 byte" if size_bytes == 1 else f"{size_bytes} bytes"
    return f"{amount:.1f} {_UNITS[unit]}"
