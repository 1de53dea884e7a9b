"""Repositories, branches, refs and people's rights: https://docs.github.com/en/rest/repos."""

from __future__ import annotations

from typing import Any

from bot.simulator import values, world
from bot.simulator.rest import call


async def get_repository(this: call.Call) -> call.Answer:
    body, user = this.world.shapes.full_repository(this.repository), this.principal.user
    if user is not None:
        body["permissions"] = this.world.permissions(this.repository, user)
    return call.Answer(body=body)


async def list_branches(this: call.Call) -> call.Answer:
    items, headers = this.page(sorted(this.repository.heads.items()))
    return call.Answer(body=[short_branch(this, name, sha) for name, sha in items], headers=headers)


def short_branch(this: call.Call, name: str, sha: str) -> dict[str, Any]:
    """What lists of branches say."""
    is_protected = bool(this.world.required_on(this.repository, name))
    return this.world.shapes.short_branch(this.repository, name, sha, is_protected=is_protected)


async def get_branch(this: call.Call) -> call.Answer:
    name = this.parameters["branch"]
    sha = this.repository.heads.get(name)
    if sha is None:
        raise call.ApiError(404, "Branch not found")
    commit = await this.world.git_of(this.repository).commit(sha)
    required = this.world.required_on(this.repository, name)
    return call.Answer(body=this.world.shapes.branch(this.repository, name, commit, required=required))


async def list_rules(this: call.Call) -> call.Answer:
    """The rules of all rulesets that hold for a branch; what its own protection asks for is none of them."""
    ruled = this.world.ruled_on(this.repository, this.parameters["branch"])
    body = [this.world.shapes.required_rule(this.repository, ruled)] if ruled else []
    items, headers = this.page(body)
    return call.Answer(body=list(items), headers=headers)


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


async def get_permission(this: call.Call) -> call.Answer:
    user = this.world.users.get(this.parameters["username"].lower())
    if user is None:
        raise call.ApiError(404, f"{this.parameters['username']} is not a user")
    level = this.world.level(this.repository, user)
    permissions = this.world.permissions(this.repository, user)
    return call.Answer(
        body={
            "permission": world.LEGACY.get(level, level),
            "role_name": level,
            "user": {**this.world.shapes.user(user), "permissions": permissions, "role_name": level},
        }
    )


_REPOSITORY = "/repos/{owner}/{repo}"

ROUTES = (
    call.Route(method="GET", template=_REPOSITORY, handler=get_repository, needs="metadata:read"),
    call.Route(method="GET", template=_REPOSITORY + "/branches", handler=list_branches, needs="contents:read"),
    call.Route(method="GET", template=_REPOSITORY + "/branches/{branch}", handler=get_branch, needs="contents:read"),
    call.Route(
        method="GET", template=_REPOSITORY + "/rules/branches/{branch}", handler=list_rules, needs="metadata:read"
    ),
    call.Route(method="GET", template=_REPOSITORY + "/git/ref/{ref}", handler=get_ref, needs="contents:read"),
    call.Route(
        method="GET",
        template=_REPOSITORY + "/git/matching-refs/{ref}",
        handler=list_matching_refs,
        needs="contents:read",
    ),
    call.Route(method="GET", template=_REPOSITORY + "/tags", handler=list_tags, needs="contents:read"),
    call.Route(
        method="GET",
        template=_REPOSITORY + "/collaborators/{username}/permission",
        handler=get_permission,
        needs="metadata:read",
    ),
)
