"""Reads the few fields of a payload that the inbox needs: strict about JSON, tolerant about shapes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import NoneType
from typing import Any, TypeVar, get_args

import msgspec

_S = TypeVar("_S", bound=msgspec.Struct)

#: Ids are 64-bit on GitHub's side; larger numbers are somebody else's.
_LARGEST_ID = 2**63 - 1
MAX_DEPTH = 100
_ONE_BRACKET = bytes.maketrans(b"{}", b"[]")
_NO_BRACKET_OR_QUOTE = bytes(set(range(256)) - set(b'{}[]"'))
_NO_OPENING = bytes(set(range(256)) - set(b'{["/'))


class ShapeInvalid(ValueError):
    """The body is not a JSON object that can be taken."""


class Head(msgspec.Struct, frozen=True):
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


class _Id(msgspec.Struct):
    id: int | None = None


class _Repository(msgspec.Struct):
    id: int | None = None
    full_name: str | None = None


class _Numbered(msgspec.Struct):
    number: int | None = None


class _Commit(msgspec.Struct):
    id: str | None = None


class _Head(msgspec.Struct):
    sha: str | None = None


class _Pull(msgspec.Struct):
    number: int | None = None
    head: _Head | None = None


class _OfCommit(msgspec.Struct):
    head_sha: str | None = None


class _Payload(msgspec.Struct):
    """Only these members are decoded, the rest is checked and skipped: a tenth of the cost of a full decode."""

    action: str | None = None
    installation: _Id | None = None
    number: int | None = None
    ref: str | None = None
    ref_type: str | None = None
    after: str | None = None
    head_commit: _Commit | None = None
    merge_group: _OfCommit | None = None
    repository: _Repository | None = None
    pull_request: _Pull | None = None
    issue: _Numbered | None = None
    check_run: _OfCommit | None = None
    check_suite: _OfCommit | None = None


_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_SHA = re.compile(r"(?!0+\Z)(?:[0-9a-f]{40}|[0-9a-f]{64})", re.ASCII)
_payload = msgspec.json.Decoder(_Payload)
_object = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read(body: bytes) -> Head:
    """The head of a payload.

    :raises ShapeInvalid: if it is not UTF-8, not JSON, not an object, has NaN, or nests deeper than 100.
    """
    if _depth_exceeds(body, MAX_DEPTH):
        raise ShapeInvalid(f"The body nests deeper than {MAX_DEPTH} levels.")
    try:
        if not body.isascii():
            body.decode("utf-8")
        payload = _decoded(body)
    except UnicodeDecodeError as error:
        raise ShapeInvalid(f"The body is not UTF-8 at byte {error.start}.") from error
    except (msgspec.DecodeError, RecursionError, ValueError) as error:
        raise ShapeInvalid(f"The body is not a JSON object: {error}.") from error
    repository = payload.repository
    return Head(
        action=_text(payload.action),
        installation_id=_id(payload.installation.id) if payload.installation else None,
        repository_id=_id(repository.id) if repository else None,
        repository=_text(repository.full_name, longest=512) if repository else None,
        number=_number(payload),
        ref=_text(payload.ref, longest=4096),
        ref_type=_text(payload.ref_type),
        head_sha=_head_sha(payload),
    )


def _decoded(body: bytes) -> _Payload:
    try:
        return _payload.decode(body)
    except msgspec.ValidationError:
        # Something is of another type than GitHub sends; it counts as absent, and all else as it stands.
        members = _object.decode(body)
        return _tolerant(_Payload, members)


def _tolerant(kind: type[_S], members: Mapping[str, msgspec.Raw]) -> _S:
    found = {}
    for field in msgspec.structs.fields(kind):
        if field.name in members and (value := _value(field.type, members[field.name])) is not None:
            found[field.name] = value
    return kind(**found)


def _value(kind: Any, raw: msgspec.Raw) -> object:
    # Each is of one kind, or null.
    kind = next(one for one in get_args(kind) if one is not NoneType)
    if not issubclass(kind, msgspec.Struct):
        value = msgspec.json.decode(raw)
        return value if type(value) is kind else None
    try:
        return _tolerant(kind, _object.decode(raw))
    except msgspec.DecodeError:
        # Not an object, or one with numbers beyond any: then it says nothing that we need.
        return None


def _number(payload: _Payload) -> int | None:
    for found in (payload.number, payload.pull_request and payload.pull_request.number):
        if (number := _id(found)) is not None:
            return number
    return _id(payload.issue.number) if payload.issue else None


def _head_sha(payload: _Payload) -> str | None:
    for about in (payload.check_run, payload.check_suite, payload.merge_group):
        if about is not None and (found := _sha(about.head_sha)) is not None:
            return found
    pull = payload.pull_request
    if pull is not None:
        return _sha(pull.head.sha) if pull.head else None
    if payload.ref is not None and payload.ref.startswith("refs/tags/") and payload.head_commit is not None:
        # Of an annotated tag `after` is the tag itself.
        return _sha(payload.head_commit.id) or _sha(payload.after)
    return _sha(payload.after)


def _sha(value: object) -> str | None:
    return value if isinstance(value, str) and _SHA.fullmatch(value) else None


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
