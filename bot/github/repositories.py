"""Repositories as GitHub describes them: those of an installation, and one of them whole.

https://docs.github.com/en/rest/apps/installations#list-repositories-accessible-to-the-app-installation
https://docs.github.com/en/rest/repos/repos#get-a-repository
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github import classify, pages, urls
from bot.github.calls import Ask, Calls, InstallationCalls

_PAGES = 100
#: So many of an installation are listed; there may be more.
MOST = _PAGES * pages.PER_PAGE


class RepositoryRef(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of an installation."""

    id: int
    #: `owner/name` at that moment: a label.
    full_name: str
    #: Name of a branch, which is not there yet where the repository is empty.
    default_branch: str
    is_archived: bool
    #: True where GitHub does not say.
    is_private: bool = True


class _Repository(msgspec.Struct):
    id: int
    full_name: str
    default_branch: str
    archived: bool = False
    private: bool = True


class _Repositories(msgspec.Struct):
    repositories: list[_Repository]


class _Id(msgspec.Struct):
    id: int


async def list_repositories(calls: InstallationCalls) -> tuple[RepositoryRef, ...]:
    """The repositories that the installation gives us; at most 10,000.

    :raises errors.NotReachable: if the installation is not one of this App's, or was deleted.
    :raises errors.Suspended: if it is suspended.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """

    def read(answer: classify.Answer) -> list[_Repository]:
        return classify.decode(answer, _Repositories, what="GET /installation/repositories").repositories

    found = await pages.walk(
        lambda page: calls.fetch(urls.path("installation", "repositories", query=page)),
        read,
        most_pages=_PAGES,
        what=f"repositories of installation {calls.installation_id}",
    )
    return tuple({one.id: _ref(one) for one in found}.values())


async def get_named(calls: InstallationCalls, full_name: str) -> RepositoryRef:
    """The repository that has this name now; a name that it had before is none.

    :raises errors.ShapeUnknown: if the full name is not `owner/name`.
    :raises errors.NotReachable: if the installation does not give us a repository of this name.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    owner, _, name = urls.checked_full_name(full_name).partition("/")
    answer = await calls.fetch(urls.path("repos", owner, name))
    found = classify.decode(answer, _Repository, what=f"GET /repos/{full_name}")
    if found.full_name.lower() != full_name.lower():
        raise errors.NotReachable(f"{full_name} is called {found.full_name} by now.")
    return _ref(found)


def _ref(one: _Repository) -> RepositoryRef:
    return RepositoryRef(
        id=one.id,
        full_name=one.full_name,
        default_branch=one.default_branch,
        is_archived=one.archived,
        is_private=one.private,
    )


async def get_raw(calls: Calls) -> bytes:
    """The repository as GitHub describes it: an object of JSON.

    :raises errors.NotReachable: if it is not ours to see, or its name belongs to another one by now.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    answer = await calls.fetch(Ask(parts=()))
    found = classify.decode(answer, _Id, what=f"GET /repos/{calls.full_name}")
    if found.id != calls.repository_id:
        raise errors.NotReachable(f"{calls.full_name} is not repository {calls.repository_id} but {found.id}.")
    return answer.body
