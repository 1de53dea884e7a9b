"""What a supervisor is told: by a file, what to do; by a pipe, that it may begin, and what no file may hold."""

from __future__ import annotations

import os
from marshal import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

#: The descriptor on which the service says that the job is laid out.
GO = 0


class Launch:
    """What the service wrote down for us; see `bot.engines.local.launch`, which fills it."""

    #: Of each step `options`, `command`, `env`, `timeout_seconds` and `may_fail`. Names of steps are not here: what
    #: runs is a list of arguments and a file.
    steps: list[dict[str, Any]]
    #: The program that every step starts with: bubblewrap, or a shell where there is no sandbox.
    program: str
    is_sandboxed: bool
    #: System calls that bubblewrap is to refuse, as a compiled filter; may be empty.
    calls: bytes
    #: User and group that a step becomes, or None to stay who we are.
    uid: int | None
    #: Name -> folder, to be mounted for bubblewrap; empty where it can reach them itself.
    places: dict[str, str]
    #: For a network that reaches the outside: programs and the addresses that it must not reach; else None.
    network: dict[str, list[str]] | None
    #: What the job may connect to where that is listed, see `egress`; else None.
    egress: dict[str, Any] | None
    #: The job's control groups as `groups.Group` takes them; None where there are none.
    group: dict[str, Any] | None
    #: How many bytes and how many files the job may have on the disk; 0 for no limit.
    disk_bytes: int
    disk_files: int
    #: How large one file may become; 0 for no limit.
    file_bytes: int
    timeout_seconds: float
    grace_seconds: float
    log_limit_bytes: int
    #: Which files to take when the last step has ended, and how many; see `collect`.
    results: dict[str, object]
    tested_sha: str
    tested_tree: str
    #: What for -> image with its digest.
    images: dict[str, str]
    #: The commit that the first step checks out, and where in its command it goes; or nothing.
    checkout: str
    checkout_at: int
    #: What is known only when a step's turn comes, see `late`; None where there is nothing like that at all.
    late: dict[str, object] | None
    #: Whether that is needed from the start: else only where a step writes something for those after it.
    is_late: bool
    #: Which caches the job has, see `caching`; None where it has none.
    caches: dict[str, Any] | None
    #: The job's containers as `container.Containers` takes them, and what goes with them; None where it has none.
    containers: dict[str, Any] | None
    #: Folder of the package, for what is imported then.
    library: str
    #: Folders in which to make the file `suspect` where the checkout fails, so that the mirrors are looked at.
    mirrors: list[str]

    def __init__(self, values: dict[str, object]) -> None:
        for name, value in values.items():
            setattr(self, name, value)


def word() -> tuple[dict[str, str], str]:
    """Wait for the service's word; gives the values of the secrets by name, and what is to be said of them."""
    parts = []
    while part := os.read(GO, 1 << 16):
        parts.append(part)
    data = b"".join(parts)
    try:
        if data[:1] != b"g":
            raise EOFError
        given = loads(data[1:])  # noqa: S302 (written by the service a moment ago)
    except (EOFError, ValueError, TypeError):
        # Where the service ends before it gave its whole word, the job is still to be launched.
        os._exit(0)
    return given["secrets"], given["note"] or ""
