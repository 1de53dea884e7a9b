"""What people ask for: cancel a build, run it again, handle a delivery again. One meaning for page and command line.

Each is written into the audit by the transaction that does it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import errors
from bot.builds import lifecycle, rerun
from bot.model import audit, build, delivery, job, outcome
from bot.store import about, approvals, builds, deliveries, jobs, outcomes, repositories
from bot.store import audit as entries


def cancel(connection: Connection, build_id: str, *, now: datetime, reason: str, by: audit.Actor) -> None:
    """Ask a build to end; the scheduler finds the wish. Jobs that `lifecycle.outliving` names go on.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it has ended.
    """
    if not outcomes.cancel_build(connection, build_id, now=now, reason=reason, spares=lifecycle.outliving):
        raise errors.Conflict(f"Build {build_id} has ended.")
    found = builds.get(connection, build_id)
    entries.add(connection, about_build(found, audit.Action.CANCEL, by=by), now=now)


def again(
    asked: build.Build,
    its_jobs: Sequence[job.Job],
    *,
    latest: build.Build | None,
    which: rerun.Which = rerun.ALL,
    wish: rerun.Wish,
) -> outcome.NewBuild | str:
    """The next generation of a build that has ended, or why there can be none. Pure.

    Whoever asks and by whichever way (a check's button, a comment, a page, the command line), this is what it means.

    :param latest: the newest generation for the same commit.
    """
    refusal = rerun.why_not(asked, latest=latest)
    if refusal is not None:
        return refusal
    wanted = rerun.keys(asked, its_jobs, which)
    if isinstance(wanted, str):
        return wanted
    made = rerun.make(asked, its_jobs, replace(wish, only_keys=None if which == rerun.ALL else wanted))
    # Two who ask at once get one build: the second is decided anew, when the first has begun.
    return replace(made, follows=asked.generation)


def retry(
    connection: Connection,
    build_id: str,
    *,
    now: datetime,
    new_id: Callable[[], str],
    which: rerun.Which = rerun.ALL,
    by: audit.Actor,
) -> build.Build:
    """Run jobs of an ended build again, as the next generation.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it cannot be run again; the text says why.
    """
    asked = builds.get(connection, build_id)
    latest = builds.find_latest(connection, repository_id=asked.repository_id, head_sha=asked.head_sha)
    if (
        asked.plan_digest
        and asked.trust == build.Trust.UNTRUSTED
        and approvals.find_of_build(connection, asked) is None
    ):
        raise errors.Conflict(f"Nobody's consent to {asked.head_sha} holds any more: it has to be approved again.")
    wish = rerun.Wish(now=now, new_id=new_id, cause=f"retry:{asked.id}")
    its_jobs = jobs.list_of_builds(connection, [asked.id])
    made = again(asked, its_jobs, latest=latest, which=which, wish=wish)
    if isinstance(made, str):
        raise errors.Conflict(made)
    stored = outcomes.create(connection, made, now=now, spares=lifecycle.outliving)
    detail = f"Of build {asked.id}: {which}."
    entries.add(connection, about_build(stored, audit.Action.RETRY, by=by, detail=detail), now=now)
    return stored


def replay(connection: Connection, delivery_id: str, *, now: datetime, by: audit.Actor) -> None:
    """Handle a delivery again.

    :raises errors.NotFound: if there is no such delivery.
    :raises errors.Conflict: if it still waits to be handled.
    """
    deliveries.replay(connection, delivery_id)
    found = deliveries.find(connection, delivery_id)
    assert found is not None
    entry = audit.Entry(
        action=audit.Action.REPLAY,
        via=by.via,
        actor_id=by.id,
        actor=by.name,
        repository_id=found.repository_id,
        repository=found.repository,
        head_sha=found.head_sha,
        delivery_id=found.id,
    )
    entries.add(connection, entry, now=now)


def start(
    connection: Connection,
    *,
    repository: str,
    ref: str | None,
    inputs: Mapping[str, str],
    new_id: Callable[[], str],
    now: datetime,
    by: audit.Actor,
) -> str:
    """Ask for a build of a branch or tag whose file has `workflow_dispatch`; gives the id of the delivery that asks.

    :param repository: `owner/name`.
    :param ref: a branch, or fully qualified; None for the default branch.
    """
    guid = f"dispatch-{new_id()}"
    place = about.find_repository(connection, repository)
    # Whoever may see the repository may see what they asked for; and what is called so later is not built for it.
    repository_id = None if place is None else place[0]
    body = {"repository": repository, "ref": ref, "inputs": dict(inputs), "actor": by.name, "actor_id": by.id}
    asked = delivery.own(
        event=delivery.DISPATCH,
        guid=guid,
        body=msgspec.json.encode(body),
        repository=repository,
        repository_id=repository_id,
        ordering_key=f"dispatch:{guid}",
        received_at=now,
    )
    deliveries.insert_many(connection, [asked])
    entry = audit.Entry(
        action=audit.Action.START,
        via=by.via,
        actor_id=by.id,
        actor=by.name,
        repository_id=repository_id,
        repository=repository,
        delivery_id=guid,
        detail=f"Of `{ref}`." if ref is not None else None,
    )
    entries.add(connection, entry, now=now)
    return guid


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody had before their eyes who lets a build run: that runs, and nothing else."""

    head_sha: str
    #: Of the plan.
    digest: str


def consent(
    connection: Connection,
    build_id: str,
    *,
    seen: Seen,
    new_id: Callable[[], str],
    now: datetime,
    by: audit.Actor,
) -> str:
    """Ask that a build runs that waits for somebody's consent; gives the id of the delivery that asks.

    Whether they may is decided when that is handled, by what GitHub says then, as with a comment or a button.

    :raises errors.NotFound: if there is no such build.
    :raises errors.Conflict: if it does not wait, is not what they saw, or GitHub does not know who they are.
    """
    waiting = builds.get(connection, build_id)
    if by.id is None or by.name is None:
        raise errors.Conflict("Only somebody whom GitHub knows can let a build run: sign in, or do it on GitHub.")
    if waiting.state != build.State.WAITING or waiting.proposal is None:
        raise errors.Conflict(f"Build {build_id} does not wait for anybody's consent.")
    if seen != Seen(head_sha=waiting.head_sha, digest=waiting.proposal.digest):
        raise errors.Conflict("What would run is not what was shown: load the page again, and look at it.")
    guid = f"consent-{new_id()}"
    body = {
        "build": build_id,
        "head_sha": seen.head_sha,
        "consent": waiting.proposal.consent,
        "sender": {"id": by.id, "login": by.name},
        "repository": {"id": waiting.repository_id, "full_name": waiting.repository},
        "installation": {"id": waiting.installation_id},
    }
    # In one row with what GitHub tells of the pull request: a push that came before is heard before.
    number = waiting.pull_number
    key = f"consent:{build_id}" if number is None else f"pull:{waiting.repository_id}:{number}"
    asked = delivery.own(
        event=delivery.CONSENT,
        guid=guid,
        body=msgspec.json.encode(body),
        repository=waiting.repository,
        repository_id=waiting.repository_id,
        installation_id=waiting.installation_id,
        ordering_key=key,
        received_at=now,
    )
    deliveries.insert_many(connection, [asked])
    return guid


def make_badge_token(connection: Connection, *, repository: str, digest: bytes, now: datetime, by: audit.Actor) -> None:
    """Let who shows a token see a repository's badge and feed; the one before is good for nothing any more.

    :param digest: of the token.
    :raises errors.NotFound: if nothing was ever heard of the repository.
    """
    place = about.find_repository(connection, repository)
    if place is None:
        raise errors.NotFound(f"Nothing was heard of {repository}.")
    repositories.set_badge_digest(connection, place[0], digest, now=now)
    entry = audit.Entry(
        action=audit.Action.BADGE_TOKEN,
        via=by.via,
        actor_id=by.id,
        actor=by.name,
        repository_id=place[0],
        repository=repository,
    )
    entries.add(connection, entry, now=now)


def about_build(made: build.Build, action: audit.Action, *, by: audit.Actor, detail: str | None = None) -> audit.Entry:
    """The entry that somebody did something to a build."""
    return audit.Entry(
        action=action,
        via=by.via,
        actor_id=by.id,
        actor=by.name,
        repository_id=made.repository_id,
        repository=made.repository,
        pull_number=made.pull_number,
        build_id=made.id,
        head_sha=made.head_sha,
        detail=detail,
    )
