"""How two commits stand to each other.

https://docs.github.com/en/rest/commits/commits#compare-two-commits
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github.calls import Ask, Calls


class _Comparison(msgspec.Struct):
    behind_by: int


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
