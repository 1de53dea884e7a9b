"""What commits changed: the names of files, and whether these are all of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFiles:
    """The files that differ between two commits, as GitHub told them."""

    #: Paths from the root of the repository; of a file that was renamed both names.
    names: tuple[str, ...]
    #: False where there are, or may be, more than these.
    is_whole: bool
