"""Pull requests: https://docs.github.com/en/rest/pulls."""

from __future__ import annotations

from bot.simulator import values
from bot.simulator.rest import call

#: GitHub lists at most this many files of a pull request, in pages.
MOST_FILES = 3000


def _pull(this: call.Call) -> values.PullRequest:
    found = this.world.pulls.get((this.repository.id, this.number("pull_number")))
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
    items, headers = this.page((await this.world.pull_files(pull))[:MOST_FILES])
    body = [this.world.shapes.file_change(this.repository, pull.head_sha, file) for file in items]
    return call.Answer(body=body, headers=headers)


async def list_commits(this: call.Call) -> call.Answer:
    shas, headers = this.page(await this.world.pull_commits(_pull(this)))
    commits = await this.world.git_of(this.repository).commits(shas)
    return call.Answer(body=[this.world.shapes.commit(this.repository, commit) for commit in commits], headers=headers)


_PULL = "/repos/{owner}/{repo}/pulls"

ROUTES = (
    call.Route(method="GET", template=_PULL, handler=list_pulls, needs="pull_requests:read"),
    call.Route(method="GET", template=_PULL + "/{pull_number}", handler=get_pull, needs="pull_requests:read"),
    call.Route(method="GET", template=_PULL + "/{pull_number}/files", handler=list_files, needs="pull_requests:read"),
    call.Route(
        method="GET", template=_PULL + "/{pull_number}/commits", handler=list_commits, needs="pull_requests:read"
    ),
)
