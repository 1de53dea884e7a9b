"""F98: answers that look alike, told apart by a table; and that nothing at all falls through it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors
from bot.github import classify

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
DATE = "Mon, 04 May 2026 12:00:00 GMT"
JSON = "application/json; charset=utf-8"
UNICORN = b"<!DOCTYPE html><html><title>Unicorn! &middot; GitHub</title><p>No server is currently available"
SECONDARY = "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."


@dataclass(frozen=True)
class Case:
    """A recorded answer and what it has to become."""

    status: int
    wants: type[errors.GitHubError] | None
    #: A message, or the whole body.
    body: str | bytes | dict[str, Any] = ""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = JSON
    #: What the error's text has to hold.
    text: str = ""
    waits_seconds: float | None = None
    is_secondary: bool | None = None

    def answer(self) -> classify.Answer:
        """As the transport hands it over."""
        if isinstance(self.body, bytes):
            body = self.body
        elif isinstance(self.body, dict):
            body = msgspec.json.encode(self.body)
        else:
            message = {"message": self.body, "documentation_url": "https://docs.github.com/rest"}
            body = msgspec.json.encode(message) if self.body else b""
        headers = {"content-type": self.content_type, "date": DATE} | self.headers
        return classify.Answer(status=self.status, headers=headers, body=body)


def _limit(remaining: int, *, reset_in_seconds: int) -> dict[str, str]:
    reset = int(NOW.timestamp()) + reset_in_seconds
    return {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": str(remaining), "x-ratelimit-reset": str(reset)}


RECORDED = {
    "created": Case(201, None, {"id": 1}),
    "accepted": Case(202, None, {}),
    "no content": Case(204, None, b""),
    "401 token": Case(401, errors.Unauthorized, "Bad credentials", text="Bad credentials"),
    "401 jwt": Case(
        401,
        errors.Unauthorized,
        "'Expiration time' claim ('exp') is too far in the future",
        text="this machine's clock",
    ),
    "401 key": Case(401, errors.Unauthorized, "A JSON web token could not be decoded", text="private key"),
    "401 anonymous": Case(401, errors.Unauthorized, "Requires authentication"),
    "401 cut off": Case(401, errors.Unauthorized, b'{"message": "Bad cred'),
    "401 of a proxy": Case(401, errors.GitHubUnavailable, b"<html>Sign in", content_type="text/html"),
    "403 primary": Case(
        403,
        errors.RateLimited,
        "API rate limit exceeded for installation ID 7.",
        _limit(0, reset_in_seconds=1200),
        waits_seconds=1200,
        is_secondary=False,
    ),
    "403 primary, clocks differ": Case(
        403,
        errors.RateLimited,
        "API rate limit exceeded for installation ID 7.",
        _limit(0, reset_in_seconds=1200) | {"date": "Mon, 04 May 2026 12:10:00 GMT"},
        waits_seconds=600,
        is_secondary=False,
    ),
    "403 primary without headers": Case(
        403,
        errors.RateLimited,
        "API rate limit exceeded for installation ID 7.",
        waits_seconds=60,
        is_secondary=False,
    ),
    "403 primary, reset long ago": Case(
        403, errors.RateLimited, "API rate limit exceeded", _limit(0, reset_in_seconds=-9000), waits_seconds=1
    ),
    "403 primary, cut off": Case(
        403,
        errors.RateLimited,
        b'{"message": "API rate limit exc',
        _limit(0, reset_in_seconds=1200),
        waits_seconds=1200,
        is_secondary=False,
    ),
    "403 primary without reset": Case(
        403, errors.RateLimited, "API rate limit exceeded", {"x-ratelimit-remaining": "0"}, waits_seconds=60
    ),
    "403 primary, reset malformed": Case(
        403,
        errors.RateLimited,
        "API rate limit exceeded",
        {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1e9"},
        waits_seconds=60,
        is_secondary=False,
    ),
    "403 primary for a week": Case(
        403, errors.RateLimited, "API rate limit exceeded", _limit(0, reset_in_seconds=604_800), waits_seconds=86_400
    ),
    "403 retry-after and nothing else": Case(
        403, errors.RateLimited, b"", {"retry-after": "30"}, waits_seconds=30, is_secondary=True
    ),
    "403 retry-after of zero": Case(403, errors.RateLimited, SECONDARY, {"retry-after": "0"}, waits_seconds=1),
    "403 negative retry-after": Case(
        403, errors.RateLimited, SECONDARY, {"retry-after": "-5"}, waits_seconds=60, is_secondary=True
    ),
    "403 retry-after that is over": Case(
        403, errors.RateLimited, SECONDARY, {"retry-after": "Mon, 04 May 2026 11:00:00 GMT"}, waits_seconds=1
    ),
    "403 secondary, cut off": Case(403, errors.Forbidden, b'{"message": "You have exceeded a second'),
    "403 secondary with retry-after": Case(
        403,
        errors.RateLimited,
        SECONDARY,
        _limit(4000, reset_in_seconds=1200) | {"retry-after": "90"},
        waits_seconds=90,
        is_secondary=True,
    ),
    "403 secondary without headers": Case(
        403, errors.RateLimited, SECONDARY, _limit(4000, reset_in_seconds=1200), waits_seconds=60, is_secondary=True
    ),
    "403 secondary and primary": Case(
        403, errors.RateLimited, SECONDARY, _limit(0, reset_in_seconds=900), waits_seconds=900, is_secondary=True
    ),
    "403 abuse": Case(
        403,
        errors.RateLimited,
        "You have triggered an abuse detection mechanism. Please wait a few minutes before you try again.",
        waits_seconds=60,
        is_secondary=True,
    ),
    "403 retry-after as a date": Case(
        403,
        errors.RateLimited,
        SECONDARY,
        {"retry-after": "Mon, 04 May 2026 12:02:00 GMT"},
        waits_seconds=120,
        is_secondary=True,
    ),
    "403 absurd retry-after": Case(
        403, errors.RateLimited, SECONDARY, {"retry-after": "999999999999"}, waits_seconds=86400
    ),
    "403 permission": Case(
        403,
        errors.Forbidden,
        "Resource not accessible by integration",
        _limit(4000, reset_in_seconds=900) | {"x-accepted-github-permissions": "checks=write"},
        text="`checks=write`",
    ),
    "403 ip allow list": Case(
        403,
        errors.Forbidden,
        "Although you appear to have the correct authorization credentials, the `octo` organization has an IP allow "
        "list enabled, and your IP address is not permitted to access this resource.",
        text="IP allow list",
    ),
    "403 single sign-on": Case(
        403,
        errors.Forbidden,
        "Resource protected by organization SAML enforcement. You must grant your OAuth token access to this "
        "organization.",
        text="SAML",
    ),
    "403 archived": Case(403, errors.Forbidden, "Repository was archived so is read-only.", text="read-only."),
    "403 blocked": Case(
        403, errors.Forbidden, {"message": "Repository access blocked", "block": {"reason": "tos"}}, text="blocked"
    ),
    "403 no user agent": Case(
        403,
        errors.Forbidden,
        "Request forbidden by administrative rules. Please make sure your request has a User-Agent header.",
    ),
    "403 hostile permissions": Case(
        403,
        errors.Forbidden,
        "Resource not accessible by integration",
        {"x-accepted-github-permissions": "`\x1b[31m"},
        text="lacks a permission",
    ),
    "403 permission, last call": Case(
        403,
        errors.RateLimited,
        "Resource not accessible by integration",
        _limit(0, reset_in_seconds=900),
        waits_seconds=900,
        is_secondary=False,
    ),
    "403 empty": Case(403, errors.Forbidden),
    "403 suspended": Case(403, errors.Suspended, "This installation has been suspended", text="suspended"),
    "403 cross app": Case(
        403,
        errors.ForeignCheckRun,
        "Invalid app_id `4711` - check run can only be modified by the GitHub App that created it.",
        text="4711",
    ),
    "403 of a proxy": Case(403, errors.GitHubUnavailable, b"<html>blocked", content_type="text/html"),
    "404": Case(404, errors.NotReachable, "Not Found", text="404: Not Found."),
    "404 App": Case(404, errors.NotReachable, "Integration not found", text="Integration"),
    "404 empty": Case(404, errors.NotReachable),
    "404 of another web server": Case(404, errors.GitHubUnavailable, b"<html>", content_type="text/html"),
    "404 as text": Case(404, errors.NotReachable, b"404: Not Found", content_type="text/plain"),
    "410": Case(410, errors.NotReachable, "This repository was deleted", text="deleted"),
    "451": Case(451, errors.NotReachable, "Repository access blocked", text="blocked"),
    "400": Case(400, errors.Invalid, "Problems parsing JSON", text="parsing JSON"),
    "413": Case(413, errors.TooMuch, b"", content_type="text/plain"),
    "415": Case(415, errors.Invalid, "Unsupported 'Accept' header", text="Accept"),
    "408": Case(408, errors.GitHubUnavailable),
    "409": Case(409, errors.Invalid, "Git Repository is empty.", text="empty."),
    "422 fields": Case(
        422,
        errors.Invalid,
        {
            "message": "Validation Failed",
            "errors": [{"resource": "CheckRun", "field": "head_sha", "code": "missing_field"}],
        },
        text="Validation Failed (CheckRun head_sha missing_field)",
    ),
    "422 too long": Case(
        422,
        errors.Invalid,
        {
            "message": "Validation Failed",
            "errors": [
                {
                    "resource": "CheckRun",
                    "code": "custom",
                    "field": "base",
                    "message": "Only 65535 characters are allowed in output summary",
                }
            ],
        },
        text="Only 65535 characters",
    ),
    "422 unknown commit": Case(
        422, errors.CommitUnknown, f"No commit found for SHA: {'1' * 40}", text="No commit found"
    ),
    "422 description": Case(
        422, errors.Invalid, 'Invalid request.\n\n"summary" wasn\'t supplied.', text="wasn't supplied"
    ),
    "422 empty": Case(422, errors.Invalid),
    "422 texts": Case(
        422,
        errors.CommitUnknown,
        {"message": "Invalid request.", "errors": ["No commit found for SHA: 123"]},
        text="No commit found for SHA: 123",
    ),
    "422 one text": Case(422, errors.Invalid, {"message": "Nope", "errors": "too long"}, text="Nope (too long)"),
    "422 nested": Case(422, errors.Invalid, b'{"message": "Nope", "errors": ' + b"[" * 200_000),
    "422 not unicode": Case(422, errors.Invalid, b'{"message": "\xff\xfe"}'),
    "422 null": Case(422, errors.Invalid, {"message": "Nope", "errors": None}, text="Nope"),
    "422 token for a repository of others": Case(
        422,
        errors.NotReachable,
        "There is at least one repository that does not exist or is not accessible to the parent installation.",
    ),
    "429 with retry-after": Case(
        429, errors.RateLimited, SECONDARY, {"retry-after": "7"}, waits_seconds=7, is_secondary=True
    ),
    "429 primary": Case(
        429,
        errors.RateLimited,
        "API rate limit exceeded for installation ID 7.",
        _limit(0, reset_in_seconds=300),
        waits_seconds=300,
        is_secondary=False,
    ),
    "429 secondary without retry-after": Case(
        429, errors.RateLimited, SECONDARY, _limit(4000, reset_in_seconds=1200), waits_seconds=60, is_secondary=True
    ),
    "429 of a proxy": Case(429, errors.GitHubUnavailable, b"<html>slow", content_type="text/html"),
    "429 with reset": Case(
        429, errors.RateLimited, "", _limit(0, reset_in_seconds=300), waits_seconds=300, is_secondary=False
    ),
    "429 bare": Case(429, errors.RateLimited, waits_seconds=60, is_secondary=True),
    "429 garbage headers": Case(
        429,
        errors.RateLimited,
        "",
        {"retry-after": "soon", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "²", "date": "now"},
        waits_seconds=60,
    ),
    "500": Case(500, errors.GitHubUnavailable, "Server Error", text="Server Error"),
    "500 with retry-after": Case(500, errors.GitHubUnavailable, "Server Error", {"retry-after": "30"}),
    "502": Case(502, errors.GitHubUnavailable, "Server Error", text="tried again later"),
    "502 cut off": Case(502, errors.GitHubUnavailable, b'{"message": "Ser'),
    "503 unicorn": Case(503, errors.GitHubUnavailable, UNICORN, content_type="text/html"),
    "502 unicorn": Case(502, errors.GitHubUnavailable, UNICORN, content_type="text/html; charset=utf-8"),
    "503 empty": Case(503, errors.GitHubUnavailable),
    "504": Case(504, errors.GitHubUnavailable, b"upstream timeout", content_type="text/plain"),
    "200 unicorn": Case(200, errors.GitHubUnavailable, UNICORN, content_type="Text/HTML", text="HTML"),
    "301 unfollowed": Case(301, errors.GitHubUnavailable, "Moved Permanently"),
    "304 unasked": Case(304, errors.GitHubUnavailable, b""),
    "303": Case(303, errors.GitHubUnavailable, b""),
    "418": Case(418, errors.Invalid, b"teapot", content_type="text/plain"),
    "999": Case(999, errors.GitHubUnavailable, b"??", content_type=""),
}


@pytest.mark.parametrize("name", RECORDED)
def test_f98_each_recorded_answer_has_its_class(name: str) -> None:
    case = RECORDED[name]
    if case.wants is None:
        classify.check(case.answer(), what="GET /x", now=NOW)
        return
    with pytest.raises(errors.GitHubError) as caught:
        classify.check(case.answer(), what="GET /x", now=NOW)
    error = caught.value
    assert type(error) is case.wants
    assert case.text in str(error)
    assert "GET /x" in str(error)
    assert error.status == case.status
    if isinstance(error, errors.RateLimited):
        assert error.retry_at == NOW + timedelta(seconds=case.waits_seconds or 0)
        assert case.is_secondary in {None, error.is_secondary}


def test_f98_there_are_enough_recorded_answers() -> None:
    assert len(RECORDED) >= 30


class Shape(msgspec.Struct):
    """Something small."""

    id: int


@pytest.mark.parametrize(
    "body", [b"", b'{"id": 1', b"null", b"[]", b'{"id": "1"}', b'{"id": NaN}', b"\xff\xfe", b"[" * 200_000, b"{}"]
)
def test_f32_a_body_that_is_cut_off_or_of_another_shape_is_no_answer(body: bytes) -> None:
    answer = classify.Answer(status=200, headers={"content-type": JSON}, body=body)
    with pytest.raises(errors.GitHubUnavailable, match="cannot be read"):
        classify.decode(answer, Shape, what="GET /x")


def test_f51_unknown_fields_do_no_harm() -> None:
    answer = classify.Answer(status=200, headers={}, body=b'{"id": 9007199254740993, "new": {"a": [null]}}')
    assert classify.decode(answer, Shape, what="GET /x").id == 2**53 + 1


def test_t73_what_github_says_is_bounded_and_cannot_forge_a_line_or_show_a_secret() -> None:
    hostile = "a\nERROR forged \x1b[31m ghs_" + "A" * 36 + " " + "x" * 100_000
    body = msgspec.json.encode({"message": hostile, "errors": [hostile, {"message": hostile}] * 50})
    answer = classify.Answer(status=422, headers={"content-type": JSON}, body=body)
    with pytest.raises(errors.Invalid) as caught:
        classify.check(answer, what="POST /x", now=NOW)
    text = str(caught.value)
    assert len(text) < 2500
    assert "\n" not in text
    assert "\x1b" not in text
    assert "AAAA" not in text
    assert "and 95 more" in text


def test_the_last_call_of_a_limit_is_noticed() -> None:
    spent = Case(200, None, {"id": 1}, _limit(0, reset_in_seconds=100)).answer()
    left = Case(200, None, {"id": 1}, _limit(1, reset_in_seconds=100)).answer()
    assert classify.rate_limit_reset(spent, now=NOW) == NOW + timedelta(seconds=100)
    assert classify.rate_limit_reset(left, now=NOW) is None


def test_an_answer_does_not_show_its_body() -> None:
    assert "ghs_" not in repr(classify.Answer(status=201, headers={"x": "ghs_1"}, body=b'{"token": "ghs_1"}'))


_HEADERS = st.dictionaries(
    st.sampled_from(
        [
            "content-type",
            "retry-after",
            "date",
            "x-ratelimit-remaining",
            "x-ratelimit-reset",
            "x-accepted-github-permissions",
        ]
    ),
    st.one_of(
        st.text(max_size=80),
        st.sampled_from(["application/json", "text/html", "0", "1", DATE, "9" * 30, "-1", "Mon, 99 May 2026 99:00:00"]),
        st.integers().map(str),
    ),
)
_SOME_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.text(max_size=50)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(["message", "errors", "id", "field", "code", "é"]), inner, max_size=4),
    ),
    max_leaves=12,
)
_BODIES = st.one_of(st.binary(max_size=200), _SOME_JSON.map(lambda value: json.dumps(value).encode()))


@given(
    status=st.integers(100, 999),
    headers=_HEADERS,
    body=_BODIES,
    now=st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
)
def test_f98_every_answer_is_a_success_or_one_error(
    status: int, headers: dict[str, str], body: bytes, now: datetime
) -> None:
    answer = classify.Answer(status=status, headers=headers, body=body)
    reset_at = classify.rate_limit_reset(answer, now=now)
    assert reset_at is None or now < reset_at <= now + timedelta(days=1)
    error = _error_of(answer, now=now)
    if error is None:
        assert 200 <= status < 300
        return
    assert 0 < len(str(error)) < 2500
    assert "\n" not in str(error)
    if isinstance(error, errors.RateLimited):
        assert now < error.retry_at <= now + timedelta(days=1)


def _error_of(answer: classify.Answer, *, now: datetime) -> errors.GitHubError | None:
    try:
        classify.check(answer, what="GET /x", now=now)
        classify.decode(answer, Shape, what="GET /x")
    except errors.GitHubError as error:
        return error
    return None
