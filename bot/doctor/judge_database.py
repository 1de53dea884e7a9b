"""Checks of the database: pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from bot.doctor.checks import Checks, Finding
from bot.doctor.facts import Facts
from bot.doctor.judge_machine import IN_MEMORY

CHECKS = Checks()
_WHERE = "BUILDHOOK_DATABASE_URL"
#: Where locks and syncs of SQLite cannot be relied on: https://www.sqlite.org/wal.html#overview
_FAR = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "lustre", "glusterfs", "fuse.sshfs"})
#: `synchronous=FULL`: https://www.sqlite.org/pragma.html#pragma_synchronous
_FULL = 2


@CHECKS.check("The database can be read and written.")
def database(facts: Facts) -> Iterator[Finding]:
    """A database that cannot be reached, read or written, or that a newer version wrote."""
    if problem := facts.database_problem.known:
        yield Finding(
            what=problem.removeprefix("DATABASE_URL: "),
            where=_WHERE,
            mend="See that it runs, has space, and that this user may write there.",
        )
        return
    found = facts.database.known
    if found.is_newer:
        yield Finding(
            what=f"A newer version of buildhook wrote the database (it stands at {found.stands_at}).",
            where=_WHERE,
            mend="Install that version again, or restore the backup made before the upgrade.",
        )
    if found.writes.get("default_transaction_read_only") == "on":
        yield Finding(
            what="The server gives us a database that can only be read, as a standby does.",
            where=_WHERE,
            mend="Name the primary server, or set default_transaction_read_only to off.",
        )


@CHECKS.check("What is committed survives a power cut.")
def durability(facts: Facts) -> Iterator[Finding]:
    """A database that loses commits at a power cut: in memory, on a network, or with its syncs turned off."""
    place = facts.database_place.known
    if place is not None and place.filesystem in IN_MEMORY:
        yield Finding(
            what=f"{place.path} lies in memory ({place.filesystem}).", where=_WHERE, mend="Move it to a disk."
        )
    if place is not None and place.filesystem in _FAR:
        yield Finding(
            what=f"{place.path} lies on a network ({place.filesystem}), where SQLite can be damaged.",
            where=_WHERE,
            mend="Move it to a disk of this machine, or use PostgreSQL.",
        )
    yield from _writes(facts.database.known.writes)


def _writes(writes: Mapping[str, str]) -> Iterator[Finding]:
    if (mode := writes.get("journal_mode", "wal")) != "wal":
        yield Finding(
            what=f"SQLite cannot keep a write-ahead log there (its journal is {mode!r}).",
            where=_WHERE,
            mend="Move the database to a disk of this machine.",
        )
    if int(writes.get("synchronous", _FULL)) < _FULL:
        yield Finding(what="SQLite does not sync each commit.", where=_WHERE, mend="Please report it.")
    for name in ("fsync", "synchronous_commit", "full_page_writes"):
        if writes.get(name) == "off":
            yield Finding(
                what=f"The server has {name} off: a delivery that was acknowledged may be lost at a power cut.",
                where=f"{name} of PostgreSQL",
                mend=f"Run `ALTER SYSTEM SET {name} = on`, then `SELECT pg_reload_conf()`; see that no role or database"
                " has it off.",
            )


@CHECKS.check("The keys that secrets were sealed with are here.")
def encryption_key(facts: Facts) -> Iterator[Finding]:
    """An encryption key that is missing or broken, or not the one that the stored secrets were sealed with."""
    given = facts.given.known
    if given.key_problem is not None:
        yield Finding(what=given.key_problem, where="BUILDHOOK_ENCRYPTION_KEY")
        return
    lost = facts.database.known.key_ids - given.key_ids
    if lost and not given.key_ids:
        yield Finding(
            what="Secrets are stored, and no key is here: jobs that use one end as errors.",
            where="BUILDHOOK_ENCRYPTION_KEY",
            mend="Bring the key back from where it was kept, or set the secrets again.",
        )
    elif lost:
        yield Finding(
            what=f"Stored secrets were sealed with another key than those that are here ({', '.join(sorted(lost))}).",
            where="BUILDHOOK_ENCRYPTION_KEY",
            mend="Give that one as BUILDHOOK_ENCRYPTION_KEY_PREVIOUS and run `buildhook secrets rotate`, or set the"
            " secrets again.",
        )
