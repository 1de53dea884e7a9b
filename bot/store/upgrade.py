"""Upgrades: brings a database file to this version's tables, under a lock, and refuses one from a newer version."""

from __future__ import annotations

import fcntl
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.engine import Engine

from bot import errors

#: The newest migration in `bot/store/migrations/versions`; a test holds the two together.
HEAD = "0001"
_MIGRATIONS = Path(__file__).parent / "migrations"


def current(engine: Engine) -> str | None:
    """The migration that the database stands at, or None for an empty one."""
    with engine.connect() as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
        return None if row is None else str(row[0])


def upgrade(engine: Engine, path: Path) -> None:
    """Run the migrations that are missing. Two processes that start together do it once.

    :raises errors.StoreUnavailable: if the database was written by a newer version.
    """
    # Reading the version first spares a start on a current database the import of the migration library.
    if current(engine) == HEAD:
        return
    with path.with_name(path.name + ".upgrade-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = current(engine)
        if found != HEAD:
            _refuse_newer(found, path)
            _run_migrations(engine)


def known_versions() -> frozenset[str]:
    """The migrations that this version ships."""
    return frozenset(file.name.partition("_")[0] for file in (_MIGRATIONS / "versions").glob("[0-9]*.py"))


def _refuse_newer(found: str | None, path: Path) -> None:
    if found is not None and found not in known_versions():
        raise errors.StoreUnavailable(
            f"{path} was written by a newer version of buildhook (it stands at {found}, this version knows {HEAD});"
            " install that version again, or restore the backup made before the upgrade"
        )


def _run_migrations(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    with engine.connect().execution_options(is_writer=True) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, HEAD)
