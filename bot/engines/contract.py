"""The engine contract: plain values in, plain values out; a place where jobs run decides nothing else.

An engine knows no database and no GitHub API. It is told what to run and where the code comes from, and it tells what
happened as a stream of events that can be read again from any point: after a restart of the service the same stream
goes on. `bot.conformance` holds the promises that every engine keeps.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec

from bot import images
from bot.choices import Submodules
from bot.model import build, job


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where a job's code comes from."""

    repository_id: int
    #: URL of the repository for git, without credentials, e.g. `https://github.com/octo/hello.git`.
    url: str
    #: 40 or 64 lower-case hex digits: fetched exactly.
    head_sha: str
    #: For a pull request: the base that the head is merged with, here.
    base_sha: str | None
    trust: build.Trust
    #: Gives a token for reading this repository only; called when one is needed, never stored, never shown to a job.
    #: None where the repository is public or local. Where it raises, the job ends as errored.
    token: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)
    #: Gives the URL as it is by now, and makes `token` give a new one; called where the URL above leads nowhere or
    #: elsewhere, or the token is refused. Where it raises, the job ends as errored.
    locate: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)


class Secrets(Mapping[str, str]):
    """Secret values by their names, as a job gets them. They are in no `repr`, so that no trace or log shows one.

    :ivar note: what was not given and why, for the job's log; None where there is nothing to say. Names are no secret.
    """

    __slots__ = ("_values", "note")

    def __init__(self, values: Mapping[str, str] | None = None, *, note: str | None = None) -> None:
        self._values = dict(values or {})
        self.note = note

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Secrets({', '.join(sorted(self._values))})"


class CacheScopes(msgspec.Struct, frozen=True, kw_only=True):
    """Whose caches a job may read, and whose it may write: to an engine nothing but names."""

    write: str
    #: The first one that has a key counts.
    read: tuple[str, ...]


class JobLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much of its machine a job may use; None for as much as there is."""

    #: Of memory, with no swap beside it.
    memory_bytes: int | None = None
    #: How many processes and threads it may have at once.
    processes: int | None = None
    #: How much of the time of one processor; may be more than 1.
    cpus: float | None = None
    #: Of the disk; where it is not given, an engine bounds it so that no job fills the disk.
    disk_bytes: int | None = None
    #: How many files, folders and links it may have there; as with the bytes.
    disk_files: int | None = None


class Checkout(msgspec.Struct, frozen=True, kw_only=True):
    """What is checked out of a repository besides the files of the commit that is tested."""

    submodules: Submodules = Submodules.NONE
    #: Whether files kept by Git LFS are downloaded; else their pointers stay.
    has_lfs: bool = False
    #: How much the LFS files of one checkout may have together; where it is not given, what a job may write.
    lfs_bytes: int | None = None


class Egress(msgspec.Struct, frozen=True, kw_only=True):
    """Which hosts jobs may connect to where the network is `list`, as `bot.egress` reads them."""

    allow: tuple[str, ...] = ()
    #: Those whose addresses may be of this network only.
    allow_private: tuple[str, ...] = ()
    #: Whether jobs of untrusted code may connect to them as well.
    strangers: bool = False


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """How the operator wants jobs to run; an engine heeds what means something to it."""

    #: `auto`, `bubblewrap`, `podman` or `none`.
    sandbox: str = "auto"
    #: Of jobs that name none, where the sandbox is `podman`.
    sandbox_image: str = ""
    #: The data folder of another engine, which runs, to use the images of; None for its own.
    images_dir: Path | None = None
    #: What trusted code reaches: `none`, `list` or `full`.
    network: str = "none"
    egress: Egress = msgspec.field(default_factory=Egress)
    job_limits: JobLimits = msgspec.field(default_factory=JobLimits)
    checkout: Checkout = msgspec.field(default_factory=Checkout)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """One job to run."""

    #: ULID: starting the same id again changes nothing.
    job_id: str
    #: The engine that was chosen for it, by the operator's name.
    engine: str = "local"
    source: Source
    plan: job.Plan
    #: The environment of every step, e.g. `CI`, `GITHUB_SHA`; a step's own `env` wins over it.
    env: Mapping[str, str]
    #: For each step what children of its span need to know, in the form of `traceparent`; a step's own `env` wins.
    trace_parents: tuple[str, ...] = ()
    timeout_seconds: float
    #: How much of its output is kept, its end in any case; None for what the engine keeps.
    log_bytes: int | None = None
    #: What its expressions may name besides what the plan says: `github`, `inputs` and `needs`.
    contexts: Mapping[str, Any] = field(default_factory=dict)
    #: None where it may have none.
    cache_scopes: CacheScopes | None = None
    #: Which images the operator lets it have.
    images: images.Rules = field(default_factory=images.Rules)
    #: Gives the values of the plan's secrets, those that the job may have; called when the job is about to run, never
    #: stored. An engine hides them in all that it tells. None where the plan names none. Where it raises, the job ends
    #: as errored.
    secrets: Callable[[], Awaitable[Secrets]] | None = field(default=None, repr=False)


class Result(enum.StrEnum):
    """How a job ended, as the engine can tell."""

    PASSED = "passed"
    #: A command of the repository ended with a status that is not 0, or the merge had a conflict.
    FAILED = "failed"
    #: The engine could not run it, or lost it; `reason` says how to mend it.
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """The code is checked out. Comes once, before the first step."""

    #: Where the next event begins: give it to `events` to go on behind this one.
    offset: int
    at: datetime
    #: The commit that is tested: the head, or the merge of base and head made here.
    tested_sha: str
    tested_tree: str
    #: The images that the job runs in and beside: `container` or the service's name, and the image with its digest.
    images: Mapping[str, str] = msgspec.field(default_factory=dict)


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes of the job's log, in order, without gap."""

    offset: int
    #: Position of `data` in the log.
    log_offset_bytes: int
    data: bytes


class StepChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A step began or ended; its log bytes up to `log_end_bytes` came before."""

    offset: int
    step: job.StepResult


#: The kind of a result file that is an artifact: a zip, its path being the artifact's name.
ARTIFACT = "artifact"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultFile:
    """A file that the job leaves behind: a report that its plan names, or a file of the folder `$BUILDHOOK_RESULTS`.

    They come when the last step has ended, however it did, and nothing but `Finished` comes behind them. What they hold
    is the job's own: an engine bounds their size and number, and looks into none of them.
    """

    offset: int
    #: What it was collected as, e.g. `junit`; `results` for files of the results folder.
    kind: str
    #: Relative to the workspace, or to the results folder; as hostile as its content.
    path: str
    size_bytes: int = 0
    #: Of its content, in hexadecimal.
    sha256: str = ""
    #: How many files an artifact holds.
    files: int = 1
    #: Why it is not here, as a sentence that goes on behind its path; then there is nothing to read.
    problem: str | None = None
    #: Gives the content, until the job is removed. :raises bot.errors.EngineError: if it is damaged or gone.
    read: Callable[[], Awaitable[bytes]] | None = field(default=None, repr=False, compare=False)
    #: Writes the content into a file of ours, as `read` without holding it. :raises bot.errors.EngineError: as `read`.
    copy: Callable[[Path], Awaitable[None]] | None = field(default=None, repr=False, compare=False)


class Finished(msgspec.Struct, frozen=True, kw_only=True):
    """The job ended. Comes once, last."""

    offset: int
    at: datetime
    result: Result
    #: In words for people: "exit status 1", "killed: out of memory", "merge conflict in a.txt", ... None when passed.
    reason: str | None
    #: Exit status of the step that decided, where one did.
    exit_code: int | None
    #: The job's outputs by name: text that the job wrote.
    outputs: Mapping[str, str] = msgspec.field(default_factory=dict)


Event = Prepared | Output | StepChanged | ResultFile | Finished


class Probed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of one attempt to get out of an engine's sandbox."""

    #: What it tried to reach.
    name: str
    #: Whether it was held; None where it could not be tried here.
    is_held: bool | None
    #: What it found, or why it could not be tried; as hostile as what a build prints.
    said: str = ""


@runtime_checkable
class SelfTesting(Protocol):
    """An engine that can show what its sandbox holds."""

    async def test(self) -> tuple[Probed, ...]:
        """Try to get out of it in many ways.

        :raises bot.errors.EngineError: if that cannot be tried here; the text says how to mend it.
        """


class Engine(Protocol):
    """A place where jobs run."""

    @property
    def name(self) -> str:
        """The engine's name in settings and pages, e.g. `local`."""

    async def open(self) -> None:
        """Make ready; find what still runs from before.

        :raises bot.errors.EngineError: if it cannot run here; the text says how to mend it.
        """

    async def close(self) -> None:
        """Let go of our side. Jobs that run go on."""

    async def start(self, request: JobRequest) -> None:
        """Start the job, once: a second start of the same id does nothing, also after a restart.

        Returns when the engine has durably taken the job over. Trouble with this job alone (no such commit, a merge
        conflict, no sandbox) is told by its events, not raised.

        :raises bot.errors.EngineError: if the engine did not take the job; it may be started again later.
        """

    async def find(self, job_id: str) -> bool:
        """Whether the engine knows the job (running or ended): then `events` can be read."""

    def events(self, job_id: str, *, offset: int = 0) -> AsyncIterator[Event]:
        """What happened since `offset` (0: from the start), and what happens, until and including `Finished`.

        A job whose process vanished without a result ends with `Finished` and `Result.ERRORED`.

        :raises bot.errors.NotFound: if the engine does not know the job.
        """

    async def cancel(self, job_id: str, *, reason: str) -> None:
        """Ask the job to end: at any moment, also before it began or after it ended, any number of times.

        An unknown job is remembered as cancelled, so that a later `start` of it ends at once.
        """

    async def remove(self, job_id: str) -> None:
        """Forget an ended job and free its disk. Unknown ids are no error."""

    async def sweep(self, *, keep: Collection[int], before: datetime) -> None:
        """Free what is kept of repositories for their next job, such as their code.

        :param keep: ids of the repositories of which everything stays.
        :param before: what a job used since then stays as well, so that nothing is taken from one that runs.
        :raises bot.errors.EngineError: if it cannot be done now; it may be asked again.
        """
