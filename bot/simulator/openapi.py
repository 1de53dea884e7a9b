"""GitHub's own description of its API judges what is sent and what is answered.

`openapi.json.gz` is an excerpt of it as plain JSON Schema, made by `scripts/refresh_openapi_excerpt.py`: the
operations that this simulator serves and the webhooks that it sends. A schema is compiled when it is first needed.
"""

from __future__ import annotations

import functools
import gzip
import pathlib
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import msgspec

#: How much of one problem is told: some messages quote the whole value.
_LONGEST_PROBLEM = 300
#: How many reasons are told where several schemas were possible.
_MOST_OF_ONE = 5


@functools.cache
def description() -> Mapping[str, Any]:
    """The excerpt: `package`, `version`, `operations`, `events` and `components`."""
    packed = pathlib.Path(__file__).with_name("openapi.json.gz").read_bytes()
    excerpt: Mapping[str, Any] = msgspec.json.decode(gzip.decompress(packed))
    return excerpt


def request_problems(method: str, template: str, body: Any) -> list[str]:
    """What is wrong with the parsed body of a request, in GitHub's eyes; None is "no body".

    :param template: the path as the description writes it, e.g. `/repos/{owner}/{repo}/check-runs`
    """
    operation = description()["operations"].get(f"{method} {template}")
    if operation is None:
        return [f"{method} {template} is not in GitHub's description"]
    if body is None:
        return ["a body is required"] if operation["is_body_required"] else []
    return _problems(("operations", f"{method} {template}", "request"), body)


def response_problems(method: str, template: str, status: int, body: Any) -> list[str]:
    """What is wrong with an answer, in GitHub's eyes; None is "no body".

    An error that the description does not name for the operation is judged by the form of GitHub's errors.
    """
    operation = description()["operations"].get(f"{method} {template}")
    if operation is None:
        return [f"{method} {template} is not in GitHub's description"]
    if str(status) in operation["responses"]:
        return _problems(("operations", f"{method} {template}", "responses", str(status)), body)
    if status >= 300 and isinstance(body, dict) and isinstance(body.get("message"), str):
        return []
    return [f"{method} {template} does not answer {status}"]


def event_problems(event: str, payload: Any) -> list[str]:
    """What is wrong with the payload of a webhook, in GitHub's eyes."""
    action = payload.get("action") if isinstance(payload, dict) else None
    name = f"{event}-{action}" if isinstance(action, str) else event
    name = name.replace("_", "-")
    if name not in description()["events"]:
        return [f"the event {name} is not in the excerpt of GitHub's description"]
    return _problems(("events", name), payload)


def _problems(place: tuple[str, ...], value: Any) -> list[str]:
    validator = _validator(place)
    if validator is None or validator.is_valid(value):
        return []
    return [problem for error in validator.iter_errors(value) for problem in _told(error)]


def _told(error: jsonschema_rs.ValidationError) -> list[str]:
    """An error with its place; where several schemas were possible, what is wrong with each."""
    kind = error.kind
    if isinstance(kind, jsonschema_rs.ValidationErrorKind.AnyOf | jsonschema_rs.ValidationErrorKind.OneOfNotValid):
        inner = [problem for branch in kind.context for nested in branch for problem in _told(nested)]
        return list(dict.fromkeys(inner))[:_MOST_OF_ONE]
    where = "/".join(str(step) for step in error.instance_path)
    return [f"{where}: {error.message}"[:_LONGEST_PROBLEM] if where else error.message[:_LONGEST_PROBLEM]]


@functools.cache
def _validator(place: tuple[str, ...]) -> jsonschema_rs.Draft7Validator | None:
    schema: Any = description()
    for step in place:
        schema = schema[step]
    if schema is None:
        return None
    # A `$ref` hides what stands beside it, so it moves one level down.
    whole = {"allOf": [schema], "components": description()["components"]}
    return jsonschema_rs.Draft7Validator(whole, validate_formats=True, ignore_unknown_formats=True)
