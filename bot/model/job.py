"""A job: one node of a build; it runs on one engine and has one check run."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


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
#: States in which an engine may hold something for the job.
ON_ENGINE = frozenset({State.STARTING, State.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of a job, as planned."""

    name: str
    run: str
    env: Mapping[str, str] = field(default_factory=dict)
    #: Relative to the workspace, normalised, never outside of it.
    working_directory: str = "."
    #: Line of the step in the pipeline file, from 1.
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What became of one step, as the engine told."""

    #: Position in the job's steps, from 0.
    index: int
    #: `running`, `passed`, `failed`, `skipped`, `cancelled` or `timed_out`.
    state: str
    started_at: datetime | None = None
    finished_at: datetime | None = None
    #: The command's exit status; 128 + n when a signal n ended it.
    exit_code: int | None = None
    #: First byte of its output in the job's log.
    log_start_bytes: int = 0
    #: One past the last byte of its output in the job's log.
    log_end_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A job as the pipeline planned it: what runs, without any state."""

    #: The id under `jobs:` in the pipeline file.
    key: str
    name: str
    steps: tuple[Step, ...]
    needs: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    timeout_minutes: float = 360.0
    #: The pipeline's `runs-on`, or None.
    runs_on: str | None = None
    #: Line of the job in the pipeline file, from 1.
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
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
    #: The job whose result it took over.
    origin_id: str | None = None
    epoch: int = 0
