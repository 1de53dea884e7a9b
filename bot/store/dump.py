"""All rows out of a database and into another one: plain values, the same on every database, at any schema.

What tells of a moment only (replicas, leases, GitHub's limits) stays behind. The tables are read as they are there, not
as this version would have them, so that a backup can be made before an upgrade.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from bot import clock, errors
from bot.store import archive, pauses, replicas, schema, upgrade

_LEFT_OUT = frozenset({"alembic_version", "replicas", "leases", "budgets"})
_OURS = frozenset(schema.metadata.tables) | {"alembic_version"}
#: Rows that are held at once: one may hold a payload of 25 MB.
_ROWS_AT_ONCE = 32
_Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    """What was read in one transaction."""

    contents: archive.Contents
    #: Of each job, how much of its log is known.
    log_sizes: dict[str, int]


def write(connection: Connection, into: archive.Writer, *, version: str) -> Snapshot:
    """Write every row into a backup, all as they stood at one instant.

    :param version: of buildhook.
    :raises errors.NotFound: if there are no tables.
    :raises errors.StoreUnavailable: if the database was written by a newer version.
    """
    stands_at = upgrade.stands_at(connection)
    created_at = replicas.clock(connection) or clock.now()
    if stands_at is None:
        raise errors.NotFound("There is nothing in this database yet: `buildhook serve` makes its tables.")
    upgrade.refuse_newer(stands_at, "The database")
    rows: dict[str, int] = {}
    log_sizes: dict[str, int] = {}
    for table in _tables(connection):
        rows[table.name] = 0
        with into.member(_member_name(table.name)) as file:
            for row in _rows(connection, table):
                file.write(msgspec.json.encode(row) + b"\n")
                rows[table.name] += 1
                if table.name == schema.jobs.name:
                    log_sizes[row["id"]] = row["log_size_bytes"]
    contents = archive.Contents(
        format=archive.FORMAT,
        buildhook=version,
        schema=stands_at,
        created_at=created_at,
        database=connection.dialect.name,
        rows=rows,
    )
    return Snapshot(contents=contents, log_sizes=log_sizes)


def load(connection: Connection, given: archive.Reader) -> None:
    """Make the tables as the backup had them, fill them, bring them to this version, and let the work stand still.

    One transaction: either all of it is there or nothing.

    :raises errors.Conflict: if there is something in the database, or a service uses it.
    :raises errors.BackupUnusable: if a newer version made the backup, or its rows contradict each other.
    """
    contents = given.contents
    if contents.schema not in upgrade.known_versions():
        raise errors.BackupUnusable(
            f"a newer version of buildhook made this backup (it stands at {contents.schema}, this version knows"
            f" {upgrade.HEAD}): restore it with that version"
        )
    expect_empty(connection).drop_all(connection)
    upgrade.migrate(connection, to=contents.schema)
    try:
        _fill(connection, given)
        upgrade.migrate(connection, to=upgrade.HEAD)
    except (sa.exc.IntegrityError, sa.exc.DataError) as error:
        raise errors.BackupUnusable(f"the backup is broken: its rows contradict each other ({error.orig})") from error
    _set_counters(connection)
    replicas.give_back(connection, None)
    _pause(connection, contents.created_at)


def expect_empty(connection: Connection) -> sa.MetaData:
    """The tables that are there, none of them with anything that would be lost.

    :raises errors.Conflict: if there is something in the database, or a service uses it.
    """
    there = sa.MetaData()
    there.reflect(connection)
    strange = sorted(set(there.tables) - _OURS)
    filled = [
        table.name
        for table in there.sorted_tables
        if table.name in _OURS - _LEFT_OUT and connection.execute(sa.select(table).limit(1)).first() is not None
    ]
    if strange or filled:
        raise errors.Conflict(
            f"The database is not empty (it has {', '.join([*filled, *strange])}): restore into a new one."
        )
    now = replicas.clock(connection) or clock.now()
    if "replicas" in there.tables and any(one.lease_until >= now for one in replicas.list_all(connection)):
        raise errors.Conflict("A service uses this database, or did so seconds ago: stop it first.")
    return there


def _pause(connection: Connection, created_at: datetime) -> None:
    earlier = pauses.find(connection)
    # A backup of what was restored and never compared is as old as the first one.
    at = created_at if earlier is None else min(earlier.at, created_at)
    reason = f"restored from the backup of {at:%Y-%m-%d %H:%M:%S} UTC"
    pauses.save(connection, pauses.Pause(reason=reason, at=at), now=clock.now())


def _tables(connection: Connection) -> list[sa.Table]:
    there = sa.MetaData()
    there.reflect(connection, only=lambda name, _: name in _OURS - _LEFT_OUT)
    return there.sorted_tables


def _rows(connection: Connection, table: sa.Table) -> Iterator[dict[str, Any]]:
    query = sa.select(table).order_by(*table.primary_key.columns)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield dict(row._mapping)


def _member_name(table_name: str) -> str:
    return f"tables/{table_name}.jsonl.gz"


def _fill(connection: Connection, given: archive.Reader) -> None:
    members = {one.name: one for one in given.contents.members if one.name.startswith("tables/")}
    tables = _tables(connection)
    if members.keys() != {_member_name(table.name) for table in tables}:
        raise errors.BackupUnusable("the backup is broken: its tables are not those of its schema")
    for table in tables:
        decoder = msgspec.json.Decoder(_row_type(table))
        lines = given.lines(members[_member_name(table.name)])
        loaded = 0
        while some := list(itertools.islice(lines, _ROWS_AT_ONCE)):
            try:
                rows = [msgspec.structs.asdict(decoder.decode(line)) for line in some]
            except msgspec.DecodeError as error:
                raise errors.BackupUnusable(f"the backup is broken: table {table.name}: {error}") from error
            connection.execute(sa.insert(table), rows)
            loaded += len(rows)
        if loaded != given.contents.rows.get(table.name):
            raise errors.BackupUnusable(f"the backup is broken: table {table.name} has {loaded} rows")


def _row_type(table: sa.Table) -> type[msgspec.Struct]:
    """A row as the table takes it, and nothing else: SQLite itself would take any value in any column."""
    # Plain texts: the database gives names of a kind of its own.
    fields = [
        (str(column.name), _kind(column.type) | None if column.nullable else _kind(column.type)) for column in table.c
    ]
    return msgspec.defstruct(str(table.name), fields, forbid_unknown_fields=True)


def _kind(of: sa.types.TypeEngine[Any]) -> Any:
    match of:
        case sa.Boolean():
            return bool
        case sa.Integer():
            return _Whole
        case sa.Float():
            return float
        case sa.LargeBinary():
            return bytes
        case _:
            return str


def _set_counters(connection: Connection) -> None:
    """Let the numbers that the database gives go on behind those that were restored."""
    if connection.dialect.name != "postgresql":
        return
    columns = [table.autoincrement_column for table in schema.metadata.sorted_tables]
    for column in [one for one in columns if one is not None and isinstance(one.type, sa.BigInteger)]:
        sequence = sa.func.pg_get_serial_sequence(column.table.name, column.name)
        newest = sa.select(sa.func.coalesce(sa.func.max(column), 0) + 1).scalar_subquery()
        connection.execute(sa.select(sa.func.setval(sequence, newest, False)))
