"""Repositories, branches, refs, commits, comparisons and people's rights: https://docs.github.com/en/rest/repos."""

from __future__ import annotations

from bot.simulator import values, world
from bot.simulator.rest import call

#: GitHub lists at most this many files of a comparison.
MOST_FILES = 300

#: The older words of `permission` for levels that came later; `role_name` has the level itself.
LEGACY = {"maintain": "write", "triage": "read"}


async def get_repository(this: call.Call) -> call.Answer:
    return call.Answer(body=this.world.shapes.full_repository(this.repository))


async def list_branches(this: call.Call) -> call.Answer:
    items, headers = this.page(sorted(this.repository.heads.items()))
    shapes = this.world.shapes
    return call.Answer(body=[shapes.short_branch(this.repository, name, sha) for name, sha in items], headers=headers)


async def get_branch(this: call.Call) -> call.Answer:
    name = this.parameters["branch"]
    sha = this.repository.heads.get(name)
    if sha is None:
        raise call.ApiError(404, "Branch not found")
    commit = await this.world.git_of(this.repository).commit(sha)
    return call.Answer(body=this.world.shapes.branch(this.repository, name, commit))


def _refs(repository: values.Repository) -> dict[str, str]:
    return {
        **{f"refs/heads/{name}": sha for name, sha in repository.heads.items()},
        **{f"refs/tags/{name}": sha for name, sha in repository.tags.items()},
    }


async def _ref_body(this: call.Call, name: str, sha: str) -> dict[str, object]:
    found = await this.world.git_of(this.repository).object(sha)
    return this.world.shapes.ref(this.repository, name, sha, found[1] if found else "commit")


async def get_ref(this: call.Call) -> call.Answer:
    name = f"refs/{this.parameters['ref']}"
    sha = _refs(this.repository).get(name)
    if sha is None and name.startswith("refs/pull/"):
        sha = await this.resolve(name)
    if sha is None:
        raise call.ApiError(404, "Not Found")
    return call.Answer(body=await _ref_body(this, name, sha))


async def list_matching_refs(this: call.Call) -> call.Answer:
    prefix = f"refs/{this.parameters['ref']}"
    matching = sorted(pair for pair in _refs(this.repository).items() if pair[0].startswith(prefix))
    items, headers = this.page(matching)
    return call.Answer(body=[await _ref_body(this, name, sha) for name, sha in items], headers=headers)


async def list_tags(this: call.Call) -> call.Answer:
    """The last name first, each with the commit that it stands for, also where the tag is an object of its own."""
    items, headers = this.page(sorted(this.repository.tags.items(), reverse=True))
    its_git, shapes = this.world.git_of(this.repository), this.world.shapes
    body = [shapes.tag(this.repository, name, await its_git.peel(sha)) for name, sha in items]
    return call.Answer(body=body, headers=headers)


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


async def list_pulls_of_commit(this: call.Call) -> call.Answer:
    sha = this.parameters["commit_sha"]
    pulls = [pull for pull in this.world.pulls.values() if pull.repository is this.repository]
    found = [pull for pull in pulls if sha in await this.world.pull_commits(pull)]
    items, headers = this.page(found)
    association = this.world.association
    body = [
        this.world.shapes.pull_request(pull, association=association(pull.repository, pull.author)) for pull in items
    ]
    return call.Answer(body=body, headers=headers)


async def compare(this: call.Call) -> call.Answer:
    """`{base}...{head}`: what head has that their common ancestor has not."""
    owner = f"{this.repository.owner.login}:"
    base_name, dots, head_name = this.parameters["basehead"].partition("...")
    base_sha = await this.resolve(base_name.removeprefix(owner))
    head_sha = await this.resolve(head_name.removeprefix(owner)) if dots else None
    its_git = this.world.git_of(this.repository)
    start = await its_git.merge_base(base_sha, head_sha) if base_sha and head_sha else None
    if base_sha is None or head_sha is None or start is None:
        raise call.ApiError(404, "Not Found")
    behind_by, ahead_by = await its_git.count(base_sha, head_sha)
    states = {(False, False): "identical", (True, False): "ahead", (False, True): "behind", (True, True): "diverged"}
    shas, headers = this.page(await its_git.range([head_sha], excluding=[base_sha], limit=10_000))
    commits = await its_git.commits(shas)
    base, merge_base = await its_git.commits([base_sha, start])
    shapes, repository = this.world.shapes, this.repository
    url, html = f"{shapes.repository_url(repository)}/compare/", f"{repository.html_url}/compare/"
    files = await its_git.changes(start, head_sha)
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


async def get_permission(this: call.Call) -> call.Answer:
    user = this.world.users.get(this.parameters["username"].lower())
    if user is None:
        raise call.ApiError(404, f"{this.parameters['username']} is not a user")
    level = this.world.level(this.repository, user)
    rank = world.LEVELS.index(level)
    named = {"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"}
    permissions = {name: rank >= world.LEVELS.index(needed) for name, needed in named.items()}
    return call.Answer(
        body={
            "permission": LEGACY.get(level, level),
            "role_name": level,
            "user": {**this.world.shapes.user(user), "permissions": permissions, "role_name": level},
        }
    )


_REPOSITORY = "/repos/{owner}/{repo}"

ROUTES = (
    call.Route(method="GET", template=_REPOSITORY, handler=get_repository, needs="metadata:read"),
    call.Route(method="GET", template=_REPOSITORY + "/branches", handler=list_branches, needs="contents:read"),
    call.Route(method="GET", template=_REPOSITORY + "/branches/{branch}", handler=get_branch, needs="contents:read"),
    call.Route(method="GET", template=_REPOSITORY + "/git/ref/{ref}", handler=get_ref, needs="contents:read"),
    call.Route(
        method="GET",
        template=_REPOSITORY + "/git/matching-refs/{ref}",
        handler=list_matching_refs,
        needs="contents:read",
    ),
    call.Route(method="GET", template=_REPOSITORY + "/tags", handler=list_tags, needs="contents:read"),
    call.Route(method="GET", template=_REPOSITORY + "/commits", handler=list_commits, needs="contents:read"),
    call.Route(
        method="GET",
        template=_REPOSITORY + "/commits/{commit_sha}/pulls",
        handler=list_pulls_of_commit,
        needs="pull_requests:read",
    ),
    call.Route(method="GET", template=_REPOSITORY + "/compare/{basehead}", handler=compare, needs="contents:read"),
    call.Route(
        method="GET",
        template=_REPOSITORY + "/collaborators/{username}/permission",
        handler=get_permission,
        needs="metadata:read",
    ),
)

#: Registered after every other route below `/commits/`, for a ref may have slashes.
LAST_ROUTES = (
    call.Route(method="GET", template=_REPOSITORY + "/commits/{ref}", handler=get_commit, needs="contents:read"),
)
