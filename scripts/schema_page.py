"""The reference of the pipeline file, every key in its place, made of the schema that the service and editors go by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bot.pipelines import schema

_HEAD = """\
# Every key of the pipeline file

Generated from the schema that `buildhook schema` prints. [The pipeline file](pipeline.md) explains them together;
[the language](language.md) compares them with GitHub Actions.
"""


def page() -> str:
    """The page: a table for each of the file's top keys, but one for all those that have none below."""
    root = schema.make()
    single, parts = [], []
    for name in root["properties"]:
        rows = list(_rows(name, root["properties"][name], root, ()))
        if len(rows) == 1:
            single += rows
        else:
            parts += ["", f"## `{name}`", "", *_table(rows)]
    return "\n".join([_HEAD, *_table(single), *parts]) + "\n"


def _table(rows: list[tuple[str, Mapping[str, Any], bool]]) -> list[str]:
    lines = ["| key | meaning | for example |", "|---|---|---|"]
    for path, key, is_required in rows:
        examples = key.get("examples", ())
        example = f"`{_cell(json.dumps(examples[0], ensure_ascii=False))}`" if examples else ""
        must = " Has to be there." if is_required else ""
        lines.append(f"| `{path}` | {_cell(key.get('description', ''))}{must} | {example} |")
    return lines


def _rows(
    path: str, key: Mapping[str, Any], root: Mapping[str, Any], within: tuple[str, ...], *, is_required: bool = False
) -> Iterator[tuple[str, Mapping[str, Any], bool]]:
    """A key and all below it, the way a file nests them.

    :param within: the definitions that it stands in: what holds itself is not told again.
    """
    if "description" in key:
        yield path, key, is_required
    seen = set()
    for below, inner, its_own, must in _below(path, key, root, within):
        if below not in seen:
            seen.add(below)
            yield from _rows(below, inner, root, its_own, is_required=must)


def _below(
    path: str, key: Mapping[str, Any], root: Mapping[str, Any], within: tuple[str, ...]
) -> Iterator[tuple[str, Mapping[str, Any], tuple[str, ...], bool]]:
    """What stands right below a key, whatever forms it may have."""
    reference = key.get("$ref")
    if reference is not None and reference not in within:
        definition = root["definitions"][reference.rpartition("/")[2]]
        yield from _below(path, definition, root, (*within, reference))
    for form in (*key.get("allOf", ()), *key.get("anyOf", ()), *key.get("oneOf", ())):
        yield from _below(path, form, root, within)
    for name, inner in key.get("properties", {}).items():
        yield f"{path}.{name}", inner, within, name in key.get("required", ())
    others = key.get("additionalProperties")
    for inner in [others] if isinstance(others, Mapping) else list(key.get("patternProperties", {}).values()):
        yield from _below(f"{path}.<name>", inner, root, within)
    items = key.get("items")
    if isinstance(items, Mapping):
        yield from _below(f"{path}[]", items, root, within)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
