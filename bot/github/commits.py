"""Commits as they are.

https://docs.github.com/en/rest/commits/commits#list-commits
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github.calls import Ask, Calls


class _Written(msgspec.Struct):
    message: str


class _Commit(msgspec.Struct):
    sha: str
    commit: _Written


async def find_message(calls: Calls, sha: str) -> str | None:
    """The message of a commit; None where GitHub does not know the commit.

    Not asked for by its own address, where all that it changed comes with it.

    :raises errors.GitHubError: if GitHub does not say.
    """
    try:
        found = await calls.call(Ask(parts=("commits",), query={"sha": sha, "per_page": 1}), list[_Commit])
    except errors.NotReachable:
        # Raises where it was the token that could not be had.
        await calls.prove()
        return None
    return next((one.commit.message for one in found if one.sha == sha), None)
