"""Comments on a pull request, which is an issue too, and the reactions to them.

GitHub makes another comment at each POST, so ours bears a marker that nobody sees, and is known by it and by our App.
https://docs.github.com/en/rest/issues/comments
https://docs.github.com/en/rest/reactions/reactions#create-reaction-for-an-issue-comment
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec

from bot import errors, telemetry
from bot.github import classify
from bot.github.calls import Ask, Calls
from bot.github.tokens import Purpose

#: Of a longer conversation the oldest thousand comments are looked at.
_PAGES = 10

_log = telemetry.log("github")


class Reaction(enum.StrEnum):
    """The reactions that we give."""

    #: Taken.
    EYES = "eyes"
    #: Not understood, or not possible as things stand.
    CONFUSED = "confused"
    #: Not allowed.
    NO = "-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment as GitHub has it."""

    #: GitHub's.
    id: int
    body: str = field(repr=False)
    #: The App that wrote it; None for a person.
    app_id: int | None


class _App(msgspec.Struct):
    id: int


class _Comment(msgspec.Struct):
    id: int
    body: str | None = None
    performed_via_github_app: _App | None = None


class _Written(msgspec.Struct):
    id: int


async def create_reaction(calls: Calls, comment_id: int, content: Reaction) -> None:
    """Put an emoji of ours under a comment; where it is already nothing changes.

    :raises errors.NotReachable: if the comment is gone.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    ask = _ask("comments", comment_id, "reactions", method="POST", body={"content": content.value})
    await calls.call(ask, _Written)


async def create_comment(calls: Calls, number: int, body: str) -> int:
    """Write a comment on a pull request; GitHub's id of it.

    :raises errors.AnswerLost: if it may have been written all the same: `find_comment` before making another.
    :raises errors.Locked: if the conversation is locked.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    return (await calls.call(_ask(number, "comments", method="POST", body={"body": body}), _Written)).id


async def update_comment(calls: Calls, comment_id: int, body: str) -> None:
    """Give a comment of ours this text.

    :raises errors.NotReachable: if it is gone.
    :raises errors.AnswerLost: if it may have been written all the same, or GitHub answered about another comment.
    :raises errors.GitHubError: if GitHub refuses it; the class says why.
    """
    written = await calls.call(_ask("comments", comment_id, method="PATCH", body={"body": body}), _Written)
    if written.id != comment_id:
        raise errors.AnswerLost(f"GitHub answered an update of comment {comment_id} with another comment.")


async def get_comment(calls: Calls, comment_id: int) -> Comment | None:
    """The comment with GitHub's id, whoever wrote it, or None if there is none.

    :raises errors.NotReachable: if the repository is not ours to see.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """
    try:
        found = await calls.call(_ask("comments", comment_id), _Comment)
    except errors.NotReachable as error:
        if error.status not in {404, 410}:
            raise
        # Raises where it was the token that could not be had.
        await calls.prove(Purpose.ANSWER)
        return None
    if found.id != comment_id:
        raise errors.GitHubUnavailable(f"GitHub answered a question for comment {comment_id} with another comment.")
    return _made(found)


async def find_comment(
    calls: Calls, number: int, *, marker: str, app_id: int, since: datetime | None
) -> Comment | None:
    """The oldest comment on a pull request that our App wrote and began with this marker, or None if there is none.

    Whoever quotes ours has the marker too, but is not our App.

    :param since: where it was changed after that, it is found in a conversation of any length.
    :raises errors.NotReachable: if there is no such pull request.
    :raises errors.GitHubError: for all else that GitHub may answer.
    """

    def read(answer: classify.Answer) -> list[_Comment]:
        return classify.decode(answer, list[_Comment], what=f"GET /repos/{calls.full_name}/issues/{number}/comments")

    ask = _ask(number, "comments")
    if since is not None:
        query = {"since": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        ask = Ask(parts=ask.parts, query=query, purpose=ask.purpose)
    found = [_made(one) for one in await calls.walk(ask, read, most_pages=_PAGES)]
    ours = sorted({one.id: one for one in found if one.app_id == app_id and one.body.startswith(marker)}.items())
    if len(ours) > 1:
        _log.warning(
            "An answer is there twice; the oldest counts.", action="comment_twice", ids=[one for one, _ in ours]
        )
    return ours[0][1] if ours else None


def _ask(*parts: str | int, method: str = "GET", body: object = None) -> Ask:
    return Ask(method=method, parts=("issues", *parts), body=body, purpose=Purpose.ANSWER)


def _made(found: _Comment) -> Comment:
    app = found.performed_via_github_app
    return Comment(id=found.id, body=found.body or "", app_id=app.id if app is not None else None)
