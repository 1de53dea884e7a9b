"""What commits changed: the names of files, and whether these are all of them."""

from __future__ import annotations

import msgspec


class ChangedFiles(msgspec.Struct, frozen=True, kw_only=True):
    """The files that differ between two commits, as GitHub told them."""

    #: Paths from the root of the repository; of a file that was renamed both names.
    names: tuple[str, ...]
    #: False where there are, or may be, more than these.
    is_whole: bool
