"""Reads the few fields of a payload that the inbox needs: strict about JSON, tolerant about shapes. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import msgspec

#: Ids are 64-bit on GitHub's side; larger numbers are somebody else's.
_LARGEST_ID = 2**63 - 1
MAX_DEPTH = 100
_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET_OR_QUOTE = bytes(set(range(256)) - set(b'{}[]"'))
_NO_OPENING = bytes(set(range(256)) - set(b'{["/'))


class ShapeInvalid(ValueError):
    """The body is not a JSON object that can be taken."""


@dataclass(frozen=True, slots=True)
class Head:
    """The fields that say what a payload is about; None where absent or of another type."""

    action: str | None = None
    installation_id: int | None = None
    repository_id: int | None = None
    repository: str | None = None
    number: int | None = None
    ref: str | None = None
    #: `branch` or `tag`, where the ref is only a name.
    ref_type: str | None = None
    #: The commit that it is about: that of a check, of a pull request's or merge group's head, of a push.
    head_sha: str | None = None


class _Partial(msgspec.Struct):
    """Only these members are decoded, the rest is checked and skipped: a tenth of the cost of a full decode."""

    action: Any = None
    installation: Any = None
    number: Any = None
    ref: Any = None
    ref_type: Any = None
    after: Any = None
    head_commit: msgspec.Raw = msgspec.Raw()
    merge_group: msgspec.Raw = msgspec.Raw()
    repository: msgspec.Raw = msgspec.Raw()
    pull_request: msgspec.Raw = msgspec.Raw()
    issue: msgspec.Raw = msgspec.Raw()
    check_run: msgspec.Raw = msgspec.Raw()
    check_suite: msgspec.Raw = msgspec.Raw()


class _Inner(msgspec.Struct, frozen=True):
    id: Any = None
    full_name: Any = None
    number: Any = None
    head_sha: Any = None


_NOTHING = _Inner()


class _Pull(msgspec.Struct):
    head: msgspec.Raw = msgspec.Raw()


class _Head(msgspec.Struct):
    sha: Any = None


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SHA = re.compile(r"(?!0+\Z)(?:[0-9a-f]{40}|[0-9a-f]{64})", re.ASCII)
_partial = msgspec.json.Decoder(_Partial)
_inner = msgspec.json.Decoder(_Inner)
_pull = msgspec.json.Decoder(_Pull)
_head = msgspec.json.Decoder(_Head)


def read(body: bytes) -> Head:
    """The head of a payload.

    :raises ShapeInvalid: if it is not UTF-8, not JSON, not an object, has NaN, or nests deeper than 100.
    """
    if _depth_exceeds(body, MAX_DEPTH):
        raise ShapeInvalid(f"The body nests deeper than {MAX_DEPTH} levels.")
    try:
        body.decode("utf-8")
        partial = _partial.decode(body)
    except UnicodeDecodeError as error:
        raise ShapeInvalid(f"The body is not UTF-8 at byte {error.start}.") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise ShapeInvalid(f"The body is not a JSON object: {error}.") from error
    repository = _nested(partial.repository)
    return Head(
        action=_text(partial.action),
        installation_id=_id(partial.installation.get("id")) if isinstance(partial.installation, dict) else None,
        repository_id=_id(repository.id),
        repository=_text(repository.full_name, longest=512),
        number=_number(partial),
        ref=_text(partial.ref, longest=4096),
        ref_type=_text(partial.ref_type),
        head_sha=_head_sha(partial),
    )


def _number(partial: _Partial) -> int | None:
    number = _id(partial.number)
    for raw in (partial.pull_request, partial.issue):
        # Only where it is not said outside: reading it again is most of the cost.
        number = number if number is not None else _id(_nested(raw).number)
    return number


def _head_sha(partial: _Partial) -> str | None:
    for raw in (partial.check_run, partial.check_suite, partial.merge_group):
        if (found := _sha(_nested(raw).head_sha)) is not None:
            return found
    if partial.pull_request:
        return _sha(_sha_of_head(partial.pull_request))
    if isinstance(partial.ref, str) and partial.ref.startswith("refs/tags/"):
        # Of an annotated tag `after` is the tag itself.
        return _sha(_nested(partial.head_commit).id) or _sha(partial.after)
    return _sha(partial.after)


def _sha_of_head(pull: msgspec.Raw) -> object:
    try:
        return _head.decode(_pull.decode(pull).head).sha
    except msgspec.DecodeError:
        return None


def _sha(value: object) -> str | None:
    return value if isinstance(value, str) and _SHA.fullmatch(value) else None


def _nested(raw: msgspec.Raw) -> _Inner:
    if not raw:
        return _NOTHING
    try:
        return _inner.decode(raw)
    except msgspec.DecodeError:
        # Not an object: then it says nothing that we need.
        return _NOTHING


def _id(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _LARGEST_ID else None


def _text(value: object, *, longest: int = 255) -> str | None:
    return value if isinstance(value, str) and len(value) <= longest and _is_storable(value) else None


def _is_storable(value: str) -> bool:
    # Lone surrogates cannot be encoded, and PostgreSQL takes no NUL in text.
    return _UNSTORABLE.search(value) is None


def _depth_exceeds(body: bytes, limit: int) -> bool:
    # An opening brace before a slash can only stand in a text, as in GitHub's URL templates: `.../commits{/sha}`.
    # Behind any other one comes a quote or a bracket, so nothing that is left away here brings the two together.
    few = body.translate(None, _NO_OPENING)
    if few.count(b"{") + few.count(b"[") - few.count(b"{/") <= limit:
        return False
    # Only byte-string operations: on hostile megabytes a loop in Python would be the attack.
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_ONE_BRACKET, _NO_BRACKET_OR_QUOTE)
    level = b"".join(bare.replace(b'""', b"").split(b'"')[::2])
    for _ in range(limit):
        outer = level.replace(b"[]", b"")
        if len(outer) == len(level):
            # Empty, or unbalanced, which the decoder tells better.
            return False
        level = outer
    return bool(level)
