"""How two commits stand to each other.

https://docs.github.com/en/rest/commits/commits#compare-two-commits
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github.calls import Ask, Calls
from bot.model import change

#: GitHub shows at most so many files of a comparison.
MOST_FILES = 300


class File(msgspec.Struct):
    """A file that was changed."""

    filename: str
    #: Where it was renamed.
    previous_filename: str | None = None


class _Comparison(msgspec.Struct):
    behind_by: int


class _Changes(msgspec.Struct):
    behind_by: int
    files: list[File] | None = None


async def is_ahead_only(calls: Calls, *, base: str, head: str) -> bool:
    """Whether the head contains the whole base, so that merging them gives the head's own tree.

    Commits that GitHub does not know, or that have nothing in common, prove nothing: False.

    :raises errors.GitHubError: if GitHub does not say.
    """
    if base == head:
        return True
    ask = Ask(parts=("compare", f"{base}...{head}"), query={"per_page": 1})
    try:
        return (await calls.call(ask, _Comparison)).behind_by == 0
    except errors.NotReachable:
        # Raises where it was the token that could not be had.
        await calls.prove()
        return False


async def changed_files(calls: Calls, *, base: str, head: str, is_since_fork: bool) -> change.ChangedFiles:
    """The files that differ between two commits; not whole where GitHub does not show, or does not compare, them all.

    :param is_since_fork: whether what only the base has does not count, as for a pull request.
    :raises errors.GitHubError: if GitHub lets us ask nothing at all.
    """
    ask = Ask(parts=("compare", f"{base}...{head}"), query={"per_page": 1})
    try:
        found = await calls.call(ask, _Changes)
    except errors.NotReachable:
        # Raises where it was the token that could not be had.
        await calls.prove()
        return UNKNOWN
    except (errors.GitHubUnavailable, errors.Invalid):
        # Also said of what takes GitHub too long to compare, which would never change.
        return UNKNOWN
    names = names_of(found.files or [])
    # GitHub compares with where the two parted: what the head has not of the base is not shown.
    is_all = is_since_fork or found.behind_by == 0
    return change.ChangedFiles(
        names=names, is_whole=is_all and found.files is not None and len(found.files) < MOST_FILES
    )


UNKNOWN = change.ChangedFiles(names=(), is_whole=False)


def names_of(files: list[File]) -> tuple[str, ...]:
    """The names of files, of a renamed one both."""
    names = [name for one in files for name in (one.filename, one.previous_filename) if name is not None]
    return tuple(dict.fromkeys(names))
