"""Pull requests, their comments and reactions: https://docs.github.com/en/rest/pulls."""

from __future__ import annotations

from typing import Any

from bot.simulator import values
from bot.simulator.rest import call


def _pull(this: call.Call, name: str = "pull_number") -> values.PullRequest:
    found = this.world.pulls.get((this.repository.id, this.number(name)))
    if found is None:
        raise call.ApiError(404, "Not Found")
    return found


async def list_pulls(this: call.Call) -> call.Answer:
    """`state` (open by default), `head` (`owner:branch`), `base`; `sort` (`created`, `updated`) and `direction`."""
    state, head, base = this.query.get("state", "open"), this.query.get("head"), this.query.get("base")
    found = []
    for pull in this.world.pulls.values():
        owner = pull.head_repository.owner if pull.head_repository else pull.author
        if (
            pull.repository is this.repository
            and state in ("all", pull.state)
            and head in (None, f"{owner.login}:{pull.head_branch}")
            and base in (None, pull.base_branch)
        ):
            found.append(pull)
    is_by_update = this.query.get("sort") == "updated"
    if is_by_update:
        found.sort(key=lambda pull: pull.updated_at)
    # GitHub's default: the newest first, but the one that was longest left alone first.
    if this.query.get("direction", "asc" if is_by_update else "desc") == "desc":
        found.reverse()
    items, headers = this.page(found)
    association = this.world.association
    body = [
        this.world.shapes.pull_request(pull, association=association(pull.repository, pull.author)) for pull in items
    ]
    return call.Answer(body=body, headers=headers)


async def get_pull(this: call.Call) -> call.Answer:
    return call.Answer(body=await this.world.full_pull_request(_pull(this), is_settled=True))


async def list_files(this: call.Call) -> call.Answer:
    pull = _pull(this)
    items, headers = this.page(await this.world.pull_files(pull))
    body = [this.world.shapes.file_change(this.repository, pull.head_sha, file) for file in items]
    return call.Answer(body=body, headers=headers)


async def list_commits(this: call.Call) -> call.Answer:
    shas, headers = this.page(await this.world.pull_commits(_pull(this)))
    commits = await this.world.git_of(this.repository).commits(shas)
    return call.Answer(body=[this.world.shapes.commit(this.repository, commit) for commit in commits], headers=headers)


# Comments and reactions


def _comment(this: call.Call) -> values.Comment:
    found = this.world.comments.get(this.number("comment_id"))
    if found is None or found.repository is not this.repository:
        raise call.ApiError(404, "Not Found")
    return found


def _comment_body(this: call.Call, comment: values.Comment) -> dict[str, Any]:
    association = this.world.association(comment.repository, comment.author)
    return this.world.shapes.comment(comment, association=association)


async def list_comments(this: call.Call) -> call.Answer:
    items, headers = this.page(this.world.comments_on(_pull(this, "issue_number")))
    return call.Answer(body=[_comment_body(this, comment) for comment in items], headers=headers)


async def create_comment(this: call.Call) -> call.Answer:
    pull = _pull(this, "issue_number")
    via_app = None if this.principal.user else this.world.app
    if not this.body["body"].strip():
        raise call.ApiError(
            422,
            "Validation Failed",
            errors=[{"resource": "IssueComment", "code": "missing_field", "field": "body"}],
        )
    comment = this.world.comment(pull, this.body["body"], author=this.actor.login, via_app=via_app)
    body = _comment_body(this, comment)
    return call.Answer(status=201, body=body, headers={"Location": body["url"]})


async def get_comment(this: call.Call) -> call.Answer:
    return call.Answer(body=_comment_body(this, _comment(this)))


async def update_comment(this: call.Call) -> call.Answer:
    comment = _comment(this)
    if comment.author is not this.actor and this.principal.user is None:
        raise call.ApiError(403, "Resource not accessible by integration")
    this.world.edit_comment(comment, this.body["body"])
    return call.Answer(body=_comment_body(this, comment))


async def list_reactions(this: call.Call) -> call.Answer:
    items, headers = this.page(_comment(this).reactions)
    return call.Answer(body=[this.world.shapes.reaction(reaction) for reaction in items], headers=headers)


async def create_reaction(this: call.Call) -> call.Answer:
    reaction, is_new = this.world.react(_comment(this), this.body["content"], user=this.actor)
    return call.Answer(status=201 if is_new else 200, body=this.world.shapes.reaction(reaction))


_PULL = "/repos/{owner}/{repo}/pulls"
_ISSUE = "/repos/{owner}/{repo}/issues"

ROUTES = (
    call.Route(method="GET", template=_PULL, handler=list_pulls, needs="pull_requests:read"),
    call.Route(method="GET", template=_PULL + "/{pull_number}", handler=get_pull, needs="pull_requests:read"),
    call.Route(method="GET", template=_PULL + "/{pull_number}/files", handler=list_files, needs="pull_requests:read"),
    call.Route(
        method="GET", template=_PULL + "/{pull_number}/commits", handler=list_commits, needs="pull_requests:read"
    ),
    call.Route(method="GET", template=_ISSUE + "/{issue_number}/comments", handler=list_comments, needs="issues:read"),
    call.Route(
        method="POST", template=_ISSUE + "/{issue_number}/comments", handler=create_comment, needs="issues:write"
    ),
    call.Route(method="GET", template=_ISSUE + "/comments/{comment_id}", handler=get_comment, needs="issues:read"),
    call.Route(
        method="PATCH", template=_ISSUE + "/comments/{comment_id}", handler=update_comment, needs="issues:write"
    ),
    call.Route(
        method="GET",
        template=_ISSUE + "/comments/{comment_id}/reactions",
        handler=list_reactions,
        needs="issues:read",
    ),
    call.Route(
        method="POST",
        template=_ISSUE + "/comments/{comment_id}/reactions",
        handler=create_reaction,
        needs="issues:write",
    ),
)
