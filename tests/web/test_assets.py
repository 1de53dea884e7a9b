"""Static files are served by exact name from memory, and for ever."""

from __future__ import annotations

import asyncio
import socket

import pytest

from bot.pipelines import schema
from bot.web.assets import Assets
from tests.web.conftest import Client

ASSETS = Assets()


async def test_an_asset_is_served_under_a_name_that_changes_with_its_content(client: Client) -> None:
    for name, kind in (("site.css", "text/css"), ("site.js", "text/javascript"), ("icon.svg", "image/svg+xml")):
        path = ASSETS.path(name)
        answer = await client.get(path)
        assert answer.status == 200
        assert answer.content_type == kind
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert path != f"/static/{name}"


async def test_the_schema_of_the_pipeline_file_is_served_to_editors(client: Client) -> None:
    answer = await client.get("/schema.json")
    assert answer.status == 200
    assert answer.content_type == "application/schema+json"
    assert await answer.text() == schema.text()


@pytest.mark.parametrize(
    "target",
    [
        "/static/",
        "/static/site.css",
        "/static/../site.py",
        "/static/%2e%2e/site.py",
        "/static/..%2fsite.py",
        "/static/..%5csite.py",
        "/static//etc/passwd",
        "/static/%2fetc%2fpasswd",
        "/static/NAME%00",
        "/static/NAME%00.png",
        "/static/./NAME",
        "/static/x/../NAME",
        "/static/NAME/",
        "/STATIC/NAME",
        "/static/%",
    ],
)
async def test_t18_no_other_path_reaches_a_file(client: Client, target: str) -> None:
    name = ASSETS.path("site.css").removeprefix("/static/")
    # A raw request: a client library would tidy the path up.
    with socket.create_connection((client.host, client.port)) as connection:
        connection.setblocking(False)
        request = f"GET {target.replace('NAME', name)} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        answer = await _ask(connection, request.encode())
    assert answer.split(b" ", 2)[1] in (b"404", b"400")


async def _ask(connection: socket.socket, request: bytes) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(connection, request)
    answer = b""
    while data := await loop.sock_recv(connection, 65536):
        answer += data
    return answer
