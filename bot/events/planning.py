"""From a pipeline file to the build that a handler returns: pure, the same for pushes and pull requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime

from bot.builds import rerun
from bot.model import approval, build, job, outcome
from bot.pipelines import parse, plan

#: The one pipeline file of a repository.
PIPELINE_PATH = parse.PATH


@dataclass(frozen=True, slots=True, kw_only=True)
class Maker:
    """Makes builds that differ only in what the pipeline file says: `template` holds all that the event says."""

    template: build.Build
    new_id: Callable[[], str]
    now: datetime

    def planned(self, made: plan.Plan) -> outcome.NewBuild:
        """A build with one job for each job of the plan; the ones that need nothing are queued."""
        stored = replace(self.template, pipeline=made.pipeline, plan_digest=plan.digest(made))
        names = plan.check_names(made)
        jobs = tuple(
            job.Job(
                id=self.new_id(),
                build_id=stored.id,
                position=position,
                plan=one,
                check_name=names[one.key],
                state=job.State.WAITING if one.needs else job.State.QUEUED,
                created_at=self.now,
            )
            for position, one in enumerate(made.jobs)
        )
        return outcome.NewBuild(build=stored, jobs=jobs)

    def broken(self, problems: tuple[build.Problem, ...]) -> outcome.NewBuild:
        """A failed build that shows the mistakes of the pipeline file."""
        count = "1 mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        return self._ended(build.State.FAILED, reason=f"`{PIPELINE_PATH}` has {count}.", problems=problems)

    def deleted(self) -> outcome.NewBuild:
        """A failed build: whoever deletes the pipeline file does not get around it."""
        return self._ended(build.State.FAILED, reason=f"`{PIPELINE_PATH}` was deleted. Put it back to build again.")

    def skipped(self, reason: str) -> outcome.NewBuild:
        """A build that the pipeline file itself decided not to run."""
        return self._ended(build.State.SKIPPED, reason=reason)

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


def from_file(maker: Maker, content: bytes, facts: plan.Facts) -> outcome.NewBuild | str:
    """The build that a pipeline file makes of an event, or the reason why it makes none."""
    parsed = parse.parse(content, path=PIPELINE_PATH)
    if parsed.pipeline is None or parsed.problems:
        return maker.broken(parsed.problems)
    made = plan.make(parsed.pipeline, facts)
    return maker.planned(made) if made.reason is None else made.reason
