"""Branches and tags as they are now.

https://docs.github.com/en/rest/branches/branches#get-a-branch
https://docs.github.com/en/rest/repos/repos#list-repository-tags
https://docs.github.com/en/rest/commits/commits#get-a-commit
"""

from __future__ import annotations

import msgspec

from bot import errors
from bot.github import classify, urls
from bot.github.calls import Ask, Calls

_PAGES = 10
#: Only the commit's id, as text.
_SHA = "application/vnd.github.sha"
_SHA_BYTES = 1024
_NO_BRANCH = "branch not found"


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag."""

    #: Without `refs/tags/`.
    name: str
    #: The commit that it stands for, also where it is annotated and so an object of its own.
    sha: str


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """A branch as it stands now."""

    sha: str
    #: The whole message of that commit; None where GitHub does not tell it.
    message: str | None


class _Written(msgspec.Struct):
    message: str | None = None


class _Commit(msgspec.Struct):
    sha: str
    commit: _Written | None = None


class _Named(msgspec.Struct):
    """A branch or a tag."""

    name: str
    commit: _Commit


async def get_branch(calls: Calls, name: str) -> Branch | None:
    """The branch, or None if there is none of that name.

    :param name: without `refs/heads/`; slashes belong to it
    :raises errors.NotReachable: if the repository is not ours to see.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    try:
        found = await calls.call(Ask(parts=("branches", name)), _Named)
    except errors.NotReachable as error:
        if _NO_BRANCH not in str(error).lower():
            raise
        return None
    # GitHub redirects from the name that a branch had before it was renamed.
    if found.name != name:
        return None
    written = found.commit.commit
    return Branch(sha=found.commit.sha, message=written.message if written is not None else None)


async def get_branch_head(calls: Calls, name: str) -> str | None:
    """The commit that the branch points at, or None if there is no branch of that name; see `get_branch`."""
    found = await get_branch(calls, name)
    return found.sha if found is not None else None


async def get_tag(calls: Calls, name: str) -> str | None:
    """The commit that the tag stands for, or None if there is no such tag, or it stands for something else.

    :param name: without `refs/tags/`; slashes belong to it
    :raises errors.NotReachable: if the repository is not ours to see.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    try:
        answer = await calls.fetch(Ask(parts=("commits", "tags", *name.split("/")), accept=_SHA, max_bytes=_SHA_BYTES))
    except errors.Invalid:
        # "No commit found for SHA": GitHub's word for any name that leads to none.
        return None
    sha = answer.body.decode("ascii", "replace").strip()
    if not urls.is_sha(sha):
        raise errors.GitHubUnavailable(f"GitHub's answer for the tag {name!a} is no commit's id.")
    return sha


async def list_tags(calls: Calls) -> tuple[Tag, ...]:
    """The tags, as GitHub orders them; at most 1,000.

    :raises errors.GitHubError: if GitHub does not say.
    """

    def read(answer: classify.Answer) -> list[_Named]:
        return classify.decode(answer, list[_Named], what=f"GET /repos/{calls.full_name}/tags")

    found = await calls.walk(Ask(parts=("tags",)), read, most_pages=_PAGES)
    return tuple(Tag(name=name, sha=sha) for name, sha in {one.name: one.commit.sha for one in found}.items())
