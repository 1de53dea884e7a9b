"""Values with defaults: a test names only the fields it is about."""

from __future__ import annotations

import dataclasses
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec.structs import replace

from bot.model import (
    answer,
    approval,
    artifact,
    audit,
    build,
    check,
    delivery,
    job,
    notification,
    outcome,
    person,
    report,
    secret,
    self_test,
)

#: When everything happens that does not say when.
NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
HEAD_SHA = "6f2c1b7a" * 5
BASE_SHA = "0a1b2c3d" * 5
#: Who asks on this machine.
ACTOR = audit.Actor(via=audit.Via.CLI, name="octo")
REPOSITORY_ID, INSTALLATION_ID, SENDER_ID = 1001, 2002, 3003
_numbers = itertools.count(1)


def new_id() -> str:
    """A ULID: later ones sort behind earlier ones."""
    return f"01J{next(_numbers):023d}"


def new_guid() -> str:
    """A delivery id as GitHub makes them."""
    return f"72d3162e-cc78-11e3-81ab-{next(_numbers):012x}"


def make_verified_delivery(**changes: Any) -> delivery.VerifiedDelivery:
    """A delivery as the door hands it to the inbox."""
    made = delivery.VerifiedDelivery(
        guid=new_guid(),
        hook_id=4242,
        event="push",
        action=None,
        installation_id=INSTALLATION_ID,
        repository_id=REPOSITORY_ID,
        repository="octo/hello",
        ordering_key=f"ref:{REPOSITORY_ID}:refs/heads/main",
        received_at=NOW,
        headers={"content-type": "application/json", "x-github-event": "push"},
        body=b'{"ref":"refs/heads/main"}',
    )
    return msgspec.structs.replace(made, **changes)


def make_delivery(**changes: Any) -> delivery.Delivery:
    """A delivery as stored."""
    made = delivery.Delivery(
        seq=next(_numbers),
        id=new_guid(),
        hook_id=4242,
        event="push",
        action=None,
        installation_id=INSTALLATION_ID,
        repository_id=REPOSITORY_ID,
        repository="octo/hello",
        ordering_key=f"ref:{REPOSITORY_ID}:refs/heads/main",
        received_at=NOW,
        state=delivery.State.RECEIVED,
        headers={"content-type": "application/json", "x-github-event": "push"},
        body=b'{"ref":"refs/heads/main"}',
        size_bytes=25,
    )
    return replace(made, **changes)


def make_build(**changes: Any) -> build.Build:
    """A build of a push to `main`; its cause is new each time."""
    made = build.Build(
        id=new_id(),
        repository_id=REPOSITORY_ID,
        installation_id=INSTALLATION_ID,
        repository="octo/hello",
        event="push",
        ref="refs/heads/main",
        head_sha=HEAD_SHA,
        title="Say hello",
        sender="octo",
        sender_id=SENDER_ID,
        trust=build.Trust.TRUSTED,
        pipeline="hello",
        cause=f"test:{next(_numbers)}",
        created_at=NOW - timedelta(seconds=1),
    )
    return replace(made, **changes)


def make_pull_build(**changes: Any) -> build.Build:
    """A build of a pull request."""
    made = make_build(
        event="pull_request",
        ref="refs/pull/7/merge",
        base_sha=BASE_SHA,
        base_ref="main",
        head_ref="feature",
        pull_number=7,
        title="Greet everybody",
        sender="mona",
    )
    return replace(made, **changes)


def make_problem(**changes: Any) -> build.Problem:
    """A mistake in a pipeline file."""
    made = build.Problem(
        path=".buildhook.yml", line=3, column=5, text="`step` is not known here; did you mean `steps`?"
    )
    return replace(made, **changes)


def make_step(**changes: Any) -> job.Step:
    """A step as planned."""
    return replace(job.Step(name="test", run="pytest"), **changes)


def make_step_result(**changes: Any) -> job.StepResult:
    """What became of the first step."""
    return replace(job.StepResult(index=0, state="passed", started_at=NOW, finished_at=NOW, exit_code=0), **changes)


def make_plan(**changes: Any) -> job.Plan:
    """A job as planned."""
    return replace(job.Plan(key="test", name="test", steps=(make_step(),)), **changes)


def make_job(**changes: Any) -> job.Job:
    """A queued job, the only one of its build."""
    made = job.Job(
        id=new_id(),
        build_id=changes.get("build_id") or new_id(),
        position=0,
        plan=make_plan(),
        check_name="buildhook",
        state=job.State.QUEUED,
        created_at=NOW,
    )
    return replace(made, **changes)


def make_new_build(made: build.Build | None = None, *jobs: job.Job) -> outcome.NewBuild:
    """A build with its jobs, as `store.outcomes.create` takes it; the jobs become the build's own, in this order."""
    made = made or make_build()
    owned = [replace(one, build_id=made.id, position=position) for position, one in enumerate(jobs or (make_job(),))]
    if len(owned) > 1:
        owned = [replace(one, check_name=f"buildhook / {one.plan.name}") for one in owned]
    return outcome.NewBuild(build=made, jobs=tuple(owned))


def make_outcome(**changes: Any) -> outcome.Outcome:
    """A handler's decision."""
    return replace(outcome.Outcome(trail=("The push builds 1 job.",)), **changes)


def make_check(**changes: Any) -> check.Check:
    """A check that GitHub has not seen yet."""
    made = check.Check(
        id=next(_numbers),
        build_id=new_id(),
        job_id=None,
        repository_id=REPOSITORY_ID,
        installation_id=INSTALLATION_ID,
        repository="octo/hello",
        head_sha=HEAD_SHA,
        name="buildhook",
        generation=1,
        external_id=new_id(),
    )
    return replace(made, **changes)


def make_proposal(**changes: Any) -> approval.Proposal:
    """What a build that waits for approval would run."""
    made = approval.Proposal(consent=approval.Consent.APPROVE, jobs=("test",), file_sha=BASE_SHA, digest="0" * 64)
    return replace(made, **changes)


def make_pull(**changes: Any) -> build.Pull:
    """An open pull request."""
    made = build.Pull(
        repository_id=REPOSITORY_ID,
        number=7,
        head_repository_id=REPOSITORY_ID,
        head_ref="feature",
        head_sha=HEAD_SHA,
        base_ref="main",
        base_sha=BASE_SHA,
        author_id=SENDER_ID,
        state="open",
        updated_at=NOW,
    )
    return replace(made, **changes)


def make_installation(**changes: Any) -> build.Installation:
    """An active installation."""
    made = build.Installation(
        id=INSTALLATION_ID, account="octo", state="active", updated_at=NOW, permissions={"checks": "write"}
    )
    return replace(made, **changes)


def make_notification(**changes: Any) -> notification.Notification:
    """A notification that is being sent for the first time."""
    made = notification.Notification(
        seq=next(_numbers),
        id=f"msg_{new_id()}_build_finished",
        subscriber="chat",
        build_id=new_id(),
        event="build.finished",
        data={},
        created_at=NOW,
        state=notification.State.SENDING,
        attempts=1,
    )
    return replace(made, **changes)


def make_entry(**changes: Any) -> answer.Entry:
    """A command that was taken."""
    made = answer.Entry(
        comment_id=next(_numbers),
        sender="octo",
        sender_id=SENDER_ID,
        at=NOW,
        command="/test",
        text="It runs again.",
        is_taken=True,
    )
    return replace(made, **changes)


def make_secret(**changes: Any) -> secret.Secret:
    """A secret of a repository, sealed by nobody."""
    made = secret.Secret(
        repository_id=REPOSITORY_ID,
        repository="octo/hello",
        environment=None,
        name="TOKEN",
        key_id="k1",
        updated_at=NOW,
        updated_by="octo",
        sealed=b"sealed",
    )
    return replace(made, **changes)


def make_wanted(**changes: Any) -> notification.Wanted:
    """A subscriber as the policy has it, for all events."""
    made = notification.Wanted(
        name="chat", origin="https://example.org", url_digest="d" * 64, events=tuple(notification.Event)
    )
    return replace(made, **changes)


def make_answer(*entries: answer.Entry, **changes: Any) -> outcome.Answer:
    """What there is to tell on a pull request."""
    made = outcome.Answer(
        repository_id=REPOSITORY_ID,
        pull_number=7,
        installation_id=INSTALLATION_ID,
        repository="octo/hello",
        entries=entries or (make_entry(),),
    )
    return replace(made, **changes)


def make_audit_entry(**changes: Any) -> audit.Entry:
    """Somebody on this machine cancelled a build."""
    made = audit.Entry(
        action=audit.Action.CANCEL,
        via=audit.Via.CLI,
        actor="octo",
        repository_id=REPOSITORY_ID,
        repository="octo/hello",
    )
    return replace(made, **changes)


def make_case(**changes: Any) -> report.Case:
    """A test that failed."""
    made = report.Case(
        name="test_it",
        classname="tests.test_hello",
        file="tests/test_hello.py",
        line=12,
        state=report.State.FAILED,
        duration_seconds=0.5,
        message="assert 1 == 2",
        details=">       assert 1 == 2\nE       assert 1 == 2\n\ntests/test_hello.py:12: AssertionError",
    )
    return replace(made, **changes)


def make_finding(**changes: Any) -> report.Finding:
    """What a tool found."""
    made = report.Finding(
        tool="ruff", path="src/a.py", line=3, end_line=3, level=check.Level.WARNING, text="`os` is unused", title="F401"
    )
    return replace(made, **changes)


def make_results(*cases: report.Case, **changes: Any) -> report.Results:
    """The results of a job with these test cases, counted."""
    counts = {state.value: sum(one.state is state for one in cases) for state in report.State}
    totals = report.Totals(**counts, duration_seconds=sum(one.duration_seconds or 0.0 for one in cases))
    findings = changes.get("findings", ())
    return replace(report.Results(totals=totals, cases=cases, findings_total=len(findings)), **changes)


def make_artifact(**changes: Any) -> artifact.Artifact:
    """An artifact that is kept as long as its build."""
    made = artifact.Artifact(
        id=new_id(),
        job_id=changes.get("job_id") or new_id(),
        name="wheels",
        size_bytes=2048,
        sha256="0" * 64,
        files=2,
        created_at=NOW,
    )
    return replace(made, **changes)


def make_self_test(**changes: Any) -> self_test.SelfTest:
    """A test of a sandbox that held everything."""
    made = self_test.SelfTest(engine="local", host="worker-1", kernel="6.12.0", tried_at=NOW, held=31)
    return replace(made, **changes)


def make_account(**changes: Any) -> person.Account:
    """Somebody who signed in."""
    made = person.Account(
        user_id=SENDER_ID,
        login="octocat",
        key_id="k1",
        token=b"sealed",
        token_expires_at=NOW + timedelta(hours=8),
        refresh_token=b"sealed too",
        refresh_expires_at=NOW + timedelta(days=180),
    )
    return dataclasses.replace(made, **changes)


def make_sign_in(**changes: Any) -> person.SignIn:
    """A browser that was just signed in with."""
    made = person.SignIn(
        id=new_id(),
        user_id=SENDER_ID,
        created_at=NOW,
        seen_at=NOW,
        expires_at=NOW + person.LONGEST,
        browser="Firefox",
    )
    return replace(made, **changes)


def make_api_token(**changes: Any) -> person.ApiToken:
    """A token that may read and was not used yet."""
    made = person.ApiToken(
        id=new_id(),
        user_id=SENDER_ID,
        name="laptop",
        scopes=(person.Scope.READ,),
        created_at=NOW,
        expires_at=NOW + person.TOKEN,
    )
    return replace(made, **changes)


def make_login(**changes: Any) -> person.Login:
    """Somebody on GitHub's page."""
    made = person.Login(
        state_digest=b"s" * 32,
        browser_digest=b"b" * 32,
        verifier="v" * 43,
        next="/builds/1",
        expires_at=NOW + person.LOGIN,
    )
    return dataclasses.replace(made, **changes)
