"""What GitHub's answer means: pure and total. Any status, headers and bytes become a value or exactly one error class.

The answers look alike: 403 is a rate limit, a missing permission, a suspended installation or another App's check run;
200 may be a proxy's page. https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api
"""

from __future__ import annotations

import email.utils
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import msgspec

from bot import errors, telemetry
from bot.model import budget

T = TypeVar("T")

#: GitHub asks for at least a minute where it names no time.
#: https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api
SHORTEST_PAUSE = timedelta(seconds=60)
_LONGEST_PAUSE = timedelta(hours=24)
#: What a server may say of a limit; nobody's is larger.
_MOST_TOLD = 1_000_000_000
MESSAGE_CHARS = 300
_ERRORS_SHOWN = 5
_PERMISSIONS = re.compile(r"[a-z_=,; ]{1,200}\Z")
_FOREIGN = "can only be modified by the github app that created it"
_LOCKED = "is locked"
_NO_COMMIT = "no commit found for sha"
#: Of 422 on a token request: both mean that our token cannot reach the repository.
_NOT_OURS = ("not accessible to the parent installation", "no repositories were found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One HTTP answer, read to its end."""

    status: int
    #: Names in lower case.
    headers: Mapping[str, str] = field(repr=False)
    #: May hold a token.
    body: bytes = field(repr=False)

    @property
    def media_type(self) -> str:
        """The content type without its parameters, in lower case; empty when there is none."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def answered_at(self) -> datetime | None:
        """What GitHub's clock said, by the `Date` header."""
        return _http_date(self.headers.get("date", ""))


class _Trouble(msgspec.Struct):
    """GitHub's body of an error, as far as it keeps to its own shape."""

    message: str = ""
    errors: list[object] | str | None = None


def check(answer: Answer, *, what: str, now: datetime) -> None:
    """Do nothing for a success, else raise what it is. `what` names the call, e.g. `GET /repos/octo/hello`.

    :raises errors.GitHubError: one class for each cause; the text is for people, bounded and without secrets.
    """
    status = answer.status
    if answer.media_type == "text/html":
        raise errors.GitHubUnavailable(
            f"Something that is not GitHub's API answered {what} with an HTML page ({status}). "
            "GitHub may be down, or a proxy or a wrong BUILDHOOK_GITHUB_API_URL is in the way.",
            status=status,
        )
    if 200 <= status < 300:
        return
    message = _message(answer)
    said = f"GitHub answered {what} with {status}" + (f": {message}" if message else "")
    said = said if said.endswith((".", "!", "?")) else said + "."
    raise _error(answer, message.lower(), said, now=now)


def decode(answer: Answer, shape: type[T], *, what: str) -> T:
    """The body of a success as a value of this shape.

    :raises errors.GitHubUnavailable: if the body is cut off, is not JSON or is not of this shape.
    """
    try:
        return msgspec.json.decode(answer.body, type=shape, strict=True)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        reason = bounded(str(error), 150)
    raise errors.GitHubUnavailable(
        f"GitHub's answer to {what} ({answer.status}, {len(answer.body)} bytes) cannot be read: {reason}.",
        status=answer.status,
    )


def rate_limit_reset(answer: Answer, *, now: datetime) -> datetime | None:
    """When calls are allowed again, if this answer used up the last one; measured by GitHub's own clock.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    if answer.headers.get("x-ratelimit-remaining", "").strip() != "0":
        return None
    reset = _number(answer.headers.get("x-ratelimit-reset", ""))
    if reset is None:
        return None
    github_now = answer.answered_at or now
    return now + _pause(reset - github_now.timestamp(), shortest=timedelta(seconds=1))


def told(answer: Answer, *, now: datetime) -> budget.Told | None:
    """What the headers tell of the primary limit, where they tell all of it."""
    limit, remaining, reset = (
        _number(answer.headers.get(f"x-ratelimit-{name}", "")) for name in ("limit", "remaining", "reset")
    )
    if limit is None or remaining is None or reset is None:
        return None
    left = _pause(reset - (answer.answered_at or now).timestamp(), shortest=timedelta(0))
    return budget.Told(
        limit=min(int(limit), _MOST_TOLD), remaining=min(int(remaining), _MOST_TOLD), reset_seconds=left.total_seconds()
    )


def _error(answer: Answer, message: str, said: str, *, now: datetime) -> errors.GitHubError:
    status = answer.status
    if status == 401:
        return errors.Unauthorized(f"{said} Check the App's id, its private key and this machine's clock.", status=401)
    if status in {403, 429}:
        return _limited(answer, message, said, now=now) or _forbidden(answer, message, said)
    if status in {404, 410, 451}:
        return errors.NotReachable(said, status=status)
    if status == 422 and any(text in message for text in _NOT_OURS):
        return errors.NotReachable(said, status=422)
    if status == 422 and _NO_COMMIT in message:
        return errors.CommitUnknown(said, status=422)
    if status == 408 or status >= 500:
        return errors.GitHubUnavailable(f"{said} It is tried again later.", status=status)
    if status == 413:
        return errors.TooMuch(said, status=413)
    if 400 <= status < 500:
        return errors.Invalid(said, status=status)
    return errors.GitHubUnavailable(f"{said} That is not an answer of its API to this call.", status=status)


def _limited(answer: Answer, message: str, said: str, *, now: datetime) -> errors.RateLimited | None:
    """R3's order: `retry-after`, then the reset of a used-up limit, then the message and a minute."""
    after = retry_after(answer, now=now)
    reset_at = rate_limit_reset(answer, now=now)
    is_secondary = "secondary rate limit" in message or "abuse detection" in message
    if after is not None:
        retry_at = now + after
        is_secondary = is_secondary or reset_at is None
    elif reset_at is not None and not is_secondary:
        retry_at = reset_at
    elif is_secondary or "rate limit exceeded" in message or answer.status == 429:
        is_secondary = is_secondary or "rate limit exceeded" not in message
        retry_at = max(now + SHORTEST_PAUSE, reset_at or now)
    else:
        return None
    text = f"{said} No call is made until the time that GitHub asks for is over."
    return errors.RateLimited(text, status=answer.status, retry_at=retry_at, is_secondary=is_secondary)


def _forbidden(answer: Answer, message: str, said: str) -> errors.GitHubError:
    if "suspended" in message:
        return errors.Suspended(f"{said} An owner can lift that in the settings of the installation.", status=403)
    if _FOREIGN in message:
        return errors.ForeignCheckRun(said, status=403)
    if _LOCKED in message:
        return errors.Locked(said, status=403)
    wanted = answer.headers.get("x-accepted-github-permissions", "")
    hint = f" It takes `{wanted}`." if wanted and _PERMISSIONS.match(wanted) else ""
    if "not accessible by integration" in message:
        hint += " The App lacks a permission: add it to the App, then accept it in the settings of the installation."
    return errors.Forbidden(said + hint, status=403)


def _message(answer: Answer) -> str:
    """GitHub's own words, bounded and on one line."""
    if not answer.body:
        return ""
    try:
        trouble = msgspec.json.decode(answer.body, type=_Trouble)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return ""
    given = [trouble.errors] if isinstance(trouble.errors, str) else trouble.errors or []
    details = [_detail(one) for one in given[:_ERRORS_SHOWN] if one]
    if len(given) > _ERRORS_SHOWN:
        details.append(f"and {len(given) - _ERRORS_SHOWN} more")
    listed = "; ".join(detail for detail in details if detail)
    message = bounded(trouble.message, MESSAGE_CHARS)
    return f"{message} ({listed})" if message and listed else message or listed


def _detail(one: object) -> str:
    """https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#validation-failed"""
    if isinstance(one, dict):
        known = [str(one[name]) for name in ("resource", "field", "code", "message") if isinstance(one.get(name), str)]
        return bounded(" ".join(known), MESSAGE_CHARS)
    return bounded(one, MESSAGE_CHARS) if isinstance(one, str) else ""


def bounded(text: str, limit: int) -> str:
    """A text of GitHub's for people: on one line, cut, without secrets."""
    # Cut before and after: redaction must see whole tokens, and a long text must not be scanned whole.
    clean = telemetry.one_line(telemetry.redact(text[: 8 * limit])).strip()
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def retry_after(answer: Answer, *, now: datetime) -> timedelta | None:
    """How long an answer asks us to wait: seconds, or until a date by GitHub's clock.

    https://www.rfc-editor.org/rfc/rfc9110.html#name-retry-after
    """
    given = answer.headers.get("retry-after", "").strip()
    seconds = _number(given)
    if seconds is None:
        at = _http_date(given)
        if at is None:
            return None
        seconds = (at - (answer.answered_at or now)).total_seconds()
    return _pause(seconds, shortest=timedelta(seconds=1))


def _pause(seconds: float, *, shortest: timedelta) -> timedelta:
    return timedelta(seconds=min(max(seconds, shortest.total_seconds()), _LONGEST_PAUSE.total_seconds()))


def _number(text: str) -> float | None:
    return float(text) if re.fullmatch(r"[0-9]{1,18}", text.strip(), re.ASCII) else None


def _http_date(text: str) -> datetime | None:
    try:
        at = email.utils.parsedate_to_datetime(text[:64])
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
