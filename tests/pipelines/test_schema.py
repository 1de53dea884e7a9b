"""The schema for editors: it is valid, it holds every word with an example, and it refuses nothing that is right."""

from __future__ import annotations

import io
import json
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from bot.pipelines import schema, vocabulary
from bot.pipelines.parse import parse

SCHEMA = jsonschema_rs.Draft7Validator(schema.make())
#: Every mapping that the parser knows.
KINDS = {name: one for name, one in vars(vocabulary).items() if isinstance(one, vocabulary.Kind)}


def around(kind: vocabulary.Kind, key: str, value: Any) -> dict[str, Any]:
    """A whole file in which this key stands where it belongs."""
    job: dict[str, Any] = {"steps": [{"id": "build", "run": "make"}]}
    file: dict[str, Any] = {"on": "push", "jobs": {"lint": {"steps": [{"run": "a"}]}, "test": job}}
    event = next((name for name, one in vocabulary.EVENTS.items() if one is kind), None)
    if event is not None:
        file["on"] = {event: [{key: value}] if event == "schedule" else {key: value}}
        return file
    match next(name for name, one in KINDS.items() if one is kind):
        case "PIPELINE":
            file[key] = value
        case "JOB":
            job[key] = value
        case "STEP":
            job["steps"][0] |= {key: value}
        case "STRATEGY":
            job["strategy"] = {"matrix": {"a": [1]}, key: value}
        case "DEFAULTS":
            file["defaults"] = {key: value}
        case "DEFAULTS_RUN":
            file["defaults"] = {"run": {key: value}}
        case "CONCURRENCY":
            file["concurrency"] = {"group": "a", key: value}
        case "CHECKOUT":
            job["steps"].insert(0, {"uses": "actions/checkout@v4", "with": {key: value}})
        case "CONTAINER":
            # Of a service: `options` are for one only.
            job["services"] = {"a": {"image": "a", key: value}}
        case "REPORTS":
            job["reports"] = {key: value}
        case "INPUT":
            given = {"type": "choice", "options": ["info", "debug"], "default": "debug", key: value}
            file["on"] = {"workflow_dispatch": {"inputs": {"level": given}}}
        case "ARTIFACT":
            job["artifacts"] = {"name": "a", "path": "a", key: value}
        case "CACHE":
            job["cache"] = {"key": "a", "path": "a", key: value}
        case name:
            raise AssertionError(f"say here where a file has {name}")
    return file


WORDS = [(kind, key) for kind in KINDS.values() for key in kind.known]


def test_the_schema_is_valid_draft_07() -> None:
    jsonschema_rs.meta.validate(schema.make())
    assert schema.make()["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert json.loads(schema.text()) == schema.make()


@pytest.mark.parametrize(("kind", "key"), WORDS, ids=lambda one: getattr(one, "name", one))
def test_every_word_is_described_with_an_example_that_the_parser_takes(kind: vocabulary.Kind, key: str) -> None:
    found = kind.keys[key]
    assert found.description.endswith(".")
    made = schema.make()
    if kind is not vocabulary.PIPELINE:
        made = next(made["definitions"][name] for name, (one, _) in schema.DEFINITIONS.items() if one is kind)
    assert made["properties"][key]["description"] == found.description
    file = around(kind, key, found.example)
    assert parse(json.dumps(file)).problems == ()
    assert list(SCHEMA.iter_errors(file)) == []


@pytest.mark.parametrize(("kind", "key"), WORDS, ids=lambda one: getattr(one, "name", one))
def test_a_word_that_is_nearly_right_is_refused_by_both(kind: vocabulary.Kind, key: str) -> None:
    file = around(kind, f"{key}x", kind.keys[key].example)
    assert parse(json.dumps(file)).problems
    assert not SCHEMA.is_valid(file)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "on: push",
        "jobs: {a: {steps: [run: a]}}",
        "[]",
        "on: psh\njobs: {a: {steps: [run: a]}}",
        "on: []\njobs: {a: {steps: [run: a]}}",
        "on: {}\njobs: {a: {steps: [run: a]}}",
        "on: {push: {branches: []}}\njobs: {a: {steps: [run: a]}}",
        "on: push\njobs: {}",
        "on: push\njobs: {1a: {steps: [run: a]}}",
        "on: push\njobs: {a: {steps: []}}",
        "on: push\njobs: {a: {}}",
        "on: push\njobs: {a: {steps: [a]}}",
        "on: push\njobs: {a: {steps: [{name: a}]}}",
        "on: push\njobs: {a: {steps: [{run: [a]}]}}",
        "on: push\njobs: {a: {steps: [{uses: octo/hello@v1}]}}",
        "on: push\njobs: {a: {uses: octo/hello/.github/workflows/a.yml@v1}}",
        "on: push\njobs: {a: {timeout-minutes: 0, steps: [run: a]}}",
        "on: push\njobs: {a: {timeout-minutes: '5', steps: [run: a]}}",
        "on: push\njobs: {a: {continue-on-error: 'yes', steps: [run: a]}}",
        "on: push\njobs: {a: {needs: [], steps: [run: a]}}",
        "on: push\njobs: {a: {strategy: {matrix: {}}, steps: [run: a]}}",
        "on: push\njobs: {a: {strategy: {matrix: {a: 1}}, steps: [run: a]}}",
        "on: push\njobs: {a: {strategy: {max-parallel: 0, matrix: {a: [1]}}, steps: [run: a]}}",
        "on: push\njobs: {a: {strategy: {fail-fast: 1, matrix: {a: [1]}}, steps: [run: a]}}",
        "on: push\nenv: {GITHUB_A: a}\njobs: {a: {steps: [run: a]}}",
        "on: push\nenv: {A: [a]}\njobs: {a: {steps: [run: a]}}",
        "on: push\nenv: a\njobs: {a: {steps: [run: a]}}",
        "on: push\nconcurrency: {cancel-in-progress: true}\njobs: {a: {steps: [run: a]}}",
        "on: push\nconcurrency: {group: a, scope: b}\njobs: {a: {steps: [run: a]}}",
        "on: push\npermissions: read-all\njobs: {a: {steps: [run: a]}}",
        "on: push\njobs: {a: {artifacts: {name: a}, steps: [run: a]}}",
        "on: push\njobs: {a: {cache: {key: a}, steps: [run: a]}}",
        "on: push\njobs: {a: {container: {env: {}}, steps: [run: a]}}",
    ],
)
def test_what_is_wrong_is_refused_by_both(text: str) -> None:
    assert parse(text).problems
    assert not SCHEMA.is_valid(read(text))


def read(text: str) -> Any:
    """A file as an editor's language server reads it."""
    return YAML(typ="safe", pure=True).load(io.StringIO(text))


_KEYS = st.sampled_from(sorted({key for kind in KINDS.values() for key in kind.known}))
_LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(0, 400),
    st.sampled_from(["push", "make", "a", "${{ github.sha }}", "always()", "**", "v*", "{0}", "a/b", ""]),
)
_VALUES = st.recursive(
    _LEAVES, lambda one: st.one_of(st.lists(one, max_size=2), st.dictionaries(_KEYS, one, max_size=2)), max_leaves=6
)


@settings(max_examples=300)
@given(st.sampled_from(WORDS), _VALUES)
def test_what_the_parser_takes_the_schema_takes_too(word: tuple[vocabulary.Kind, str], value: Any) -> None:
    file = around(*word, value)
    if not parse(json.dumps(file)).problems:
        assert [str(one) for one in SCHEMA.iter_errors(file)] == []
