"""Upgrades: brings a database to this version's tables, under a lock, and refuses one from a newer version."""

from __future__ import annotations

import fcntl
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from bot import errors, failpoint

#: The newest migration in `bot/store/migrations/versions`; a test holds the two together.
HEAD = "0012"
_MIGRATIONS = Path(__file__).parent / "migrations"
#: Held while a server's tables are changed; any number that is ours alone. "buildhook" in hexadecimal, cut to 63 bits.
_SERVER_LOCK = 0x6275696C64686F6F


def current(engine: Engine) -> str | None:
    """The migration that the database stands at, or None for an empty one."""
    with engine.connect() as connection:
        return stands_at(connection)


def stands_at(connection: Connection) -> str | None:
    if not sa.inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def upgrade(engine: Engine, path: Path) -> None:
    """Run the migrations that are missing on a file. Two processes that start together do it once.

    :raises errors.SchemaNewer: if the database was written by a newer version.
    """
    # Reading the version first spares a start on a current database the import of the migration library.
    if current(engine) == HEAD:
        return
    with path.with_name(path.name + ".upgrade-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = current(engine)
        if found != HEAD:
            refuse_newer(found, str(path))
            with engine.connect().execution_options(is_writer=True) as connection:
                migrate(connection, to=HEAD)


def upgrade_server(connection: Connection) -> None:
    """Run the migrations that are missing on a server, all as one transaction. Replicas that start together do it once.

    :raises errors.SchemaNewer: if the database was written by a newer version.
    """
    found = stands_at(connection)
    connection.rollback()
    if found == HEAD:
        return
    # Of the session, and set free with it however it ends. https://www.postgresql.org/docs/current/explicit-locking.html
    connection.execute(sa.text("SET lock_timeout = 0"))
    connection.execute(sa.select(sa.func.pg_advisory_lock(_SERVER_LOCK)))
    connection.commit()
    try:
        found = stands_at(connection)
        connection.rollback()
        if found != HEAD:
            refuse_newer(found, "The database")
            migrate(connection, to=HEAD)
            connection.commit()
    finally:
        connection.rollback()
        connection.execute(sa.select(sa.func.pg_advisory_unlock(_SERVER_LOCK)))
        connection.execute(sa.text("RESET lock_timeout"))
        connection.commit()


def known_versions() -> frozenset[str]:
    """The migrations that this version ships."""
    return frozenset(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def refuse_newer(found: str | None, where: str) -> None:
    """:raises errors.StoreUnavailable: if this version does not know where the database stands."""
    if found is not None and found not in known_versions():
        raise errors.SchemaNewer(
            f"{where} was written by a newer version of buildhook (it stands at {found}, this version knows {HEAD});"
            " install that version again, or restore the backup made before the upgrade"
        )


def migrate(connection: Connection, *, to: str) -> None:
    """Run the migrations up to this one; as a part of the caller's transaction, if there is one."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    sa.event.listen(connection, "after_cursor_execute", _reach)
    try:
        command.upgrade(config, to)
    finally:
        sa.event.remove(connection, "after_cursor_execute", _reach)


def _reach(*_: object) -> None:
    failpoint.reach("migrate.each_step")
