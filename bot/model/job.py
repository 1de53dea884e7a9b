"""A job: one node of a build; it runs on one engine and has one check run."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec


class State(enum.StrEnum):
    """The life of a job; the moves between the states are the table in `bot.builds.lifecycle`."""

    #: Waits for the jobs that it needs, or for approval.
    WAITING = "waiting"
    #: May start as soon as a place is free.
    QUEUED = "queued"
    #: Handed to an engine, which prepares it.
    STARTING = "starting"
    RUNNING = "running"
    PASSED = "passed"
    #: A command of the repository failed.
    FAILED = "failed"
    #: We or the engine failed; `reason` says what to mend.
    ERRORED = "errored"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


FINAL = frozenset({State.PASSED, State.FAILED, State.ERRORED, State.CANCELLED, State.TIMED_OUT, State.SKIPPED})
#: States that tell of the code, not of what was done to the job.
DECIDED = frozenset({State.PASSED, State.FAILED, State.TIMED_OUT})
#: States that somebody may want to be other ones: the job began, or was to begin, and did not pass.
UNWELL = frozenset({State.FAILED, State.ERRORED, State.CANCELLED, State.TIMED_OUT})
#: States of a job that went wrong: by its code, by us, or by its time.
BAD = frozenset({State.FAILED, State.ERRORED, State.TIMED_OUT})
#: States in which an engine may hold something for the job.
ON_ENGINE = frozenset({State.STARTING, State.RUNNING})


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One command of a job, as planned."""

    name: str
    #: May hold expressions, as `env`.
    run: str
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Relative to the workspace, normalised, never outside of it.
    working_directory: str = "."
    #: How other steps speak of it, or None.
    id: str | None = None
    #: `if`: an expression without `${{ }}` around it; None where it runs as long as no step before it failed.
    condition: str | None = None
    #: A program of Actions' list or a command line with `{0}`; None for bash, or sh where there is no bash.
    shell: str | None = None
    #: None where only the job's limit counts.
    timeout_minutes: float | None = None
    #: Whether the job goes on as if it had passed.
    continue_on_error: bool = False
    #: Line of the step in the pipeline file, from 1.
    line: int = 1


class StepResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one step, as the engine told."""

    #: Position in the job's steps, from 0.
    index: int
    #: `running`, `passed`, `failed`, `ignored` (a failure that does not count), `skipped`, `cancelled`, `timed_out`.
    state: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: The command's exit status; 128 + n when a signal n ended it.
    exit_code: int | None = None
    #: First byte of its output in the job's log.
    log_start_bytes: int = 0
    #: One past the last byte of its output in the job's log.
    log_end_bytes: int | None = None


class Reports(msgspec.Struct, frozen=True, kw_only=True):
    """Which files of the workspace tell what became of a job: globs, relative to its root."""

    junit: tuple[str, ...] = ()
    sarif: tuple[str, ...] = ()
    #: Cobertura or LCOV, told apart by their content.
    coverage: tuple[str, ...] = ()
    #: Problem matchers of the repository, in Actions' format, beside the usual ones.
    matchers: tuple[str, ...] = ()


class Artifact(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the workspace that are kept when the job has ended."""

    name: str
    #: Globs, relative to the workspace; those that begin with `!` leave out again.
    paths: tuple[str, ...]
    #: None for as long as the build is kept.
    retention_days: int | None = None


class Cache(msgspec.Struct, frozen=True, kw_only=True):
    """Folders that are brought back before the first step, and kept after the last one of a job that passed."""

    #: May hold expressions.
    key: str
    #: Beginnings of older keys, the best first; may hold expressions.
    restore_keys: tuple[str, ...] = ()
    #: Relative to the workspace, or below `~/`.
    paths: tuple[str, ...] = ()


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """An image that a job, or a service beside it, runs in."""

    image: str
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    options: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the pipeline planned it: what runs, without any state."""

    #: Tells the jobs of a build apart: the id under `jobs:`, and of a matrix the combination behind it.
    key: str
    name: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    timeout_minutes: float = 360.0
    #: The pipeline's `runs-on`, its labels with commas between them, or None.
    runs_on: str | None = None
    #: The id under `jobs:`, by which other jobs need it; empty where it is `key`.
    group: str = ""
    #: `if`: an expression without `${{ }}`, decided when its needs have ended; None where they have to pass.
    condition: str | None = None
    #: The values of this job's combination of the matrix, by name.
    matrix: Mapping[str, Any] = msgspec.field(default_factory=dict)
    #: Its place in the matrix, from 0, and how many jobs that has.
    job_index: int = 0
    job_total: int = 1
    #: Whether the other jobs of the matrix are cancelled when this one fails.
    fail_fast: bool = True
    #: How many jobs of the matrix run at once; None for as many as there are places.
    max_parallel: int | None = None
    #: Whether the build goes on as if it had passed.
    continue_on_error: bool = False
    #: What jobs that need it can read: templates by name.
    outputs: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Names of the secrets that it asks for, by the variable of every step that gets them.
    secrets: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: Names of all secrets that it may see: those above, and those that its expressions name.
    secret_names: tuple[str, ...] = ()
    #: Whose secrets come before the repository's, or None.
    environment: str | None = None
    #: The engine that the file asks for, or None for the operator's choice.
    engine: str | None = None
    container: Container | None = None
    services: Mapping[str, Container] = msgspec.field(default_factory=dict)
    reports: Reports = Reports()
    artifacts: tuple[Artifact, ...] = ()
    caches: tuple[Cache, ...] = ()
    #: Line of the job in the pipeline file, from 1.
    line: int = 1

    @property
    def id(self) -> str:
        """The id under `jobs:`, which all jobs of a matrix share."""
        return self.group or self.key

    @property
    def labels(self) -> tuple[str, ...]:
        """What `runs-on` asks for, one by one."""
        return tuple(label for part in (self.runs_on or "").split(",") if (label := part.strip()))


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as stored."""

    #: ULID; also the engine's id of the job, so that starting it is idempotent.
    id: str
    build_id: str
    #: Position in the build, from 0.
    position: int
    plan: Plan
    #: Name of its check run: `buildhook`, or `buildhook / <job>` where a build has several.
    check_name: str
    state: State
    #: Why, in a sentence for people, where the state alone does not say it.
    reason: str | None = None
    engine: str = "local"
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    exit_code: int | None = None
    steps: tuple[StepResult, ...] = ()
    #: How many bytes of the engine's log are stored.
    log_size_bytes: int = 0
    #: Where to go on reading the engine's events (opaque to us, given by the engine).
    engine_offset: int = 0
    #: The commit whose tree was tested: for a pull request the merge made here.
    tested_sha: str | None = None
    #: The tree that was tested.
    tested_tree: str | None = None
    cancel_requested_at: datetime | None = None
    #: Why it is being cancelled, a sentence for people.
    cancel_reason: str | None = None
    #: What jobs that need it can read, by name: text that the job wrote.
    outputs: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: The images that it ran in and beside: `container`, or the name of a service, and the image with its digest.
    images: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: The job whose result it took over.
    origin_id: str | None = None
    epoch: int = 0
