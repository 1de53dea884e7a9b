"""Marks for tests that are about one database alone; all others run on both."""

from __future__ import annotations

import pytest

on_sqlite = pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
on_postgresql = pytest.mark.parametrize("database_kind", ["postgresql"], indirect=True)
#: For what takes half a minute: the other database has its turn in `make test-all`.
long_on_postgresql = pytest.mark.parametrize(
    "database_kind", ["sqlite", pytest.param("postgresql", marks=pytest.mark.long)], indirect=True
)
long_on_sqlite = pytest.mark.parametrize(
    "database_kind", [pytest.param("sqlite", marks=pytest.mark.long), "postgresql"], indirect=True
)
