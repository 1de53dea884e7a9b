"""A program that asks the API over HTTP: every answer that it gets has to be as the API's description says."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

import jsonschema_rs
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient

from bot.web import rules
from bot.web.api import OPERATIONS
from bot.web.api.describing import document

DOCUMENT = document(OPERATIONS, takes_tokens=True)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A client of the API; without a token as on this machine."""

    client: TestClient[Any, Any]
    token: str | None = None

    async def ask(self, method: str, path: str, *, status: int = 200, **more: Any) -> ClientResponse:
        """One request, answered as described; `path` stands behind `/api/v1`."""
        headers = dict(more.pop("headers", {}))
        if self.token is not None:
            headers.setdefault("Authorization", f"Bearer {self.token}")
        if method == "POST" and "data" not in more:
            more.setdefault("json", {})
        answer = await self.client.request(method, rules.API + path, headers=headers, allow_redirects=False, **more)
        await answer.read()
        assert answer.status == status, await answer.text()
        await expect_described(method, path, answer)
        return answer

    async def get(self, path: str, *, status: int = 200, **more: Any) -> Any:
        """The JSON that a GET gives."""
        return await (await self.ask("GET", path, status=status, **more)).json(content_type=None)

    async def post(self, path: str, body: Any = None, *, status: int) -> Any:
        """The JSON that a POST gives."""
        return await (await self.ask("POST", path, status=status, json=body or {})).json(content_type=None)

    async def follow(self, path: str) -> list[Any]:
        """The items of a whole list, part by part."""
        found: list[Any] = []
        following: str | None = path
        while following is not None:
            answer = await self.ask("GET", following)
            part = await answer.json()
            found += part["items"]
            assert answer.headers.get("Link") == (None if part["next"] is None else f'<{part["next"]}>; rel="next"')
            following = None if part["next"] is None else part["next"].removeprefix(rules.API)
        return found


async def expect_described(method: str, path: str, answer: ClientResponse) -> None:
    """Fail where an answer is not what the description says of it."""
    described = _responses(method, path.partition("?")[0])
    told = described.get(str(answer.status), described["default"])
    if answer.status == 304:
        assert await answer.read() == b""
        return
    (media,) = told["content"]
    assert answer.content_type == media, (path, answer.content_type)
    if method != "HEAD" and media.endswith("json"):
        errors = list(_validator(told["content"][media]["schema"]).iter_errors(json.loads(await answer.read())))
        assert errors == [], (path, [str(one) for one in errors])


def _responses(method: str, path: str) -> dict[str, Any]:
    for known, methods in DOCUMENT["paths"].items():
        form = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(known))
        if re.fullmatch(form, path) and method.lower().replace("head", "get") in methods:
            found: dict[str, Any] = methods[method.lower().replace("head", "get")]["responses"]
            return found
    # What is not there is told in the same way.
    problem: dict[str, Any] = DOCUMENT["paths"]["/builds"]["get"]["responses"]
    return {"default": problem["default"]}


def _validator(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        {"components": {"schemas": _closed(DOCUMENT["components"]["schemas"])}, **schema}, validate_formats=True
    )


def _closed(value: Any) -> Any:
    """With no field that is not described, and none left out."""
    if isinstance(value, list):
        return [_closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    closed = {name: _closed(one) for name, one in value.items()}
    if isinstance(value.get("properties"), dict) and value.get("type") == "object":
        closed |= {"additionalProperties": False, "required": list(value["properties"])}
    return closed
