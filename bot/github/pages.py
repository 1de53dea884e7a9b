"""Lists that come in pages: read to their end, or to a bound whose reaching is told.

https://docs.github.com/en/rest/using-the-rest-api/using-pagination-in-the-rest-api
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from yarl import URL

from bot import errors, telemetry
from bot.github import classify

T = TypeVar("T")

#: The most that GitHub puts on a page.
PER_PAGE = 100
_NEXT = re.compile(r'<([^<>]*)>[^<>]*?;\s*rel="?next"?\s*(?:[,;]|\Z)', re.IGNORECASE)

_log = telemetry.log("github")


async def walk(
    fetch: Callable[[Mapping[str, str | int]], Awaitable[classify.Answer]],
    read: Callable[[classify.Answer], Sequence[T]],
    *,
    most_pages: int,
    what: str,
) -> list[T]:
    """The entries of all pages, as GitHub orders them, or of the first `most_pages` only.

    A list that changes between two pages may show an entry twice or leave one out.

    :param fetch: asks for the page with this query
    :param read: the entries on a page
    :param what: the list in words, for the warning that it is longer
    :raises errors.GitHubError: what `fetch` and `read` raise.
    """
    found: list[T] = []
    for number in range(1, most_pages + 1):
        answer = await fetch({"per_page": PER_PAGE, "page": number})
        entries = read(answer)
        found += entries
        if _is_last(answer, len(entries)):
            return found
    _log.warning("A list of GitHub's is longer than what is read of it.", action="list_cut", what=what, read=len(found))
    return found


def next_cursor(answer: classify.Answer, *, what: str) -> str | None:
    """The `cursor` of the next page, by the `Link` header; None where this is the last.

    :raises errors.GitHubUnavailable: if there is a next page and no cursor for it.
    """
    match = _NEXT.search(answer.headers.get("link", ""))
    if match is None:
        return None
    try:
        cursor = URL(match[1], encoded=True).query.get("cursor")
    except ValueError:
        cursor = None
    if not cursor:
        raise errors.GitHubUnavailable(f"GitHub's answer to {what} does not say where its next page is.", status=200)
    return cursor


def _is_last(answer: classify.Answer, count: int) -> bool:
    link = answer.headers.get("link")
    # A list of one page has no such header; neither has an answer whose header a proxy dropped, so a full page is
    # asked for more.
    return count < PER_PAGE if link is None else _NEXT.search(link) is None
