"""Fixtures of the web room: a house, a client to it, and a browser."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from tests.web.browsing import browser, page, site
from tests.web.house import House, build_house, close_house

__all__ = ["browser", "page", "site"]

Client = TestClient[Any, Any]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    built = await build_house(tmp_path)
    yield built
    await close_house(built)


@pytest.fixture
async def client(house: House, aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(house.app)
