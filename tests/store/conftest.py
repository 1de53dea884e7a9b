"""Tests of queries talk to a connection; tests of transactions to a `Store` on a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from tests.store import database


@pytest.fixture
def connection() -> Iterator[sa.Connection]:
    """A connection to an empty database."""
    with database.fresh() as opened:
        yield opened
