"""The JSON Schema (draft-07) of a pipeline file, for editors: made of the words that the parser takes.

It is a help while somebody writes, not the judge: what it takes may still be wrong (a need that is no job, a name that
an expression does not know), and then `parse` says so. What it refuses is always wrong.

https://json-schema.org/draft-07
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from bot.pipelines import vocabulary, words

#: Each mapping of the vocabulary by the name of its definition, with the keys that it has to have.
DEFINITIONS: Mapping[str, tuple[vocabulary.Kind, Sequence[str]]] = {
    "defaults": (vocabulary.DEFAULTS, ()),
    "defaults-run": (vocabulary.DEFAULTS_RUN, ()),
    "job": (vocabulary.JOB, ("steps",)),
    "strategy": (vocabulary.STRATEGY, ()),
    "step": (vocabulary.STEP, ("run",)),
    "checkout": (vocabulary.CHECKOUT, ()),
    "container": (vocabulary.CONTAINER, ("image",)),
    "reports": (vocabulary.REPORTS, ()),
    "input": (vocabulary.INPUT, ()),
    "artifact": (vocabulary.ARTIFACT, ("name", "path")),
    "cache": (vocabulary.CACHE, ("key", "path")),
    "concurrency": (vocabulary.CONCURRENCY, ("group",)),
    **{f"on-{event}": (kind, ("cron",) if event == "schedule" else ()) for event, kind in vocabulary.EVENTS.items()},
}
_NULL: words.Shape = {"type": "null"}


@functools.cache
def text() -> str:
    """The schema as JSON, indented."""
    return json.dumps(make(), indent=2, ensure_ascii=False) + "\n"


def make() -> dict[str, Any]:
    """The schema as a value."""
    definitions = {name: _of_kind(kind, required) for name, (kind, required) in DEFINITIONS.items()}
    definitions |= {
        "env": {
            "description": "Environment variables by name.",
            "type": ["object", "null"],
            "propertyNames": {"pattern": "^(?!GITHUB_|BUILDHOOK_)[A-Za-z_][A-Za-z0-9_]*$"},
            "additionalProperties": {"type": ["string", "number", "boolean", "null"]},
        },
        "jobs": {
            "type": "object",
            "minProperties": 1,
            "maxProperties": 256,
            "propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_-]{0,99}$"},
            "additionalProperties": words.of("job"),
        },
        "on": _on(),
        "checkout-step": _checkout_step(),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "A pipeline of buildhook (.buildhook.yml)",
        **_of_kind(vocabulary.PIPELINE, ("on", "jobs")),
        "definitions": definitions,
    }


def _of_kind(kind: vocabulary.Kind, required: Sequence[str]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "type": "object",
        "properties": {name: _of_key(key) for name, key in kind.keys.items()},
        "additionalProperties": False,
    }
    return {**made, "required": list(required)} if required else made


def _of_key(key: words.Key) -> dict[str, Any]:
    said = {"description": key.description, "examples": [key.example]}
    # In draft-07 nothing beside `$ref` counts.
    return {**said, "allOf": [key.shape]} if "$ref" in key.shape else {**said, **key.shape}


def _on() -> dict[str, Any]:
    event = {"enum": list(vocabulary.EVENTS)}
    return {
        "anyOf": [
            event,
            words.many(event),
            {
                "type": "object",
                "minProperties": 1,
                "properties": {name: _event(name) for name in vocabulary.EVENTS},
                "additionalProperties": False,
            },
        ]
    }


def _event(name: str) -> words.Shape:
    wanted = words.of(f"on-{name}")
    # A time has to be named: without one there is nothing to wait for.
    return {**words.many(wanted), "maxItems": 20} if name == "schedule" else words.either(_NULL, wanted)


def _checkout_step() -> dict[str, Any]:
    return {
        "description": "Taken, and does nothing: the code is checked out already.",
        "type": "object",
        "required": ["uses"],
        "properties": {
            "uses": {"type": "string", "pattern": r"^\s*actions/checkout(@|\s*$)"},
            "with": words.either(_NULL, words.of("checkout")),
        },
    }
