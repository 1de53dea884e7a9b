"""Pull requests as they are now.

https://docs.github.com/en/rest/pulls/pulls
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from bot.github import classify, compare
from bot.github.calls import Ask, Calls
from bot.model import change

_PER_PAGE = 100
_PAGES = 10
#: GitHub shows at most 3,000 files of a pull request.
_PAGES_OF_FILES = 30


class Pull(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request, as far as builds depend on it."""

    number: int
    #: `open` or `closed`.
    state: str
    head_sha: str
    #: Branch name of the head.
    head_ref: str
    #: None when the fork is gone.
    head_repository_id: int | None
    base_sha: str
    #: Branch name of the base.
    base_ref: str
    base_repository_id: int | None
    author: str
    author_id: int
    is_draft: bool
    updated_at: datetime
    is_author_bot: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPull:
    """An open pull request, as read and as GitHub describes it in lists."""

    pull: Pull
    #: An object of JSON.
    raw: bytes = field(repr=False)


class _Id(msgspec.Struct):
    id: int


class _User(msgspec.Struct):
    id: int
    login: str
    type: str | None = None


class _End(msgspec.Struct):
    sha: str
    ref: str
    repo: _Id | None = None


class _Pull(msgspec.Struct):
    number: int
    state: str
    head: _End
    base: _End
    updated_at: datetime
    user: _User | None = None
    draft: bool | None = None


async def get_pull(calls: Calls, number: int) -> Pull:
    """The pull request.

    :raises errors.NotReachable: if there is none of that number.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    return _pull(await calls.call(Ask(parts=("pulls", number)), _Pull))


async def list_pulls_of_head(calls: Calls, head_ref: str) -> tuple[Pull, ...]:
    """The open pull requests whose head is this branch of this very repository; at most 100.

    :raises errors.GitHubError: if GitHub does not say.
    """
    owner = calls.full_name.partition("/")[0]
    query: dict[str, str | int] = {"state": "open", "head": f"{owner}:{head_ref}", "per_page": _PER_PAGE}
    found = [_pull(one) for one in await calls.call(Ask(parts=("pulls",), query=query), list[_Pull])]
    # GitHub leaves a filter out that it does not understand, and a fork of the same owner matches it too.
    return tuple(one for one in found if one.head_ref == head_ref and one.head_repository_id == calls.repository_id)


async def list_open_pulls(calls: Calls) -> tuple[OpenPull, ...]:
    """The open pull requests, the one that changed last first; at most 1,000.

    :raises errors.GitHubError: if GitHub does not say.
    """

    def read(answer: classify.Answer) -> list[OpenPull]:
        what = f"GET /repos/{calls.full_name}/pulls"
        typed = classify.decode(answer, list[_Pull], what=what)
        raw = classify.decode(answer, list[msgspec.Raw], what=what)
        return [OpenPull(pull=_pull(one), raw=bytes(its)) for one, its in zip(typed, raw, strict=True)]

    query: dict[str, str | int] = {"state": "open", "sort": "updated", "direction": "desc"}
    found = await calls.walk(Ask(parts=("pulls",), query=query), read, most_pages=_PAGES)
    by_number: dict[int, OpenPull] = {}
    for one in found:
        # What changes while the pages are read moves others onto the next one, where they are seen again.
        by_number.setdefault(one.pull.number, one)
    return tuple(by_number.values())


async def changed_files(calls: Calls, number: int, *, base: str, head: str) -> change.ChangedFiles:
    """The files that a pull request changes, with its head at this commit; not whole where they cannot all be had.

    The commits are compared, which is exact and shows 300 files. Where there are more, the pull request is asked, which
    knows only how it stands now: that counts where its head is still this one.
    https://docs.github.com/en/rest/pulls/pulls#list-pull-requests-files

    :raises errors.GitHubError: if GitHub lets us ask nothing at all.
    """
    compared = await compare.changed_files(calls, base=base, head=head, is_since_fork=True)
    if compared.is_whole or len(compared.names) < compare.MOST_FILES:
        return compared

    def read(answer: classify.Answer) -> list[compare.File]:
        return classify.decode(answer, list[compare.File], what=f"GET /repos/{calls.full_name}/pulls/{number}/files")

    listed = await calls.walk(Ask(parts=("pulls", number, "files")), read, most_pages=_PAGES_OF_FILES)
    names = compare.names_of(listed)
    is_whole = len(listed) < _PER_PAGE * _PAGES_OF_FILES and set(compared.names) <= set(names)
    is_still_it = is_whole and (await get_pull(calls, number)).head_sha == head
    return change.ChangedFiles(names=names, is_whole=is_still_it)


def _pull(found: _Pull) -> Pull:
    return Pull(
        number=found.number,
        state=found.state,
        head_sha=found.head.sha,
        head_ref=found.head.ref,
        head_repository_id=found.head.repo.id if found.head.repo is not None else None,
        base_sha=found.base.sha,
        base_ref=found.base.ref,
        base_repository_id=found.base.repo.id if found.base.repo is not None else None,
        # GitHub shows the pull requests of deleted users as those of `ghost`.
        author=found.user.login if found.user is not None else "ghost",
        author_id=found.user.id if found.user is not None else 0,
        is_draft=found.draft is True,
        updated_at=found.updated_at,
        is_author_bot=found.user is not None and found.user.type == "Bot",
    )
