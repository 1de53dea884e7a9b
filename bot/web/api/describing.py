"""The description of the API in OpenAPI's language, made of its operations, their shapes and their rules. Pure.

https://spec.openapis.org/oas/v3.1.1.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

import bot
from bot.model.person import Permission
from bot.shapes.listed import Listed
from bot.shapes.problem import PROBLEM_TYPE, Problem
from bot.web import rules
from bot.web.api import once
from bot.web.api.operation import Asked, Operation
from bot.web.rules import About, Rule

_REF = "#/components/schemas/"
_PART = re.compile(r"\{(\w+):((?:[^{}]|\{[0-9,]+\})+)\}")
_RIGHTS = {Permission.READ: "read", Permission.WRITE: "write to"}
_TOKEN = {"type": "http", "scheme": "bearer", "description": "An API token, from the page of the account."}
_KEY = {
    "name": once.HEADER,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": once.PATTERN},
    "description": "A text of your own for this very request, such as a UUID in double quotes: sent again within"
    " a day, the request is done once and answered as the first time.",
}
_TAGS = {"me": "service", "queue": "service", "explain": "service"}


def document(operations: Sequence[Operation], *, takes_tokens: bool) -> dict[str, Any]:
    """The description of these operations.

    :param takes_tokens: whether people sign in, so that programs show a token.
    """
    schemas = _schemas(operations)
    paths: dict[str, dict[str, Any]] = {}
    for one in operations:
        paths.setdefault(plain(one.path), {})[one.method.lower()] = _operation(one, schemas, takes_tokens=takes_tokens)
    return {
        "openapi": "3.1.1",
        "info": {
            "title": "buildhook",
            "version": bot.__version__,
            "description": "What the pages of buildhook show, for programs.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": rules.API}],
        "security": [{"token": []}] if takes_tokens else [],
        "paths": paths,
        "components": {
            "schemas": {name: schema for name, schema in schemas.items() if not _is_query(name, operations)},
            "securitySchemes": {"token": _TOKEN} if takes_tokens else {},
        },
    }


def plain(path: str) -> str:
    """A path of aiohttp's router without the forms of its parts."""
    return _PART.sub(r"{\1}", path)


def need(rule: Rule) -> str:
    """What somebody needs for an operation, in words."""
    if rule.about is About.NOTHING:
        return "Anybody may ask."
    if rule.about is About.SELF:
        return "Shows what you may see."
    return f"Needs the right to {_RIGHTS[rule.need]} the repository."


def rule_of(one: Operation) -> Rule:
    """The rule of an operation."""
    return rules.RULES[one.method][rules.API + plain(one.path)]


def _operation(one: Operation, schemas: dict[str, Any], *, takes_tokens: bool) -> dict[str, Any]:
    rule = rule_of(one)
    parts = _PART.findall(one.path)
    told: dict[str, Any] = {
        "operationId": one.name,
        "summary": one.summary,
        "description": need(rule),
        "tags": [_tag(one)],
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": f"^{form}$"}}
            for name, form in parts
        ],
        "responses": _responses(one, rule, takes_tokens=takes_tokens),
    }
    if one.query is not None:
        told["parameters"] += _parameters(one.query, schemas)
    if one.method == "POST":
        told["parameters"].append(_KEY)
    if one.body is not None:
        content = {"application/json": {"schema": {"$ref": _REF + one.body.__name__}}}
        told["requestBody"] = {"required": True, "content": content}
    return told


def _responses(one: Operation, rule: Rule, *, takes_tokens: bool) -> dict[str, Any]:
    if one.answer is not None:
        schema: dict[str, Any] = {"$ref": _REF + one.answer.__name__}
    else:
        schema = {} if one.media == "application/json" else {"type": "string", "contentMediaType": one.media}
    headers = {name: _header(text) for name, text in one.headers}
    is_kept = one.method == "GET" and one.media == "application/json"
    if is_kept:
        headers["ETag"] = _header("Of these very bytes, for `If-None-Match`.")
    if one.answer is not None and issubclass(one.answer, Listed):
        headers["Link"] = _header('The address of the part that follows, as `rel="next"`.')
    good = {"description": "It is so.", "headers": headers, "content": {one.media: {"schema": schema}}}
    responses: dict[str, Any] = {str(one.status): good}
    if 416 in one.problems:
        responses["206"] = {**good, "description": "The bytes that were asked for."}
    if is_kept:
        responses["304"] = {"description": "You have it already."}
    for status in sorted(_problems(one, rule) | ({401} if takes_tokens else set())):
        responses[str(status)] = _problem(HTTPStatus(status).phrase)
    responses["default"] = _problem("Something else is wrong, such as the service itself (5xx).")
    return responses


def _problems(one: Operation, rule: Rule) -> set[int]:
    found = {*one.problems}
    if one.query is not None:
        found.add(400)
    if rule.about not in (About.SELF, About.NOTHING):
        found |= {404, 410}
    if one.method == "POST":
        found |= {400, 403, 409, 413, 415, *once.PROBLEMS}
    return found


def _problem(text: str) -> dict[str, Any]:
    return {"description": text, "content": {PROBLEM_TYPE: {"schema": {"$ref": _REF + Problem.__name__}}}}


def _header(text: str) -> dict[str, Any]:
    return {"description": text, "schema": {"type": "string"}}


def _parameters(query: type[Asked], schemas: dict[str, Any]) -> Iterable[dict[str, Any]]:
    whole = schemas[query.__name__]
    for name, given in whole["properties"].items():
        described = {key: value for key, value in given.items() if key != "description"}
        parameter = {"name": name, "in": "query", "required": name in whole.get("required", ()), "schema": described}
        if "description" in given:
            parameter["description"] = given["description"]
        yield parameter


def _tag(one: Operation) -> str:
    first = "builds" if one.name == "startBuild" else one.path.split("/")[1]
    return _TAGS.get(first, first)


def _is_query(name: str, operations: Sequence[Operation]) -> bool:
    return any(one.query is not None and one.query.__name__ == name for one in operations)


def _schemas(operations: Sequence[Operation]) -> dict[str, Any]:
    kinds: set[type] = {Problem}
    for one in operations:
        kinds |= {kind for kind in (one.answer, one.body, one.query) if kind is not None}
    ordered = sorted(kinds, key=lambda kind: kind.__name__)
    _, found = msgspec.json.schema_components(ordered, ref_template=_REF + "{name}")
    renamed = {name: _short(name) for name in found}
    assert len(set(renamed.values())) == len(renamed), "two shapes are called the same"
    return {
        renamed[name]: _renamed(schema, renamed) | {"title": renamed[name]} for name, schema in sorted(found.items())
    }


def _short(name: str) -> str:
    """`bot.model.build.State`, which is so called where there are several, as `BuildState`; a shape by its own name."""
    *_, module, own = f".{name}".split(".")
    return own if name.startswith("bot.shapes.") else module.capitalize() + own


def _renamed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: _REF + names[one.removeprefix(_REF)] if key == "$ref" else _renamed(one, names)
            for key, one in value.items()
        }
    return [_renamed(one, names) for one in value] if isinstance(value, list) else value
