"""A pipeline file's YAML as plain nodes, each with its place."""

from __future__ import annotations

import msgspec

from bot.pipelines.problems import Place


class Scalar(msgspec.Struct, frozen=True):
    """A single value, as written."""

    place: Place
    text: str
    #: Whether it stands without quotes, so that it can be a number, a boolean or nothing.
    is_plain: bool


class Sequence(msgspec.Struct, frozen=True):
    """A list."""

    place: Place
    items: tuple[Node, ...]


class Mapping(msgspec.Struct, frozen=True):
    """Keys and values in the order of the file; no key comes twice."""

    place: Place
    entries: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping
