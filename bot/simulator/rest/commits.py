"""Commits and comparisons: https://docs.github.com/en/rest/commits.

A commit that was pushed to a fork only is found by its SHA in every repository of the network:
https://docs.github.com/en/repositories/viewing-activity-and-data-for-your-repository/understanding-connections-between-repositories.
"""

from __future__ import annotations

from collections.abc import Sequence

from bot.simulator import values
from bot.simulator.rest import call, repositories

#: GitHub lists at most this many files of a commit or a comparison.
MOST_FILES = 300

#: A comparison that is not asked for in pages lists at most this many commits, the newest ones.
MOST_COMMITS = 250


async def commit_of(this: call.Call, ref: str) -> values.Commit:
    """:raises ApiError: 422, if there is no such commit"""
    sha = await this.resolve(ref)
    if sha is None:
        raise call.ApiError(422, f"No commit found for SHA: {ref}")
    return await this.world.git_of(this.repository).commit(sha)


async def list_commits(this: call.Call) -> call.Answer:
    ref = this.query.get("sha") or this.repository.default_branch
    sha = await this.resolve(ref)
    if sha is None:
        raise call.ApiError(404, "Not Found")
    its_git = this.world.git_of(this.repository)
    shas, headers = this.page((await its_git.range([sha], limit=10_000))[::-1])
    shapes = this.world.shapes
    body = [shapes.commit(this.repository, commit) for commit in await its_git.commits(shas)]
    return call.Answer(body=body, headers=headers)


async def get_commit(this: call.Call) -> call.Answer:
    commit = await commit_of(this, this.parameters["ref"])
    if "application/vnd.github.sha" in this.accept:
        return call.Answer(raw=commit.sha.encode(), media_type="application/vnd.github.sha; charset=utf-8")
    its_git = this.world.git_of(this.repository)
    parent = commit.parents[0] if commit.parents else await its_git.empty_tree()
    files = await its_git.changes(parent, commit.sha)
    return call.Answer(body=this.world.shapes.commit(this.repository, commit, files[:MOST_FILES]))


async def list_branches_where_head(this: call.Call) -> call.Answer:
    """The branches of this repository, and of no fork, that point at the commit."""
    commit = await commit_of(this, this.parameters["commit_sha"])
    names = sorted(name for name, sha in this.repository.heads.items() if sha == commit.sha)
    return call.Answer(body=[repositories.short_branch(this, name, commit.sha) for name in names])


async def list_pulls_of_commit(this: call.Call) -> call.Answer:
    """The merged pull request that brought a commit of the default branch; of another commit all that have it."""
    commit = await commit_of(this, this.parameters["commit_sha"])
    default = this.repository.heads.get(this.repository.default_branch)
    is_in_default = default and await this.world.git_of(this.repository).is_ancestor(commit.sha, default)
    pulls = [pull for pull in this.world.pulls.values() if pull.repository is this.repository]
    found = [
        pull
        for pull in pulls
        if (pull.merged_at is not None or not is_in_default)
        and (
            (pull.merged_at is not None and pull.merge_commit_sha == commit.sha)
            or commit.sha in await this.world.pull_commits(pull)
        )
    ]
    items, headers = this.page(found)
    association = this.world.association
    body = [
        this.world.shapes.pull_request(pull, association=association(pull.repository, pull.author)) for pull in items
    ]
    return call.Answer(body=body, headers=headers)


async def _side(this: call.Call, name: str) -> str | None:
    """The commit of one side of a comparison: a ref or SHA, or `owner:ref` for this repository or a fork."""
    owner, colon, ref = name.partition(":")
    if not colon:
        return await this.resolve(name)
    for repository in this.world.network(this.repository):
        if repository.owner.login.lower() == owner.lower():
            return await this.resolve(ref, repository=repository)
    return None


def _page(this: call.Call, shas: Sequence[str]) -> tuple[Sequence[str], dict[str, str]]:
    is_paged = "page" in this.query or "per_page" in this.query
    return this.page(shas) if is_paged else (shas[-MOST_COMMITS:], {})


async def compare(this: call.Call) -> call.Answer:
    """`{base}...{head}`: what head has that their common ancestor has not. The files are on the first page only."""
    owner = f"{this.repository.owner.login}:"
    base_name, dots, head_name = this.parameters["basehead"].partition("...")
    base_sha = await _side(this, base_name)
    head_sha = await _side(this, head_name) if dots else None
    its_git = this.world.git_of(this.repository)
    start = await its_git.merge_base(base_sha, head_sha) if base_sha and head_sha else None
    if base_sha is None or head_sha is None or start is None:
        raise call.ApiError(404, "Not Found")
    behind_by, ahead_by = await its_git.count(base_sha, head_sha)
    states = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    shas, headers = _page(this, await its_git.range([head_sha], excluding=[base_sha], limit=10_000))
    commits = await its_git.commits(shas)
    base, merge_base = await its_git.commits([base_sha, start])
    shapes, repository = this.world.shapes, this.repository
    url, html = f"{shapes.repository_url(repository)}/compare/", f"{repository.html_url}/compare/"
    files = await its_git.changes(start, head_sha) if this.query.get("page", "1") == "1" else []
    body = {
        "url": url + this.parameters["basehead"],
        "html_url": html + this.parameters["basehead"],
        "permalink_url": f"{html}{owner}{base_sha[:7]}...{owner}{head_sha[:7]}",
        "diff_url": f"{html}{this.parameters['basehead']}.diff",
        "patch_url": f"{html}{this.parameters['basehead']}.patch",
        "base_commit": shapes.commit(repository, base),
        "merge_base_commit": shapes.commit(repository, merge_base),
        "status": states[ahead_by > 0, behind_by > 0],
        "ahead_by": ahead_by,
        "behind_by": behind_by,
        "total_commits": ahead_by,
        "commits": [shapes.commit(repository, commit) for commit in commits],
        "files": [shapes.file_change(repository, head_sha, file) for file in files[:MOST_FILES]],
    }
    return call.Answer(body=body, headers=headers)


_REPOSITORY = "/repos/{owner}/{repo}"
_COMMIT = _REPOSITORY + "/commits/{commit_sha}"

ROUTES = (
    call.Route(method="GET", template=_REPOSITORY + "/commits", handler=list_commits, needs="contents:read"),
    call.Route(
        method="GET",
        template=_COMMIT + "/branches-where-head",
        handler=list_branches_where_head,
        needs="contents:read",
    ),
    call.Route(method="GET", template=_COMMIT + "/pulls", handler=list_pulls_of_commit, needs="pull_requests:read"),
    call.Route(method="GET", template=_REPOSITORY + "/compare/{basehead}", handler=compare, needs="contents:read"),
)

#: Registered after every other route below `/commits/`, for a ref may have slashes.
LAST_ROUTES = (
    call.Route(method="GET", template=_REPOSITORY + "/commits/{ref}", handler=get_commit, needs="contents:read"),
)
