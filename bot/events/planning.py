"""From a pipeline file to the build that a handler returns: pure, the same for pushes and pull requests."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import msgspec
from msgspec.structs import replace

from bot.builds import lifecycle, rerun
from bot.events import proposing
from bot.model import approval, build, job, outcome
from bot.pipelines import contexts, expand, parse, plan
from bot.pipelines.document import Pipeline

#: The one pipeline file of a repository.
PIPELINE_PATH = parse.PATH


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """Makes builds that differ only in what the pipeline file says: `template` holds all that the event says."""

    template: build.Build
    new_id: Callable[[], str]
    now: datetime
    #: Takes each step of the decision.
    note: Callable[[str], None] = lambda _: None

    def make(self, pipeline: Pipeline, facts: plan.Facts) -> plan.Plan:
        """What an event runs of a pipeline."""
        named = replace(self.template, pipeline=pipeline.name)
        made = plan.make(pipeline, facts, contexts.of_build(named))
        self.note(why(made, facts))
        return made

    def planned(self, made: plan.Plan) -> outcome.NewBuild:
        """A build with one job for each job of the plan; of those that run the ones that need nothing are queued."""
        stored = replace(
            self.template,
            pipeline=made.pipeline,
            plan_digest=plan.digest(made),
            concurrency_group=made.concurrency_group,
            cancel_in_progress=made.cancel_in_progress,
        )
        names, reasons = plan.check_names(made), {one.plan.key: one.reason for one in made.left_out}
        jobs = tuple(
            self._job(one, stored, position=position, check_name=names[one.key], left_out=reasons.get(one.key))
            for position, one in enumerate(made.declared)
        )
        # What needs a job that is left out will not hear of it any more.
        resolved = lifecycle.resolve(jobs, of=stored)
        jobs = tuple(lifecycle.moved(one, resolved, now=self.now) for one in jobs)
        return outcome.NewBuild(build=stored, jobs=jobs)

    def _job(
        self, planned: job.Plan, of: build.Build, *, position: int, check_name: str, left_out: str | None
    ) -> job.Job:
        state = job.State.WAITING if planned.needs or planned.max_parallel is not None else job.State.QUEUED
        return job.Job(
            id=self.new_id(),
            build_id=of.id,
            position=position,
            plan=planned,
            check_name=check_name,
            state=state if left_out is None else job.State.SKIPPED,
            reason=left_out,
            created_at=self.now,
            finished_at=None if left_out is None else self.now,
        )

    def broken(self, problems: tuple[build.Problem, ...]) -> outcome.NewBuild:
        """A failed build that shows the mistakes of the pipeline file."""
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        return self._ended(build.State.FAILED, reason=f"`{PIPELINE_PATH}` has {count}.", problems=problems)

    def impossible(self, problem: expand.ExpansionProblem) -> outcome.NewBuild:
        """A failed build that shows why no jobs can be made of the event."""
        return self.broken((expand.problem(problem, path=PIPELINE_PATH),))

    def deleted(self) -> outcome.NewBuild:
        """A failed build: whoever deletes the pipeline file does not get around it."""
        return self._ended(build.State.FAILED, reason=f"`{PIPELINE_PATH}` was deleted. Put it back to build again.")

    def left_out(self, made: plan.Plan) -> outcome.NewBuild:
        """A build that the pipeline file decided not to run: every check that it names is there, and is skipped.

        Whoever wants it all the same can run it again.
        """
        planned = self.planned(made)
        ended = self._ended(build.State.SKIPPED, reason=made.reason or "Nothing has to run.")
        stored = replace(ended.build, pipeline=made.pipeline, plan_digest=planned.build.plan_digest)
        return outcome.NewBuild(build=stored, jobs=planned.jobs)

    def asking(self, reason: str, pipeline: Pipeline) -> outcome.NewBuild:
        """A build that waits until somebody wants it: nothing of it is there, and nothing is proved of its commit."""
        sha = self.template.head_sha
        return self.waiting(reason, self.proposal(pipeline, consent=approval.Consent.RUN_ANYWAY, file_sha=sha))

    def proposal(
        self,
        pipeline: Pipeline,
        *,
        consent: approval.Consent,
        file_sha: str,
        deciding: bytes | None = None,
        at_head: bytes | None = None,
    ) -> approval.Proposal:
        """What would run once somebody consents; see `proposing.make`."""
        return proposing.make(
            anyway(pipeline, self.template), consent=consent, file_sha=file_sha, deciding=deciding, at_head=at_head
        )

    def waiting(self, reason: str, proposal: approval.Proposal) -> outcome.NewBuild:
        """A build that waits for somebody's consent: nothing of it is there before that."""
        waits = replace(self.template, state=build.State.WAITING, reason=reason, proposal=proposal)
        return outcome.NewBuild(build=waits)

    def taken_over(self, made: plan.Plan, *, origin: build.Build, origin_jobs: tuple[job.Job, ...]) -> outcome.NewBuild:
        """A build that has the result of another one whose tree and plan are equal."""
        planned = self.planned(made)
        stored = replace(
            planned.build,
            state=origin.state,
            origin_id=origin.id,
            reason="The push of this commit already tested the same tree with the same jobs.",
            started_at=origin.started_at,
            finished_at=self.now,
        )
        known = {one.plan.key: one for one in origin_jobs}
        jobs = tuple(rerun.with_result_of(known[one.plan.key], one) for one in planned.jobs)
        return outcome.NewBuild(build=stored, jobs=jobs)

    def _ended(self, state: build.State, *, reason: str, problems: tuple[build.Problem, ...] = ()) -> outcome.NewBuild:
        ended = replace(
            self.template,
            state=state,
            reason=reason,
            problems=problems,
            started_at=self.now,
            finished_at=self.now,
        )
        return outcome.NewBuild(build=ended)


def anyway(pipeline: Pipeline, of: build.Build) -> plan.Plan:
    """What runs of a pipeline once somebody wants it, whatever its filters say of what changed."""
    facts = plan.Facts(event=of.event, ref=of.ref, base_ref=of.base_ref)
    return plan.make(pipeline, facts, contexts.of_build(replace(of, pipeline=pipeline.name)))


def nothing_to_run(*, file_sha: str, of_head: bytes | None) -> approval.Proposal:
    """The proposal of a pull request whose base has no pipeline file."""
    return proposing.make(
        plan.Plan(pipeline=""), consent=approval.Consent.APPROVE, file_sha=file_sha, deciding=None, at_head=of_head
    )


def from_file(maker: Maker, content: bytes, facts: plan.Facts) -> outcome.NewBuild | str:
    """The build that a pipeline file makes of an event, or the reason why it makes none."""
    parsed = parse.parse(content, path=PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    made = maker.make(parsed.pipeline, facts)
    if made.problem is not None:
        return maker.impossible(made.problem)
    return maker.planned(made) if made.reason is None else made.reason


def why(made: plan.Plan, facts: plan.Facts) -> str:
    """Why a pipeline file runs something, or nothing, with the line that says so."""
    place = f"`{PIPELINE_PATH}:{made.line}`"
    if made.problem is not None:
        return f"`{PIPELINE_PATH}:{made.problem.line}`: {made.problem.text}"
    if made.reason is not None:
        return f"{place}: {made.reason}"
    subject = f"`{facts.ref}`" if facts.base_ref is None else f"what is merged into `{facts.base_ref}`"
    return f"{place}: `on.{facts.event}` takes {subject}."
