"""GitHub's own description judges requests, answers and events."""

from __future__ import annotations

import gzip
import pathlib
from typing import Any

import pytest

from bot.simulator import openapi
from scripts import refresh_openapi_excerpt as refresh

RUNS = "/repos/{owner}/{repo}/check-runs"
GOOD = {"name": "buildhook", "head_sha": "a" * 40}


def test_a_good_body_has_no_problems() -> None:
    whole = {
        **GOOD,
        "status": "completed",
        "conclusion": "success",
        "started_at": "2026-01-31T12:00:00Z",
        "completed_at": "2026-01-31T12:00:01Z",
        "output": {"title": "Passed", "summary": "All of it."},
    }
    assert openapi.request_problems("POST", RUNS, GOOD) == []
    assert openapi.request_problems("POST", RUNS, whole) == []


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "a body is required"),
        ({"name": "buildhook"}, "head_sha"),
        ({**GOOD, "status": "done"}, "status"),
        ({**GOOD, "completed_at": "yesterday"}, "completed_at"),
        ({**GOOD, "output": {"title": "no summary"}}, "summary"),
        ({**GOOD, "output": {"title": "t", "summary": "x" * 65_536}}, "output/summary"),
        ({**GOOD, "actions": [{"label": "x" * 21, "description": "d", "identifier": "i"}]}, "actions/0/label"),
        ({**GOOD, "name": 5}, "name"),
    ],
)
def test_each_mistake_is_named_with_its_place(body: Any, problem: str) -> None:
    found = openapi.request_problems("POST", RUNS, body)
    assert any(problem in one for one in found), found


def test_a_problem_is_told_in_a_few_words_even_if_the_value_is_huge() -> None:
    (found,) = openapi.request_problems("POST", RUNS, {**GOOD, "name": ["x" * 100_000]})
    assert len(found) < 400


def test_an_operation_that_is_not_described_is_a_problem() -> None:
    assert openapi.request_problems("PUT", "/nowhere", {}) == ["PUT /nowhere is not in GitHub's description"]
    assert openapi.response_problems("PUT", "/nowhere", 200, {}) == ["PUT /nowhere is not in GitHub's description"]
    assert openapi.event_problems("nothing", {"action": "done"})


def test_errors_need_a_message_and_successes_must_be_described() -> None:
    assert openapi.response_problems("GET", "/app", 401, {"message": "Bad credentials"}) == []
    assert openapi.response_problems("GET", "/app", 401, {"error": "no"}) != []
    assert openapi.response_problems("GET", "/app", 202, {}) == ["GET /app does not answer 202"]


def test_an_event_is_judged_by_its_action() -> None:
    assert openapi.event_problems("push", {"ref": "refs/heads/main"}) != []
    assert openapi.event_problems("pull_request", {"action": "opened"}) != []


def test_the_excerpt_is_small_and_says_where_it_comes_from() -> None:
    file = pathlib.Path(openapi.__file__).with_name("openapi.json.gz")
    assert file.stat().st_size < 200_000
    assert openapi.description()["package"] == refresh.PACKAGE
    assert openapi.description()["version"].count(".") == 2
    assert set(openapi.description()["operations"]) == set(refresh.OPERATIONS)
    assert set(openapi.description()["events"]) == set(refresh.EVENTS)
    # The time is left out, so that the same input gives the same file.
    assert file.read_bytes()[4:8] == b"\0\0\0\0"
    assert b'"description":{"type"' in gzip.decompress(file.read_bytes()), "a property may be called description"


def test_nullable_becomes_null_in_type_and_enum() -> None:
    assert refresh.schema_of({"type": "string", "nullable": True, "enum": ["a"], "description": "prose"}) == {
        "type": ["string", "null"],
        "enum": ["a", None],
    }
    assert refresh.schema_of({"nullable": True, "oneOf": [{"type": "string", "example": 1}]}) == {
        "anyOf": [{"oneOf": [{"type": "string"}]}, {"type": "null"}]
    }
    assert refresh.schema_of({"properties": {"title": {"type": "string", "title": "T"}}}) == {
        "properties": {"title": {"type": "string"}}
    }


def test_an_app_may_subscribe_to_events_that_are_newer_than_the_description() -> None:
    events = {"type": "array", "items": {"type": "string", "enum": ["push"]}}
    assert refresh.schema_of({"properties": {"events": events, "others": events}}) == {
        "properties": {"events": {"type": "array", "items": {"type": "string"}}, "others": events}
    }


def test_an_excerpt_has_what_its_operations_refer_to_and_nothing_else() -> None:
    text = {"application/json": {"schema": {"$ref": "#/components/schemas/one"}}}
    description = {
        "paths": {},
        "x-webhooks": {name: {"post": {"requestBody": {"content": text}}} for name in refresh.EVENTS},
        "components": {
            "schemas": {
                "one": {"properties": {"two": {"$ref": "#/components/schemas/two"}}},
                "two": {"type": "string"},
                "three": {"type": "string"},
                "installation": {"type": "object"},
            },
            "responses": {"shared": {"content": text}},
        },
    }
    paths: dict[str, Any] = {}
    for name in refresh.OPERATIONS:
        method, path = name.split(" ")
        paths.setdefault(path, {})[method.lower()] = {"responses": {"200": {"$ref": "#/components/responses/shared"}}}
    made = refresh.excerpt({**description, "paths": paths}, "1.2.3")
    assert set(made["components"]["schemas"]) == {"one", "two", "installation"}
    assert made["operations"]["GET /app"]["responses"]["200"] == {"$ref": "#/components/schemas/one"}
    assert made["version"] == "1.2.3"
