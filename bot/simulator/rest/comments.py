"""Comments on pull requests and reactions to them: https://docs.github.com/en/rest/issues/comments.

To GitHub a pull request is an issue too, so a token that may write either may do this.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from bot.simulator import values
from bot.simulator.rest import call

#: A longer comment is refused.
LONGEST_CHARACTERS = 65_536


def _pull(this: call.Call) -> values.PullRequest:
    found = this.world.pulls.get((this.repository.id, this.number("issue_number")))
    if found is None:
        raise call.ApiError(404, "Not Found")
    return found


def _comment(this: call.Call) -> values.Comment:
    found = this.world.comments.get(this.number("comment_id"))
    if found is None or found.repository is not this.repository:
        raise call.ApiError(404, "Not Found")
    return found


def _own_comment(this: call.Call) -> values.Comment:
    """The comment, if whoever asks may change it.

    :raises ApiError: 403 for an App that did not write it, and for a person who neither wrote it nor may push
    """
    comment, person = _comment(this), this.principal.user
    if comment.author is not this.actor:
        if person is None:
            raise call.ApiError(403, "Resource not accessible by integration")
        if not this.world.may(this.repository, person, "write"):
            raise call.ApiError(403, "Must have admin rights to Repository.")
    return comment


def _text(this: call.Call) -> str:
    """The text that is sent.

    :raises ApiError: 422, if there is none or too much of it
    """
    text: str = this.body["body"]
    if not text.strip():
        error = {"resource": "IssueComment", "code": "missing_field", "field": "body"}
        raise call.ApiError(422, "Validation Failed", errors=[error])
    if len(text) > LONGEST_CHARACTERS:
        message = f"body is too long (maximum is {LONGEST_CHARACTERS} characters)"
        error = {"resource": "IssueComment", "code": "custom", "field": "body", "message": message}
        raise call.ApiError(422, "Validation Failed", errors=[error])
    return text


def _body(this: call.Call, comment: values.Comment) -> dict[str, Any]:
    association = this.world.association(comment.repository, comment.author)
    return this.world.shapes.comment(comment, association=association)


async def list_comments(this: call.Call) -> call.Answer:
    """Oldest first; `since` leaves out those that were not changed after it."""
    found = this.world.comments_on(_pull(this))
    if since := this.query.get("since"):
        try:
            after = datetime.fromisoformat(since)
            found = [comment for comment in found if comment.updated_at >= after]
        except (ValueError, TypeError):  # not a time, or one without a zone
            raise call.ApiError(422, "Validation Failed") from None
    items, headers = this.page(found)
    return call.Answer(body=[_body(this, comment) for comment in items], headers=headers)


async def create_comment(this: call.Call) -> call.Answer:
    pull = _pull(this)
    via_app = None if this.principal.user else this.world.app
    comment = this.world.comment(pull, _text(this), author=this.actor.login, via_app=via_app)
    body = _body(this, comment)
    return call.Answer(status=201, body=body, headers={"Location": body["url"]})


async def get_comment(this: call.Call) -> call.Answer:
    return call.Answer(body=_body(this, _comment(this)))


async def update_comment(this: call.Call) -> call.Answer:
    comment = _own_comment(this)
    this.world.edit_comment(comment, _text(this), sender=this.actor.login)
    return call.Answer(body=_body(this, comment))


async def delete_comment(this: call.Call) -> call.Answer:
    this.world.delete_comment(_own_comment(this), sender=this.actor.login)
    return call.Answer(status=204)


async def list_reactions(this: call.Call) -> call.Answer:
    content = this.query.get("content")
    items, headers = this.page([one for one in _comment(this).reactions if content in (None, one.content)])
    return call.Answer(body=[this.world.shapes.reaction(reaction) for reaction in items], headers=headers)


async def create_reaction(this: call.Call) -> call.Answer:
    reaction, is_new = this.world.react(_comment(this), this.body["content"], user=this.actor)
    return call.Answer(status=201 if is_new else 200, body=this.world.shapes.reaction(reaction))


_ISSUE = "/repos/{owner}/{repo}/issues"
_COMMENT = _ISSUE + "/comments/{comment_id}"
_READ = "issues:read or pull_requests:read"
_WRITE = "issues:write or pull_requests:write"

ROUTES = (
    call.Route(method="GET", template=_ISSUE + "/{issue_number}/comments", handler=list_comments, needs=_READ),
    call.Route(method="POST", template=_ISSUE + "/{issue_number}/comments", handler=create_comment, needs=_WRITE),
    call.Route(method="GET", template=_COMMENT, handler=get_comment, needs=_READ),
    call.Route(method="PATCH", template=_COMMENT, handler=update_comment, needs=_WRITE),
    call.Route(method="DELETE", template=_COMMENT, handler=delete_comment, needs=_WRITE),
    call.Route(method="GET", template=_COMMENT + "/reactions", handler=list_reactions, needs=_READ),
    call.Route(method="POST", template=_COMMENT + "/reactions", handler=create_reaction, needs=_WRITE),
)
