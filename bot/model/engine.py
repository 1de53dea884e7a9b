"""The engines that jobs can come to, as the operator named them."""

from __future__ import annotations

import msgspec


class Engine(msgspec.Struct, frozen=True, kw_only=True):
    """One of them."""

    name: str
    #: Whether jobs come to it that ask for none.
    is_default: bool = False
    #: Those of `runs-on` that it takes.
    labels: tuple[str, ...] = ()


class Engines(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, on one service."""

    all: tuple[Engine, ...] = ()
    #: How many jobs the service runs at once.
    max_jobs: int = 0
    #: Why no job starts here; None where jobs do.
    trouble: str | None = None
