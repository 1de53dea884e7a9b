"""What errors in GraphQL answers mean: pure and total, in the same classes as those of REST.

A request answers 200 even where nothing of it was done; each error names the field that it is about by its `path`.
https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from bot import errors
from bot.github import classify

_FOREIGN = "can only be modified by the github app that created it"
_NO_COMMIT = "no commit found for sha"
_SUSPENDED = "suspended"
_SECONDARY = ("secondary rate limit", "abuse detection")
_FORBIDDEN = frozenset({"FORBIDDEN", "INSUFFICIENT_SCOPES", "SAML_FORBIDDEN", "IP_ALLOW_LIST_FORBIDDEN"})
#: The request asks for more than is done at once.
_TOO_MUCH = frozenset({"MAX_NODE_LIMIT_EXCEEDED", "RESOURCE_LIMITS_EXCEEDED"})


class Trouble(msgspec.Struct):
    """One error of an answer."""

    message: str = ""
    #: GitHub's own word for it; what is wrong with the query itself has none.
    type: str | None = None
    path: list[str | int] | None = None
    #: What is wrong with the query has its code in here.
    extensions: dict[str, object] | None = None

    @property
    def alias(self) -> str | None:
        """The field that it is about; None where it is about the whole request."""
        return str(self.path[0]) if self.path else None


class Told(msgspec.Struct):
    """An answer, as far as errors go."""

    errors: list[Trouble] | None = None
    #: Only whether there is some.
    data: msgspec.Raw = msgspec.Raw(b"null")


def check(answer: classify.Answer, *, what: str, now: datetime) -> None:
    """Do nothing where something of the request may have been done, else raise why nothing was.

    :param what: names the request, for people.
    :raises errors.GitHubError: one class for each cause.
    """
    told = classify.decode(answer, Told, what=what)
    troubles = told.errors or []
    is_empty = bytes(told.data) in {b"null", b"{}"}
    if not is_empty or any(one.alias is not None and not _is_limit(one) for one in troubles):
        return
    if (limited := find_limit(answer, what=what, now=now)) is not None:
        raise limited
    if not troubles:
        raise errors.AnswerLost(f"GitHub answered {what} with neither data nor an error.", status=answer.status)
    raise of(troubles[0], what=what)


def away(error: errors.GitHubError) -> errors.GitHubError:
    """The same error, or that GraphQL is away where it is one that REST may not have: nothing was done then."""
    if isinstance(error, errors.RateLimited):
        if error.is_secondary:
            return error
        return errors.GraphQLAway(str(error), status=error.status, until=error.retry_at)
    if isinstance(error, errors.NotReachable):
        return errors.GraphQLAway(str(error), status=error.status, is_everywhere=error.status == 404)
    if isinstance(error, errors.Invalid | errors.Forbidden) and not isinstance(error, errors.TooMuch):
        return errors.GraphQLAway(str(error), status=error.status)
    return error


def find_limit(answer: classify.Answer, *, what: str, now: datetime) -> errors.RateLimited | None:
    """The limit that an answer tells of, which may have come in the middle of a request.

    :raises errors.GitHubUnavailable: if it cannot be read.
    """
    told = classify.decode(answer, Told, what=what)
    found = next((one for one in told.errors or [] if _is_limit(one)), None)
    return _limited(found, answer, what=what, now=now) if found is not None else None


def _is_limit(one: Trouble) -> bool:
    return one.type == "RATE_LIMITED" or any(text in one.message.lower() for text in _SECONDARY)


def _limited(one: Trouble, answer: classify.Answer, *, what: str, now: datetime) -> errors.RateLimited:
    """R3's order, for an answer that is no refusal by its status."""
    is_secondary = any(text in one.message.lower() for text in _SECONDARY)
    reset_at = classify.rate_limit_reset(answer, now=now)
    after = classify.retry_after(answer, now=now)
    if after is not None:
        retry_at = now + after
    elif reset_at is not None and not is_secondary:
        retry_at = reset_at
    else:
        retry_at = now + classify.SHORTEST_PAUSE
    text = f"{_said(one, what)} No call is made until the time that GitHub asks for is over."
    return errors.RateLimited(text, status=answer.status, retry_at=retry_at, is_secondary=is_secondary)


def of(one: Trouble, *, what: str) -> errors.GitHubError:
    """What kept the request, or one field of it, from being done."""
    said, message = _said(one, what), one.message.lower()
    if _is_limit(one):
        # That calls have to wait is noted by who made this one.
        return errors.GitHubUnavailable(said, status=200)
    if _NO_COMMIT in message:
        return errors.CommitUnknown(said, status=200)
    if _FOREIGN in message:
        return errors.ForeignCheckRun(said, status=200)
    if one.type in _FORBIDDEN:
        kind = errors.Suspended if _SUSPENDED in message else errors.Forbidden
        return kind(said, status=200)
    if one.type == "NOT_FOUND":
        return errors.NotReachable(said, status=200)
    if one.type in _TOO_MUCH:
        return errors.TooMuch(said, status=200)
    # What is wrong with a query, or with what comes with it, has no type.
    if one.type == "UNPROCESSABLE" or (one.type is None and one.alias is None and one.extensions):
        return errors.Invalid(said, status=200)
    # SERVICE_UNAVAILABLE, INTERNAL, a time limit, and whatever comes to be: it may have been done.
    return errors.AnswerLost(f"{said} It may have been done all the same.", status=200)


def _said(one: Trouble, what: str) -> str:
    message = classify.bounded(one.message, classify.MESSAGE_CHARS) or "no reason"
    kind = classify.bounded(one.type, 40) if one.type else "an error"
    said = f"GitHub answered {what} with {kind}: {message}"
    return said if said.endswith((".", "!", "?")) else said + "."
