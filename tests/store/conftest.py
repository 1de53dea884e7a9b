"""Tests of queries talk to a connection; tests of transactions to a `Store`. Both run on both databases."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.store import database


@pytest.fixture(autouse=True)
def kind(database_kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which database this test is about."""
    monkeypatch.setattr(database, "kind", database_kind)


@pytest.fixture
def connection(kind: None) -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    with database.fresh() as opened:
        yield opened
