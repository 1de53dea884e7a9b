"""What a pipeline file says: frozen values, before any event decides what of it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from bot.model import build, job


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody who starts a build may give.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#onworkflow_dispatchinputs
    """

    #: `string`, `number`, `boolean`, `choice` or `environment`.
    type: str = "string"
    description: str = ""
    is_required: bool = False
    #: As text; None where there is none.
    default: str | None = None
    #: Of a `choice`.
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """The patterns under one event of `on`; None where the file does not name the key.

    https://docs.github.com/en/actions/reference/workflow-syntax-for-github-actions#onpushbranchestagsbranches-ignoretags-ignore
    """

    branches: tuple[str, ...] | None = None
    branches_ignore: tuple[str, ...] | None = None
    #: Only for `push` and `hook`.
    tags: tuple[str, ...] | None = None
    #: Only for `push` and `hook`.
    tags_ignore: tuple[str, ...] | None = None
    #: Only for `push` and `pull_request`, as `paths_ignore`.
    paths: tuple[str, ...] | None = None
    paths_ignore: tuple[str, ...] | None = None
    #: Only for `pull_request`: the actions of the event.
    types: tuple[str, ...] | None = None
    #: Only for `pull_request`: whether drafts are built.
    drafts: bool = True
    #: Only for `pull_request`: whether a comment shows how its jobs stand.
    comment: bool = False
    #: Only for `schedule`: when, in the order of the file.
    crons: tuple[str, ...] = ()
    #: Only for `workflow_dispatch`: what may be given, by name.
    inputs: Mapping[str, Input] = field(default_factory=dict)
    #: Lines of the event and of each key under it, from 1: they say where, not what.
    line: int = field(default=1, compare=False)
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    @property
    def has_paths(self) -> bool:
        """Whether it depends on which files changed."""
        return self.paths is not None or self.paths_ignore is not None


class Concurrency(msgspec.Struct, frozen=True, kw_only=True):
    """Builds of one group run one after the other.

    https://docs.github.com/en/actions/how-tos/write-workflows/choose-when-workflows-run/control-workflow-concurrency
    """

    #: As written: groups are told apart without regard to case. It may hold expressions.
    group: str
    #: Whether a new build ends the one that runs, or an expression that says so.
    cancel_in_progress: bool | str = False
    #: Whether each branch, tag and pull request has a group of its own.
    is_per_ref: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """Values that a job is run for, each combination once. Text in them may hold expressions.

    https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#jobsjob_idstrategymatrix
    """

    #: The values of each name, in the order of the file; or an expression that gives a list of them.
    axes: Mapping[str, Sequence[Any] | str] = field(default_factory=dict)
    include: Sequence[Any] | str = ()
    exclude: Sequence[Any] | str = ()
    #: An expression that gives all of it.
    whole: str | None = None
    line: int = field(default=1, compare=False)
    column: int = field(default=1, compare=False)


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as the file says it, for all combinations of its matrix."""

    #: What is known already.
    plan: job.Plan
    matrix: Matrix | None = None
    #: What an expression gives when a build is planned, by the key: `name`, `timeout-minutes`, `max-parallel`, ...
    late: Mapping[str, str] = msgspec.field(default_factory=dict)
    #: The same of its steps, by their position.
    late_of_steps: Mapping[int, Mapping[str, str]] = msgspec.field(default_factory=dict)
    #: Whether the file names it.
    has_name: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """A pipeline file without problems."""

    name: str
    #: Each event that the file names, with its filter.
    on: Mapping[str, Filter]
    #: In the order of the file; `env` is the job's own, without the pipeline's.
    jobs: tuple[Job, ...]
    #: For every job; a job's own value comes before it.
    env: Mapping[str, str] = field(default_factory=dict)
    concurrency: Concurrency | None = None
    #: Line of `on`, from 1.
    on_line: int = field(default=1, compare=False)


class Parsed(msgspec.Struct, frozen=True, kw_only=True):
    """What came of reading a file: the pipeline, or else at least one problem."""

    pipeline: Pipeline | None
    #: In the order of the file.
    problems: tuple[build.Problem, ...] = ()
