"""What all tables have in common: how constraints are called, and how rows are numbered."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Connection, Integer, MetaData, event

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


@event.listens_for(metadata, "before_create")
def _narrow(of: MetaData, connection: Connection, **_: Any) -> None:
    """An index over some rows is one on a server as well: to say so where it is made would load its dialect."""
    if connection.dialect.name == "postgresql":
        for index in {index for table in of.tables.values() for index in table.indexes}:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


#: A number the database gives, in order of insertion.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")
