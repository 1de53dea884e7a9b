"""What an error of SQLite means for us: it passes, or the file cannot be trusted any more. Pure.

https://www.sqlite.org/rescode.html
"""

from __future__ import annotations

import sqlite3

from bot import errors

#: After these nobody knows what is on the disk. A sync that failed must not be tried again: the system may have dropped
#: what it could not write, and the next one would succeed without it (https://wiki.postgresql.org/wiki/Fsync_Errors).
_BROKEN = frozenset(
    {
        sqlite3.SQLITE_IOERR_FSYNC,
        sqlite3.SQLITE_IOERR_DIR_FSYNC,
        # A full disk has a code of its own.
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
    }
)
#: These have many extended codes, which all mean the same to us.
_BROKEN_FAMILIES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def classify(error: BaseException | None) -> type[errors.StoreUnavailable] | None:
    """What callers are told of an error of the driver; None where it is a mistake of the statement, so ours."""
    # A file that is broken, or no database, is told by the plain class; its subclasses are mistakes of a statement.
    if not (isinstance(error, sqlite3.OperationalError) or type(error) is sqlite3.DatabaseError):
        return None
    # Errors of the driver itself, such as a database that was closed, bear no code.
    code: int = getattr(error, "sqlite_errorcode", 0)
    if code in _BROKEN or code & 0xFF in _BROKEN_FAMILIES:
        return errors.StoreBroken
    return errors.StoreUnavailable
