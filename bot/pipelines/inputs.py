"""Reads `on.workflow_dispatch.inputs`, and takes what somebody gives for them. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bot.pipelines import fields, nodes, scalars, vocabulary
from bot.pipelines.document import Input
from bot.pipelines.problems import Problems, did_you_mean, quoted

#: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#onworkflow_dispatchinputs
MAX_INPUTS = 25
MAX_CHARACTERS = 65_535
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")
_NUMBER = re.compile(r"[-+]?[0-9]{1,15}(\.[0-9]{1,15})?")


class Refused(Exception):
    """What was given does not fit what the file asks for; the text says why."""


def read(node: nodes.Node, *, problems: Problems) -> Mapping[str, Input]:
    """The inputs by name, in the order of the file."""
    if scalars.is_null(node):
        return {}
    outer = fields.keys(node, of=vocabulary.WORKFLOW_DISPATCH, problems=problems) or {}
    if "inputs" not in outer or scalars.is_null(outer["inputs"]):
        return {}
    found = {}
    for key, value in fields.entries(outer["inputs"], what="`inputs`", problems=problems):
        if not _NAME.fullmatch(key.text):
            problems.add(key.place, f"{quoted(key.text)} cannot name an input: use letters, digits, `-` and `_`.")
        else:
            found[key.text] = _input(value, problems)
    if len(found) > MAX_INPUTS:
        problems.add(outer["inputs"].place, f"There are {len(found)} inputs: at most {MAX_INPUTS}.")
    return found


def _input(node: nodes.Node, problems: Problems) -> Input:
    if scalars.is_null(node):
        return Input()
    given = fields.keys(node, of=vocabulary.INPUT, problems=problems) or {}
    kind = fields.text(given["type"], what="`type`", problems=problems) if "type" in given else "string"
    if kind not in vocabulary.INPUT_TYPES:
        text = f"{quoted(kind or '')} is not a type of an input. {did_you_mean(kind or '', vocabulary.INPUT_TYPES)}"
        problems.add(given["type"].place, text)
    options: tuple[str, ...] = ()
    if "options" in given:
        options = tuple(text for _, text in fields.texts(given["options"], what="`options`", problems=problems))
    if kind == "choice" and not options:
        problems.add(node.place, "A `choice` needs `options`: a list of what can be chosen.")
    described = (
        fields.text(given["description"], what="`description`", problems=problems) if "description" in given else ""
    )
    default = _default(given["default"], problems) if "default" in given else None
    made = Input(
        type=kind or "string",
        description=(described or "")[:1000],
        is_required="required" in given and fields.boolean(given["required"], what="`required`", problems=problems),
        default=default,
        options=options,
    )
    if default is not None and kind in vocabulary.INPUT_TYPES and (kind != "choice" or options):
        try:
            _value("default", made, default)
        except Refused as wrong:
            problems.add(given["default"].place, str(wrong))
    return made


def _default(node: nodes.Node, problems: Problems) -> str | None:
    if isinstance(node, nodes.Scalar):
        return scalars.printed(node)
    problems.add(node.place, "`default` has to be text, a number, or `true` or `false`.")
    return None


def taken(wanted: Mapping[str, Input], given: Mapping[str, str]) -> Mapping[str, Any]:
    """The `inputs` context of what somebody gives as text.

    :raises Refused: if something is not asked for, missing, or of another kind.
    """
    for name in given:
        if name not in wanted:
            raise Refused(f"There is no input {quoted(name)}. {did_you_mean(name, wanted)}".rstrip())
    if sum(len(name) + len(value) for name, value in given.items()) > MAX_CHARACTERS:
        raise Refused(f"The inputs have more than {MAX_CHARACTERS} characters.")
    found: dict[str, Any] = {}
    for name, one in wanted.items():
        value = given.get(name, one.default)
        if one.is_required and not value:
            raise Refused(f"The input {quoted(name)} is required.")
        found[name] = _value(name, one, value) if value is not None else _nothing(one)
    return found


def _nothing(one: Input) -> Any:
    if one.type == "choice":
        return one.options[0]
    return False if one.type == "boolean" else ""


def _value(name: str, one: Input, value: str) -> Any:
    if one.type == "boolean":
        if value not in ("true", "false"):
            raise Refused(f"The input {quoted(name)} has to be `true` or `false`.")
        return value == "true"
    if one.type == "number" and value:
        if not _NUMBER.fullmatch(value):
            raise Refused(f"The input {quoted(name)} has to be a number.")
        return float(value)
    if one.type == "choice" and value not in one.options:
        raise Refused(f"The input {quoted(name)} has to be one of {', '.join(map(quoted, one.options))}.")
    return value
