"""A pipeline file's YAML as plain nodes, each with its place."""

from __future__ import annotations

from dataclasses import dataclass

from bot.pipelines.problems import Place


@dataclass(frozen=True, slots=True)
class Scalar:
    """A single value, as written."""

    place: Place
    text: str
    #: Whether it stands without quotes, so that it can be a number, a boolean or nothing.
    is_plain: bool


@dataclass(frozen=True, slots=True)
class Sequence:
    """A list."""

    place: Place
    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Mapping:
    """Keys and values in the order of the file; no key comes twice."""

    place: Place
    entries: tuple[tuple[Scalar, Node], ...]


Node = Scalar | Sequence | Mapping
