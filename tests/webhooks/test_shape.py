"""The few fields that the inbox needs: strict about JSON, tolerant about shapes, cheap on hostile megabytes."""

from __future__ import annotations

import contextlib
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.webhooks import shape
from tests import recorded

# Texts full of what a naive counter of brackets falls for.
_TEXT = st.text(st.sampled_from('{}[]"\\/ aé🚀,:'), max_size=8) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8
)
_LEAF = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | _TEXT
)
_JSON = st.recursive(
    _LEAF, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXT, inner, max_size=4), max_leaves=25
)


def _depth(value: Any) -> int:
    """The reference: how deep a decoded value nests."""
    if isinstance(value, dict | list):
        inner = value.values() if isinstance(value, dict) else value
        return 1 + max(map(_depth, inner), default=0)
    return 0


def _reference(payload: dict[str, Any]) -> shape.Head:
    """The fields, read in the obvious way from a full decode."""

    def member(name: str) -> dict[str, Any]:
        found = payload.get(name)
        return found if isinstance(found, dict) else {}

    def number(value: Any) -> int | None:
        return value if type(value) is int and 0 < value < 2**63 else None

    def text(value: Any, longest: int = 255) -> str | None:
        return value if isinstance(value, str) and len(value) <= longest and "\0" not in value else None

    numbers = (payload.get("number"), member("pull_request").get("number"), member("issue").get("number"))
    return shape.Head(
        action=text(payload.get("action")),
        installation_id=number(member("installation").get("id")),
        repository_id=number(member("repository").get("id")),
        repository=text(member("repository").get("full_name"), 512),
        number=next((found for found in map(number, numbers) if found is not None), None),
        ref=text(payload.get("ref"), 4096),
        ref_type=text(payload.get("ref_type")),
        head_sha=_reference_sha(payload),
    )


def _reference_sha(payload: dict[str, Any]) -> str | None:
    """The commit that a payload is about, read from a full decode."""

    def member(of: Any, name: str) -> Any:
        return of.get(name) if isinstance(of, dict) else None

    def sha(value: Any) -> str | None:
        is_one = isinstance(value, str) and re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", value) and set(value) != {"0"}
        return value if is_one else None

    for name in ("check_run", "check_suite", "merge_group"):
        if (found := sha(member(payload.get(name), "head_sha"))) is not None:
            return found
    if isinstance(payload.get("pull_request"), dict):
        return sha(member(member(payload["pull_request"], "head"), "sha"))
    is_tag = isinstance(payload.get("ref"), str) and payload["ref"].startswith("refs/tags/")
    of_tag = sha(member(payload.get("head_commit"), "id")) if is_tag else None
    return of_tag or sha(payload.get("after"))


@settings(max_examples=300)
@given(value=_JSON, is_ascii=st.booleans(), has_space=st.booleans(), above=st.integers(0, 120))
def test_depth_is_counted_as_the_reference_counts_it(value: Any, is_ascii: bool, has_space: bool, above: int) -> None:
    for level in range(above):
        value = {'"[\\"': value} if level % 2 else [value, "]"]
    body = json.dumps({"x": value}, ensure_ascii=is_ascii, indent=1 if has_space else None).encode()
    if _depth({"x": value}) > shape.MAX_DEPTH:
        with pytest.raises(shape.ShapeInvalid, match="nests deeper"):
            shape.read(body)
    else:
        assert shape.read(body) == shape.Head()


_MEMBER = st.sampled_from(["id", "full_name", "number", "head_sha", "sha", "head", "other"])
_SHA = st.sampled_from(["a" * 40, "b" * 64, "0" * 40, "A" * 40, "a" * 41, "a" * 39 + "\n"])
_ID = st.integers(-1, 2) | st.sampled_from([2**63 - 1, 2**63, 2**64]) | _LEAF
_INNER = st.dictionaries(_MEMBER, _ID | _TEXT | _SHA | st.dictionaries(_MEMBER, _SHA), max_size=5) | _JSON
_PAYLOAD = st.fixed_dictionaries(
    {},
    optional={
        "action": _LEAF | st.text("a", min_size=250, max_size=260),
        "number": _ID,
        "ref": _LEAF | st.sampled_from(["refs/heads/main", "refs/tags/v1"]),
        "after": _LEAF | _SHA,
        "head_commit": _INNER,
        "merge_group": _INNER,
        "repository": _INNER,
        "installation": _INNER,
        "pull_request": _INNER,
        "issue": _INNER,
        "check_run": _INNER,
        "check_suite": _INNER,
        "other": _JSON,
    },
)


@settings(max_examples=300)
@given(payload=_PAYLOAD)
def test_the_head_is_what_a_full_decode_says(payload: dict[str, Any]) -> None:
    assert shape.read(json.dumps(payload).encode()) == _reference(payload)


@pytest.mark.parametrize("one", recorded.all_recorded(), ids=lambda one: one.name)
def test_the_head_of_each_recorded_payload_is_right(one: recorded.Recorded) -> None:
    assert shape.read(one.body) == _reference(one.payload())


@pytest.mark.parametrize("depth", [shape.MAX_DEPTH, shape.MAX_DEPTH + 1])
@pytest.mark.parametrize("member", ["other", "action", "repository", "installation"])
def test_t6_one_hundred_levels_are_taken_and_one_more_is_not(depth: int, member: str) -> None:
    body = f'{{"{member}":'.encode() + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"
    if depth > shape.MAX_DEPTH:
        with pytest.raises(shape.ShapeInvalid, match="deeper than 100"):
            shape.read(body)
    else:
        assert shape.read(body) == shape.Head()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"text"',
        b"1",
        b"{",
        b"{}}",
        b"{} {}",
        b"{'a': 1}",
        b'{"a":1,}',
        b'{"a" 1}',
        b'{"a":01}',
        b'{"a":+1}',
        b'{"a":.5}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"action":NaN}',
        b'{"a":undefined}',
        b'{"a":"\\q"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\udc00\\ud800"}',
        b'{"action":"\\ud800"}',
        b'{"a":"line\nbreak"}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\xc0\xaf"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b"\x00",
        b"{}\x00",
        b'{"a":1}/* no */',
        b'{"x":' * 1_000_000,
        b'{"x":' + b"[" * 1_000_000,
        b'{"action":' + b"[" * 1_000_000,
        b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":\\"' + b"[" * 1000,
        b'{"number":' + b"9" * 1_000_000 + b"}",
    ],
    ids=range(39),
)
def test_t6_what_is_no_json_object_is_invalid(body: bytes) -> None:
    with pytest.raises(shape.ShapeInvalid):
        shape.read(body)


@pytest.mark.parametrize(
    ("body", "head"),
    [
        (b"{}", shape.Head()),
        (b' \r\n\t{ "action" : "opened" } ', shape.Head(action="opened")),
        (b'{"action":"a","action":"b"}', shape.Head(action="b")),
        (b'{"repository":{"id":1},"repository":{"id":2}}', shape.Head(repository_id=2)),
        (b'{"\\u0061ction":"a"}', shape.Head(action="a")),
        (b'{"action":"\\u0000"}', shape.Head()),
        (b'{"action":"\\ud83d\\ude80"}', shape.Head(action="🚀")),
        (b'{"repository":{"id":' + b"9" * 1_000_000 + b"}}", shape.Head()),
        (b'{"other":' + b"9" * 1_000_000 + b"}", shape.Head()),
        (b'{"other":1e400}', shape.Head()),
        (b'{"installation":{"id":true}}', shape.Head()),
        (b'{"installation":{"id":"7"}}', shape.Head()),
        (b'{"installation":{"id":7.0}}', shape.Head()),
        (b'{"installation":[{"id":7}]}', shape.Head()),
        (b'{"repository":null,"pull_request":3,"issue":"x","check_run":[],"check_suite":false}', shape.Head()),
    ],
    ids=range(15),
)
def test_t6_odd_but_whole_json_is_read(body: bytes, head: shape.Head) -> None:
    assert shape.read(body) == head


@settings(max_examples=300)
@given(body=st.binary(max_size=60) | st.text(st.sampled_from('{}[]"\\:,0aN\n'), max_size=40).map(str.encode))
def test_t6_no_bytes_break_the_reading(body: bytes) -> None:
    with contextlib.suppress(shape.ShapeInvalid):
        shape.read(body)
        read = json.loads(body)
        assert isinstance(read, dict)
        assert not any(isinstance(value, float) and math.isnan(value) for value in read.values())
