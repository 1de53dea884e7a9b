"""An artifact: files of a job that are kept when it has ended, as one zip."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """An artifact as stored; its bytes lie with the logs of its job, on the machine that ran it."""

    #: ULID.
    id: str
    job_id: str
    #: Unique in its job.
    name: str
    #: Of the zip.
    size_bytes: int
    #: Of the zip, in hexadecimal.
    sha256: str
    #: How many files are in it.
    files: int
    created_at: datetime
    #: When it is deleted; None for as long as its build is kept.
    expires_at: datetime | None = None
