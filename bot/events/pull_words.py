"""Sentences about pull requests, for the trail of a decision. Pure."""

from __future__ import annotations

from bot.events import payloads, planning
from bot.model import build


def told(changed: payloads.PullRequest) -> str:
    """What the event says."""
    pull, place = changed.pull_request, changed.repository
    assert changed.installation is not None
    head = f"repository {pull.head.repo.id}" if pull.head.repo is not None else "a repository that is gone"
    return (
        f"`{changed.sender.login}` (id {changed.sender.id}): pull request #{changed.number} of {place.full_name}"
        f" (id {place.id}, installation {changed.installation.id}) by `{pull.user.login}` (id {pull.user.id}) was"
        f" {changed.action}; its head is {pull.head.sha} in {head}, its base `{pull.base.ref}` at {pull.base.sha}."
    )


def told_known(changed: payloads.PullRequest, latest: build.Build | None) -> str:
    """What is known of its head."""
    head_sha = changed.pull_request.head.sha
    if latest is None:
        return f"No build of {head_sha} is known."
    return f"The newest build of {head_sha} is {latest.id} ({latest.event}), {latest.state}."


def no_file() -> str:
    """Why nothing is built where nobody asked for it."""
    return f"There is no `{planning.PIPELINE_PATH}`, neither in the base nor in the head."


def older(changed: payloads.PullRequest, known: build.Pull) -> str:
    """Why an event tells nothing new."""
    return (
        f"This is older ({changed.pull_request.updated_at:%Y-%m-%d %H:%M:%S} UTC) than what is known of pull request"
        f" #{changed.number} ({known.updated_at:%Y-%m-%d %H:%M:%S} UTC)."
    )
