"""Pure: what GitHub finds wrong with a check run beyond what its description of the API says.

See https://docs.github.com/en/rest/checks/runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_ANNOTATIONS = 50
LONGEST_TEXT_CHARACTERS = 65_535
LONGEST_ANNOTATION_BYTES = 64 * 1024
LONGEST_ANNOTATION_TITLE = 255
MOST_ACTIONS = 3
LONGEST_ACTION = {"label": 20, "description": 40, "identifier": 20}


def problems(body: Mapping[str, Any]) -> Iterator[str]:
    """One sentence for each mistake in the body of a create or update."""
    is_completed = body.get("status") == "completed" or "completed_at" in body
    if is_completed and "conclusion" not in body:
        yield '"conclusion" is required when the check run is completed'
    if body.get("conclusion") == "stale":
        yield "only GitHub can set the conclusion stale"
    output = body.get("output", {})
    for name in ("summary", "text"):
        if len(output.get(name) or "") > LONGEST_TEXT_CHARACTERS:
            yield f"Only {LONGEST_TEXT_CHARACTERS} characters are allowed in output {name}"
    annotations = output.get("annotations", [])
    if len(annotations) > MOST_ANNOTATIONS:
        yield f"No more than {MOST_ANNOTATIONS} annotations are allowed; {len(annotations)} were supplied"
    for index, annotation in enumerate(annotations):
        for problem in _annotation_problems(annotation):
            yield f"annotations/{index}: {problem}"
    yield from _action_problems(body.get("actions", []))


def _annotation_problems(annotation: Mapping[str, Any]) -> Iterator[str]:
    for name in ("message", "raw_details"):
        if len((annotation.get(name) or "").encode()) > LONGEST_ANNOTATION_BYTES:
            yield f"{name} is larger than 64 KB"
    if len(annotation.get("title") or "") > LONGEST_ANNOTATION_TITLE:
        yield f"title is longer than {LONGEST_ANNOTATION_TITLE} characters"
    if annotation["start_line"] != annotation["end_line"] and (
        "start_column" in annotation or "end_column" in annotation
    ):
        yield "columns are allowed only where start_line and end_line are the same"
    if annotation["end_line"] < annotation["start_line"]:
        yield "end_line is before start_line"


def _action_problems(actions: list[Mapping[str, str]]) -> Iterator[str]:
    if len(actions) > MOST_ACTIONS:
        yield f"No more than {MOST_ACTIONS} actions are allowed; {len(actions)} were supplied"
    for index, action in enumerate(actions):
        for name, longest in LONGEST_ACTION.items():
            if len(action.get(name, "")) > longest:
                yield f"actions/{index}: {name} is longer than {longest} characters"
