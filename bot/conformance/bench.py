"""A bench: an engine at work, and jobs for it that behave in the ways that the promises speak of."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Protocol

from bot.engines import contract


class Way(enum.Enum):
    """How a job of a promise behaves."""

    #: Says `passes`.
    PASSES = "passes"
    #: Says `fails`.
    FAILS = "fails with status 3 in the first of two steps"
    #: Says `ready`, and then runs until it is cancelled.
    STAYS = "stays"
    #: Is cut off by its time limit of 0.4 seconds.
    OVERRUNS = "overruns"
    #: Says the numbers 1 to 2000, one in a line.
    COUNTS = "counts"
    #: Says all 256 bytes, twice, and no end of line.
    BABBLES = "babbles"
    #: Leaves the file `summary.md` with the text `left` in its results folder, and fails with status 3.
    LEAVES = "leaves a file"
    #: Its source names a commit that its repository does not have.
    LACKS = "lacks its commit"
    #: Nobody knows what it would do: it must not come so far.
    UNKNOWN = "unknown"


#: What a job says that counts.
COUNTED = b"".join(b"%d\n" % number for number in range(1, 2001))
#: What a job says that babbles.
BABBLED = bytes(range(256)) * 2
#: The commands of each way's steps, for engines that run commands of a POSIX shell.
SCRIPTS: Mapping[Way, tuple[str, ...]] = {
    Way.PASSES: ("echo passes", "true"),
    Way.FAILS: ("echo fails; exit 3", "true"),
    Way.STAYS: ("echo ready; sleep 600",),
    Way.OVERRUNS: ("sleep 600",),
    Way.COUNTS: ("i=0; while [ $i -lt 2000 ]; do i=$((i + 1)); echo $i; done",),
    Way.BABBLES: (f"printf %b '{''.join(f'{chr(92)}0{byte:03o}' for byte in BABBLED)}'",),
    Way.LEAVES: ('printf left > "$BUILDHOOK_RESULTS/summary.md"; exit 3',),
    Way.LACKS: ("echo it ran",),
    Way.UNKNOWN: ("echo it ran",),
}


class Bench(Protocol):
    """An engine at work, and a way to give it jobs."""

    @property
    def engine(self) -> contract.Engine:
        """The engine of now; a restart may make another one."""

    def request(self, way: Way) -> contract.JobRequest:
        """A job that behaves like that, with an id of its own."""

    async def restart(self) -> None:
        """Let the service end and start again: `close` the engine, and `open` one that knows what that one knew."""

    async def lose(self, job_id: str) -> None:
        """Take away whatever runs the job, as a crash of its machine would, so that no result of it ever comes.

        :raises bot.conformance.Untried: if this bench has no way to do so.
        """
