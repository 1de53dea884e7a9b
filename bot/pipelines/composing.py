"""From the text of a pipeline file to its nodes: tags, merge keys and duplicate keys are problems."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec
from ruamel.yaml import events

from bot.pipelines import nodes, scan
from bot.pipelines.problems import Place, Problems, quoted

#: What aliases may blow a file up to: characters, and `_WEIGHT_OF_A_NODE` for each node.
MAX_WEIGHT = 512 * 1024
_WEIGHT_OF_A_NODE = 32
_UNUSABLE = re.compile("[\0\ud800-\udfff]")
_ONE_DOCUMENT = "The file holds more than one YAML document: keep one, without `---` in between."


class _Open(msgspec.Struct):
    """A list or mapping that has begun."""

    place: Place
    is_mapping: bool
    anchor: str | None
    children: list[nodes.Node] = msgspec.field(default_factory=list)
    weight: int = _WEIGHT_OF_A_NODE
    depth: int = 1


class _Anchored(msgspec.Struct, frozen=True):
    node: nodes.Node
    weight: int
    depth: int


def compose(text: str, *, problems: Problems) -> nodes.Node | None:
    """The one document of a text; None where it cannot be read, and then a problem says why."""
    try:
        return _Composer(text, problems).compose()
    except scan.Unreadable as wrong:
        problems.add(wrong.place, wrong.text)
        return None


class _Composer:
    def __init__(self, text: str, problems: Problems) -> None:
        self._text = text
        self._problems = problems
        self._open: list[_Open] = []
        self._anchors: dict[str, _Anchored | None] = {}
        self._root: nodes.Node | None = None

    def compose(self) -> nodes.Node | None:
        documents = 0
        for event in scan.scan(self._text):
            match event:
                case events.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise scan.Unreadable(scan.place_of(event.start_mark), _ONE_DOCUMENT)
                case events.MappingStartEvent() | events.SequenceStartEvent():
                    self._begin(event)
                case events.MappingEndEvent() | events.SequenceEndEvent():
                    self._end()
                case events.ScalarEvent():
                    self._scalar(event)
                case events.AliasEvent():
                    self._alias(event)
        return self._root

    def _begin(self, event: events.MappingStartEvent | events.SequenceStartEvent) -> None:
        self._check_tag(event)
        place = scan.place_of(event.start_mark)
        if len(self._open) >= scan.MAX_DEPTH:
            raise scan.Unreadable(place, f"Lists and mappings are nested deeper than {scan.MAX_DEPTH} levels.")
        if event.anchor:
            self._anchors[event.anchor] = None
        is_mapping = isinstance(event, events.MappingStartEvent)
        self._open.append(_Open(place=place, is_mapping=is_mapping, anchor=event.anchor))

    def _end(self) -> None:
        done = self._open.pop()
        node: nodes.Node
        if done.is_mapping:
            node = nodes.Mapping(done.place, tuple(self._entries(done.children)))
        else:
            node = nodes.Sequence(done.place, tuple(done.children))
        self._put(node, anchor=done.anchor, weight=done.weight, depth=done.depth)

    def _scalar(self, event: events.ScalarEvent) -> None:
        self._check_tag(event)
        place = scan.place_of(event.start_mark)
        if _UNUSABLE.search(event.value):
            self._problems.add(place, "An escape here gives a character that no command can take: delete it.")
        if not event.value and event.style is None and self._open and len(self._open[-1].children) % 2:
            # Where nothing is written, the parser stands at what comes next: the key says more.
            place = self._open[-1].children[-1].place if self._open[-1].is_mapping else place
        node = nodes.Scalar(place, event.value, is_plain=event.style is None)
        self._put(node, anchor=event.anchor, weight=_WEIGHT_OF_A_NODE + len(event.value), depth=0)

    def _alias(self, event: events.AliasEvent) -> None:
        place = scan.place_of(event.start_mark)
        if event.anchor not in self._anchors:
            raise scan.Unreadable(place, f"{quoted('*' + event.anchor)} names no anchor that stands before it.")
        target = self._anchors[event.anchor]
        if target is None:
            raise scan.Unreadable(place, f"{quoted('*' + event.anchor)} stands inside of what it names.")
        if len(self._open) + target.depth > scan.MAX_DEPTH:
            raise scan.Unreadable(place, f"Lists and mappings are nested deeper than {scan.MAX_DEPTH} levels.")
        self._put(target.node, anchor=None, weight=target.weight, depth=target.depth)

    def _put(self, node: nodes.Node, *, anchor: str | None, weight: int, depth: int) -> None:
        if anchor:
            self._anchors[anchor] = _Anchored(node, weight, depth)
        if not self._open:
            self._root = node
            return
        around = self._open[-1]
        around.children.append(node)
        around.weight += weight
        around.depth = max(around.depth, depth + 1)
        if around.weight > MAX_WEIGHT:
            raise scan.Unreadable(node.place, "Aliases (`*name`) make the file too large: repeat less.")

    def _entries(self, children: list[nodes.Node]) -> Iterator[tuple[nodes.Scalar, nodes.Node]]:
        seen: dict[str, Place] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, nodes.Scalar):
                self._problems.add(key.place, "A key has to be a word, not a list or mapping.")
            elif key.text == "<<" and key.is_plain:
                self._problems.add(key.place, "Merge keys (`<<`) are not supported: write the keys out.")
            elif key.text in seen:
                first = seen[key.text]
                self._problems.add(
                    key.place,
                    f"{quoted(key.text)} stands here a second time (first in line {first.line}, column {first.column}):"
                    " keep one of the two.",
                )
            else:
                seen[key.text] = key.place
                yield key, value

    def _check_tag(self, event: events.ScalarEvent | events.MappingStartEvent | events.SequenceStartEvent) -> None:
        if event.ctag is not None:
            self._problems.add(
                scan.place_of(event.start_mark),
                "YAML tags (`!…`) are not supported: delete the tag, or quote the text.",
            )
