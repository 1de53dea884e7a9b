"""A build on the working tree: the plan, the moves and the engine are the service's own; only nobody is told of it."""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from bot import clock, errors, telemetry
from bot.builds import lifecycle, request
from bot.cli import output, worktree
from bot.engines import contract
from bot.engines.local import engine as local
from bot.events import planning
from bot.identity import Ids
from bot.model import build, change, job, outcome
from bot.pipelines import filters, inputs, parse, plan
from bot.pipelines.document import Pipeline

#: The only repository of the engine's folder, and where it would be fetched from.
_REPOSITORY_ID = 1
_SERVER = "https://github.com"
_API = "https://api.github.com"


class PipelineInvalid(errors.BuildhookError):
    """The pipeline file has mistakes, or makes no jobs of the event; the text says which."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wants run."""

    event: str
    base_ref: str
    #: A branch, or fully qualified; None for what is checked out.
    ref: str | None
    inputs: Mapping[str, str]
    #: Only this job and what it needs.
    job_name: str | None
    #: The build whose event is repeated.
    origin: build.Build | None


class View:
    """What a person sees of it: what each step says as it comes, and how it ended."""

    def __init__(self, *, is_silent: bool) -> None:
        self._is_silent = is_silent
        self._console = output.console()
        self._is_at_line_start = True

    def say(self, text: str) -> None:
        """A line of ours, with markup."""
        if not self._is_silent:
            self._end_line()
            self._console.print(text)

    def log(self, data: bytes) -> None:
        """What a step says."""
        if self._is_silent or not data:
            return
        text = telemetry.terminal_safe(data.decode("utf-8", "replace"), has_colour=self._console.is_terminal)
        sys.stdout.write(text)
        sys.stdout.flush()
        self._is_at_line_start = text.endswith("\n")

    def ended(self, one: job.Job) -> None:
        """A job is over."""
        took = output.duration(one.started_at, one.finished_at)
        why = f": {output.clean(one.reason)}" if one.reason else ""
        self.say(f"[bold]{output.clean(one.plan.name)}[/] {output.state(one.state)} {took}{why}")

    def verdict(self, state: build.State) -> None:
        """All is over."""
        self.say(f"\nThe build {output.state(state)}." if state != build.State.SKIPPED else "\nNothing had to run.")

    def _end_line(self) -> None:
        if not self._is_at_line_start:
            sys.stdout.write("\n")
            sys.stdout.flush()
            self._is_at_line_start = True


async def run(tree: worktree.Tree, asked: Asked, *, network: str, view: View) -> Sequence[job.Job]:
    """Plan and run; gives the jobs as they ended.

    :raises PipelineInvalid: if the pipeline file cannot be used for this event.
    :raises errors.BuildhookError: if there is no sandbox, git fails, or a name is not known.
    """
    pipeline = _read(tree.root)
    folder = _cache() / hashlib.sha256(os.fsencode(tree.root)).hexdigest()[:32]
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = local.Local(folder, network=network)
    await engine.open()
    try:
        snapshot = tree.snapshot(into=await engine.mirror(_source("0" * 40, name="local/any")))
        made = _plan(pipeline, asked, tree, snapshot, view)
        runner = _Runner(engine, made, _source(snapshot.sha, name=snapshot.repository), view)
        return await runner.run()
    finally:
        await engine.close()


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "buildhook" / "run"


def _source(sha: str, *, name: str) -> contract.Source:
    return contract.Source(
        repository_id=_REPOSITORY_ID,
        url=f"{_SERVER}/{name}.git",
        head_sha=sha,
        base_sha=None,
        # It is the code of whoever runs this command.
        trust=build.Trust.TRUSTED,
    )


def _read(root: Path) -> Pipeline:
    path = root / parse.PATH
    try:
        parsed = parse.parse(path.read_bytes())
    except FileNotFoundError:
        raise errors.NotFound(f"There is no {parse.PATH} in {root}: `buildhook init` writes one.") from None
    if parsed.pipeline is None:
        told = "\n".join(f"{one.path}:{one.line}:{one.column}: {one.text}" for one in parsed.problems)
        raise PipelineInvalid(told)
    return parsed.pipeline


def _plan(
    pipeline: Pipeline, asked: Asked, tree: worktree.Tree, snapshot: worktree.Snapshot, view: View
) -> outcome.NewBuild:
    new_id = Ids()
    template = _template(asked, snapshot, id=new_id())
    maker = planning.Maker(template=template, new_id=new_id, now=clock.now())
    if template.event == "workflow_dispatch" and asked.origin is None:
        wanted = pipeline.on["workflow_dispatch"].inputs if "workflow_dispatch" in pipeline.on else {}
        try:
            payload = {**template.payload, "inputs": inputs.taken(wanted, asked.inputs)}
        except inputs.Refused as wrong:
            raise PipelineInvalid(str(wrong)) from None
        maker = replace(maker, template=replace(template, payload=payload))
    facts = plan.Facts(event=template.event, ref=template.ref, base_ref=template.base_ref)
    if filters.wants_files(pipeline, facts):
        changed = tree.changed_files(asked.base_ref)
        facts = replace(facts, changed_files=change.ChangedFiles(names=changed, is_whole=True) if changed else None)
    made = maker.make(pipeline, facts)
    if made.problem is not None:
        raise PipelineInvalid(f"{parse.PATH}:{made.problem.line}: {made.problem.text}")
    if made.verdict != plan.Verdict.RUNS:
        view.say(output.clean(made.reason or "Nothing has to run."))
        return maker.left_out(made)
    return _only(maker.planned(made), asked.job_name)


def _template(asked: Asked, snapshot: worktree.Snapshot, *, id: str) -> build.Build:
    branch = f"refs/heads/{snapshot.branch or 'HEAD'}"
    if asked.origin is not None:
        return replace(asked.origin, id=id, head_sha=snapshot.sha, base_sha=None, created_at=clock.now())
    ref = branch if asked.ref is None else asked.ref if asked.ref.startswith("refs/") else f"refs/heads/{asked.ref}"
    is_pull = asked.event == "pull_request"
    head = ref.removeprefix("refs/heads/")
    payload: dict[str, object] = {"ref": ref, "after": snapshot.sha, "head_commit": {"message": snapshot.title}}
    if is_pull:
        sides = {"head": {"ref": head, "sha": snapshot.sha}, "base": {"ref": asked.base_ref}}
        payload = {"action": "synchronize", "number": 0, "pull_request": {"title": snapshot.title, **sides}}
    return build.Build(
        id=id,
        repository_id=_REPOSITORY_ID,
        installation_id=0,
        repository=snapshot.repository,
        event=asked.event,
        ref="refs/pull/0/merge" if is_pull else ref,
        head_sha=snapshot.sha,
        base_ref=asked.base_ref if is_pull or asked.event == "merge_group" else None,
        head_ref=head if is_pull else None,
        pull_number=0 if is_pull else None,
        title=snapshot.title,
        sender=os.environ.get("USER", "you"),
        trust=build.Trust.TRUSTED,
        payload=payload,
        cause=id,
        created_at=clock.now(),
    )


def _only(made: outcome.NewBuild, name: str | None) -> outcome.NewBuild:
    """The build with one job and what it needs.

    :raises errors.NotFound: if there is no such job.
    """
    if name is None:
        return made
    wanted = {one.plan.id for one in made.jobs if name in (one.plan.key, one.plan.id, one.plan.name)}
    if not wanted:
        known = ", ".join(dict.fromkeys(one.plan.id for one in made.jobs))
        raise errors.NotFound(f"There is no job `{name}`; there are: {known}.")
    before: set[str] = set()
    while before != wanted:
        before = set(wanted)
        wanted |= {need for one in made.jobs if one.plan.id in wanted for need in one.plan.needs}
    named = [one for one in made.jobs if name in (one.plan.key, one.plan.name)]
    kept = tuple(
        one
        for one in made.jobs
        if one.plan.id in wanted and (not named or one in named or one.plan.id not in {two.plan.id for two in named})
    )
    return replace(made, jobs=kept)


class _Runner:
    """Runs the jobs one after the other, each as soon as what it needs has ended."""

    def __init__(self, engine: contract.Engine, made: outcome.NewBuild, source: contract.Source, view: View) -> None:
        self._engine = engine
        self._build = made.build
        self._jobs = {one.id: one for one in made.jobs}
        self._source = source
        self._view = view

    async def run(self) -> Sequence[job.Job]:
        for one in self._jobs.values():
            if one.state in job.FINAL:
                self._view.ended(one)
        while (ready := next((one for one in self._jobs.values() if one.state == job.State.QUEUED), None)) is not None:
            self._move(await self._follow(ready))
        return list(self._jobs.values())

    def _move(self, ended: job.Job) -> None:
        before = dict(self._jobs)
        self._jobs[ended.id] = ended
        for one in lifecycle.ended_by_failure(ended, list(self._jobs.values())):
            state = lifecycle.transition(one.state, lifecycle.Signal.CANCELLED)
            self._jobs[one.id] = replace(one, state=state, reason="`fail-fast` is on.", finished_at=clock.now())
        resolved = lifecycle.resolve(list(self._jobs.values()), of=self._build)
        for one in list(self._jobs.values()):
            self._jobs[one.id] = lifecycle.moved(one, resolved, now=clock.now())
        for one in self._jobs.values():
            if one.state in job.FINAL and before[one.id].state not in job.FINAL:
                self._view.ended(one)

    async def _follow(self, one: job.Job) -> job.Job:
        self._view.say(f"\n[bold]{output.clean(one.plan.name)}[/]")
        needs = lifecycle.needs_of(one, list(self._jobs.values()), of=self._build) if one.plan.needs else {}
        asked = request.make(one, self._build, needs=needs, source=self._source, server_url=_SERVER, api_url=_API)
        started = replace(one, started_at=clock.now())
        await self._engine.start(asked)
        try:
            async for event in self._engine.events(one.id):
                started = self._take(started, event)
        except BaseException:
            # Whoever interrupts this wants the job ended too.
            await self._engine.cancel(one.id, reason="It was interrupted.")
            raise
        with contextlib.suppress(errors.EngineError):
            await self._engine.remove(one.id)
        return started

    def _take(self, one: job.Job, event: contract.Event) -> job.Job:
        match event:
            case contract.Output():
                self._view.log(event.data)
            case contract.StepChanged():
                self._tell(one, event.step)
                others = [step for step in one.steps if step.index != event.step.index]
                return replace(one, steps=tuple(sorted([*others, event.step], key=lambda step: step.index)))
            case contract.Prepared():
                return replace(one, tested_sha=event.tested_sha, tested_tree=event.tested_tree, images=event.images)
            case contract.Finished():
                return replace(
                    one,
                    state=lifecycle.transition(one.state, lifecycle.Signal(event.result.value)),
                    reason=event.reason,
                    exit_code=event.exit_code,
                    outputs=event.outputs,
                    finished_at=event.at,
                )
        return one

    def _tell(self, one: job.Job, step: job.StepResult) -> None:
        name = output.clean(one.plan.steps[step.index].name)
        if step.state == "running":
            self._view.say(f"[cyan]▸ {name}[/]")
        elif step.state in ("skipped", "ignored"):
            self._view.say(f"[dim]▸ {name}: {step.state}[/]")
