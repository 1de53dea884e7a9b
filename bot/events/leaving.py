"""What is shown of an event of which nothing runs: pure.

GitHub counts a skipped check run as passed, and a check run belongs to the commit, whatever event it came from. So one
is shown as skipped only where the pipeline file decided that nothing has to run for it. Nothing at all is shown where
another event decides, and where nobody decided it waits for a person.
"""

from __future__ import annotations

import msgspec

from bot.events import planning
from bot.model import approval, build, outcome
from bot.pipelines import plan, skipping
from bot.pipelines.document import Pipeline


class Pushed(msgspec.Struct, frozen=True, kw_only=True):
    """What of a push decides what is shown where nothing runs."""

    #: Name of the branch, None for a tag.
    branch: str | None
    #: What is on it is merged already: its checks let nothing in.
    is_default_branch: bool
    #: The whole message of the head.
    message: str
    #: Whether nothing was told of the commit before, which a skip would hide.
    is_first: bool


def is_for_pulls(pipeline: Pipeline, pushed: Pushed) -> bool:
    """Whether the file leaves it to pull requests to say whether what was pushed may be merged."""
    return "pull_request" in pipeline.on and not pushed.is_default_branch


def of_push(maker: planning.Maker, pipeline: Pipeline, made: plan.Plan, pushed: Pushed) -> outcome.NewBuild | str:
    """The build that a push makes, or the reason why it makes none."""
    if made.verdict == plan.Verdict.RUNS:
        why = skipping.why_skipped(pushed.message)
        if why is None:
            return maker.planned(made)
        made = plan.skip(made, why)
        is_decided = pushed.is_default_branch
    else:
        is_decided = made.verdict == plan.Verdict.SKIPPED
    reason = made.reason or ""
    if made.verdict == plan.Verdict.NOT_NAMED or pushed.branch is None or not pushed.is_first:
        return reason
    if is_for_pulls(pipeline, pushed):
        # Told of the commit, it would count for a pull request that was not even opened yet.
        return f"{reason} Whether it may be merged is for its pull request to say."
    return maker.left_out(made) if is_decided else maker.asking(reason, pipeline)


def of_pull(
    maker: planning.Maker, pipeline: Pipeline, made: plan.Plan, *, latest: build.State | None
) -> outcome.NewBuild | str:
    """The build that a pull request makes of which nothing runs, or the reason why it makes none.

    :param latest: how the newest build of the commit stands, which this would hide; None where there is none.
    """
    reason = made.reason or ""
    if made.verdict == plan.Verdict.SKIPPED and latest is None:
        return maker.left_out(made)
    # That another event let nothing run does not say that nothing has to.
    if made.verdict == plan.Verdict.WAITS and latest in {None, build.State.SKIPPED}:
        return maker.asking(reason, pipeline)
    return reason


def is_left_out(made: build.Build) -> bool:
    """Whether nothing of a build ran, for a reason that another event may do away with."""
    return made.state == build.State.SKIPPED or made.waits_for == approval.Consent.RUN_ANYWAY


def is_same(decided: build.Build, own: build.Build) -> bool:
    """Whether a build would say again what another one says already: that nothing runs."""
    return is_left_out(decided) and (decided.state, decided.base_sha) == (own.state, own.base_sha)
