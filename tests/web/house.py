"""The dashboard on a real store and real logs, with actions that write down what was asked."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import web
from msgspec.structs import replace
from sqlalchemy.engine import Connection

from bot import telemetry
from bot import web as dashboard
from bot.builds import commands
from bot.logs import ArtifactStore, LogStore
from bot.model import artifact, audit, budget, build, delivery, engine, job, outcome, report
from bot.people import proof
from bot.store import (
    Store,
    artifacts,
    budgets,
    builds,
    checks,
    deliveries,
    handler_runs,
    installations,
    jobs,
    notifications,
    outcomes,
    replicas,
    results,
    self_tests,
    subscribers,
)
from bot.store import audit as entries
from bot.visitors import Visitors
from tests import factories

#: A repository, of which all but the name is hostile text.
HOSTILE = "octo/hostile"
#: What a browser says.
HTML = {"Accept": "text/html,application/xhtml+xml"}


@dataclass(kw_only=True)
class House:
    """Everything that a page needs, and the means to fill it."""

    store: Store
    logs: LogStore
    artifacts: ArtifactStore
    app: web.Application
    streams: dashboard.Streams
    readiness: dashboard.Readiness
    metrics: telemetry.Metrics
    #: The clock that pages show ages by.
    now: datetime = factories.NOW + timedelta(minutes=10)
    #: What was asked of the actions, and by whom.
    asked: list[tuple[str, str]] = field(default_factory=list)
    actors: list[audit.Actor] = field(default_factory=list)
    #: What the next action raises.
    refusal: Exception | None = None
    #: What the readiness check says.
    trouble: str | None = None

    async def _act(self, verb: str, id_: str, by: audit.Actor) -> str:
        self.asked.append((verb, id_))
        self.actors.append(by)
        if self.refusal is not None:
            raise self.refusal
        return factories.new_id()

    async def add_build(self, made: build.Build | None = None, *of_build: job.Job) -> outcome.NewBuild:
        """Store a build with its jobs and checks; without jobs it has one."""
        new = factories.make_new_build(made, *of_build)
        await self.store.write(outcomes.create, new, now=factories.NOW)
        return new

    async def add_job(self, *, log: bytes = b"", of: build.Build | None = None, **changes: Any) -> job.Job:
        """Store a build of one job in some state, with its log."""
        made = of or factories.make_build(started_at=factories.NOW)
        new = await self.add_build(made, factories.make_job())
        await self.save_build(made.id, state=build.State.RUNNING)
        one = await self.save_job(new.jobs[0], **{"state": job.State.RUNNING, "started_at": factories.NOW, **changes})
        await self.append(one, log)
        return one

    async def save_job(self, one: job.Job, **changes: Any) -> job.Job:
        """Write a job's new state, plan included: as the scheduler and the follower would."""
        changed = replace(one, **changes)
        await self.store.write(jobs.save, changed)
        return changed

    async def add_results(self, one: job.Job, made: report.Results) -> None:
        """What a job left behind."""
        await self.store.write(results.insert_cases, one, made.cases, repository_id=factories.REPOSITORY_ID)
        await self.store.write(results.insert_findings, one, made.findings)
        await self.store.write(results.insert, one.id, made)

    async def add_artifact(self, one: job.Job, **changes: Any) -> artifact.Artifact:
        """What is kept of a job's files, without its bytes."""
        kept = factories.make_artifact(job_id=one.id, **changes)
        await self.store.write(artifacts.replace_of_job, one.id, [kept])
        return kept

    async def save_build(self, build_id: str, *, state: build.State, reason: str | None = None) -> None:
        """Write a build's verdict."""
        finished_at = factories.NOW + timedelta(seconds=72) if state in build.FINAL else None
        started_at = None if state in (build.State.WAITING, build.State.QUEUED) else factories.NOW
        await self.store.write(
            builds.save_state, build_id, state=state, started_at=started_at, finished_at=finished_at, reason=reason
        )

    async def append(self, one: job.Job, data: bytes) -> None:
        """Add to a job's log."""
        await self.logs.append(one.id, offset_bytes=await self.logs.size(one.id), data=data)

    async def add_delivery(self, **changes: Any) -> delivery.VerifiedDelivery:
        """Store a delivery that nobody handled yet."""
        new = factories.make_verified_delivery(**changes)
        await self.store.write(deliveries.insert_many, [new])
        return new

    async def handle(
        self, new: delivery.VerifiedDelivery, *, decided: outcome.Outcome | None = None, error: str | None = None
    ) -> None:
        """Claim the oldest delivery and finish it, with an outcome or parked with an error."""
        await self.store.write(_handle, guid=new.guid, decided=decided or factories.make_outcome(), error=error)


def _handle(connection: Connection, *, guid: str, decided: outcome.Outcome, error: str | None) -> None:
    claimed: Sequence[delivery.Delivery] = deliveries.claim_next(
        connection, now=factories.NOW, owner="test", lease=timedelta(seconds=30), limit=1
    )
    assert [one.id for one in claimed] == [guid]
    if error is None:
        outcomes.apply(connection, claimed[0], decided, now=factories.NOW)
    else:
        deliveries.fail(connection, claimed[0], error=error, next_attempt_at=None)


async def build_house(
    folder: Path,
    *,
    max_streams: int = 200,
    retention: timedelta | None = None,
    enter: Callable[[Store, Callable[[], datetime]], dashboard.Entry | None] = lambda _store, _now: None,
    visitors: Visitors | None = None,
) -> House:
    """A dashboard over an empty database.

    :param enter: gives how people sign in, from the database and the clock.
    """
    store = await Store(f"sqlite:///{folder / 'b.db'}").open()
    logs = LogStore(folder / "logs")
    kept = ArtifactStore(folder / "artifacts")
    app = web.Application(client_max_size=dashboard.CLIENT_MAX_SIZE_BYTES)
    metrics = telemetry.Metrics()

    async def trouble() -> str | None:
        return house.trouble

    async def measure() -> None:
        backlog = await store.read(deliveries.backlog)
        metrics.inbox_depth.set(backlog.rows)

    async def replay(delivery_id: str, by: audit.Actor) -> None:
        await house._act("replay", delivery_id, by)

    async def cancel(build_id: str, by: audit.Actor) -> None:
        await house._act("cancel", build_id, by)

    async def retry(build_id: str, only_failed: bool, by: audit.Actor) -> str:
        made = await house._act("retry-failed" if only_failed else "retry", build_id, by)
        await house.add_build(factories.make_build(id=made))
        return made

    async def start(repository: str, ref: str | None, inputs: Mapping[str, str], by: audit.Actor) -> str:
        return await house._act("start", f"{repository} {ref} {dict(inputs)}", by)

    async def approve(build_id: str, seen: commands.Seen, by: audit.Actor) -> str:
        return await house._act("approve", f"{build_id} {seen.head_sha} {seen.digest}", by)

    async def make_badge_token(repository: str, by: audit.Actor) -> str:
        await house._act("badge-token", repository, by)
        digest = proof.digest("bhb_made")
        await store.write(commands.make_badge_token, repository=repository, digest=digest, now=house.now, by=by)
        return "bhb_made"

    actions = dashboard.Actions(
        replay=replay,
        cancel=cancel,
        retry=retry,
        start=start,
        approve=approve,
        make_badge_token=make_badge_token,
        once=lambda _: actions,
    )
    readiness = dashboard.Readiness({"db": dashboard.store_check(store), "loops": trouble}, fresh_seconds=0)
    found = enter(store, lambda: house.now)
    streams = dashboard.add_to(
        app,
        store=store,
        logs=logs,
        kept=kept,
        metrics=metrics,
        readiness=readiness,
        actions=actions,
        way=None if found is None else lambda: found,
        engines=lambda: engine.Engines(all=(engine.Engine(name="local", is_default=True),), max_jobs=2),
        refresh_metrics=measure,
        clock=lambda: house.now,
        retention=retention,
        max_streams=max_streams,
        visitors=visitors,
    )

    async def take_webhook(_request: web.Request) -> web.Response:
        return web.json_response({"result": "stored"}, status=202)

    # Where the door's own route will be.
    app.router.add_post("/webhook", take_webhook)
    app.router.add_post("/hooks/{source}", take_webhook)
    house = House(
        store=store, logs=logs, artifacts=kept, app=app, streams=streams, readiness=readiness, metrics=metrics
    )
    return house


async def close_house(house: House) -> None:
    """Let go of files and threads."""
    await house.logs.close()
    await house.store.close()


async def fill_with(house: House, text: str) -> list[str]:
    """Put hostile text into every field that a stranger can write; gives the paths of the pages that show it."""
    one = await house.add_delivery(
        event=text[:60],
        action=text,
        repository=f"octo/{text}",
        headers={text: text, "content-type": "application/json"},
        body=json.dumps({text: text}).encode(),
        ordering_key=text,
    )
    made = factories.make_pull_build(
        title=text,
        repository=f"octo/{text}",
        ref=text,
        head_ref=text,
        base_ref=text,
        sender=text,
        pipeline=text,
        reason=text,
        event=text,
        delivery_id=one.guid,
        problems=(factories.make_problem(path=text, text=text),),
    )
    plan = factories.make_plan(key=text, name=text, needs=(text,), steps=(factories.make_step(name=text, run=text),))
    job_new = factories.make_job(plan=plan, reason=text, engine=text, cancel_reason=text, check_name=text[:200])
    await house.handle(
        one,
        decided=factories.make_outcome(trail=(text, text), builds=(factories.make_new_build(made, job_new),)),
    )
    data = f"{text}\n".encode()
    await house.save_job(
        replace(job_new, build_id=made.id),
        state=job.State.FAILED,
        reason=text,
        cancel_requested_at=factories.NOW,
        steps=(factories.make_step_result(state="failed", exit_code=1, log_end_bytes=len(data)),),
    )
    await house.append(job_new, data)
    await house.add_results(
        replace(job_new, build_id=made.id),
        factories.make_results(
            factories.make_case(name=text, classname=text, file=text, message=text, details=text),
            summary=text,
            problems=(text,),
        ),
    )
    claimed = await house.store.write(
        checks.claim_stale, now=house.now, owner="test", lease=timedelta(seconds=9), limit=9
    )
    await house.store.write(checks.fail, claimed[0], error=text, next_attempt_at=house.now)
    stored = await house.store.read(deliveries.find, one.guid)
    assert stored is not None
    await house.store.write(handler_runs.hand_on, {stored.seq: [text]}, now=house.now)
    (run,) = await house.store.write(
        handler_runs.claim_due, most={text: 9}, now=house.now, owner="test", lease=timedelta(seconds=9)
    )
    await house.store.write(handler_runs.put_off, run, at=house.now, error=text, is_counted=True)
    parked = await house.add_delivery(ordering_key=text)
    await house.handle(parked, error=text)
    await house.store.write(installations.save, factories.make_installation(account=text))
    await house.store.write(subscribers.keep, [factories.make_wanted(name=text, origin=text)], now=house.now)
    await house.add_build(factories.make_build(state=build.State.SKIPPED, head_sha="e" * 40))
    (told,) = await house.store.write(
        notifications.claim_due, most={text: 9}, now=house.now, owner="test", lease=timedelta(seconds=9)
    )
    await house.store.write(notifications.fail, told, status=None, error=text, next_attempt_at=house.now, now=house.now)
    await house.store.write(subscribers.disable, text, reason=text, now=house.now)
    wait = budget.Wait(seconds=60, text=text)
    await house.store.write(budgets.block, factories.INSTALLATION_ID, wait, now=house.now)
    entry = factories.make_audit_entry(
        actor=text,
        repository=f"octo/{text}",
        detail=text,
        build_id=made.id,
        delivery_id=one.guid,
        head_sha=factories.HEAD_SHA,
    )
    await house.store.write(entries.add, entry, now=factories.NOW)
    asked = factories.make_pull_build(
        title=text,
        repository=f"octo/{text}",
        head_ref=text,
        base_ref=text,
        head_sha="a" * 40,
        reason=text,
        state=build.State.WAITING,
        proposal=factories.make_proposal(jobs=(text,), changes=(text,), remark=text),
    )
    await house.add_build(asked, factories.make_job(plan=plan, reason=text, engine=text))
    await house.add_job(
        of=factories.make_build(title=text, repository=f"octo/{text}", head_sha="b" * 40), engine=text, plan=plan
    )
    drawn = factories.make_build(title=text, head_sha="c" * 40, started_at=factories.NOW)
    last = factories.make_plan(key="last", name=f"last {text}", needs=(text,))
    its_jobs = [
        factories.make_job(plan=one, state=job.State.FAILED, started_at=at, finished_at=at, reason=text)
        for one, at in ((plan, factories.NOW), (last, house.now))
    ]
    await house.add_build(drawn, *its_jobs)
    for one_of in its_jobs:
        await house.save_job(replace(one_of, build_id=drawn.id))
    for number, changes in enumerate(({"ref": f"refs/heads/{text}"}, {"ref": f"refs/heads/{text}"}, {})):
        one_more = factories.make_pull_build(
            title=text,
            repository=HOSTILE,
            head_ref=text,
            pull_number=None if changes else 9,
            head_sha=f"{number:040x}",
            payload={"repository": {"default_branch": text}},
            **changes,
        )
        (of_it,) = (await house.add_build(one_more, factories.make_job(plan=plan, check_name=text[:200]))).jobs
        await house.save_build(one_more.id, state=build.State.FAILED, reason=text)
    case = factories.make_case(name=text, classname=text, file=text, message=text, details=text)
    await house.add_results(of_it, factories.make_results(case))
    await house.add_artifact(of_it, name=text[:100])
    tested = factories.make_self_test(host=text, kernel=text, escaped=(text,), untried=(text,))
    await house.store.write(self_tests.save, tested)
    await house.store.write(replicas.start, replica_id="r", name=text, now=house.now, is_only=True)
    return [
        *("/queue", "/engines", f"/builds/{asked.id}", f"/builds/{drawn.id}", f"/repos/{HOSTILE}"),
        *(f"/jobs/{of_it.id}/tests", f"/repos/{HOSTILE}/tests/{results.digest(case).hex()}"),
        f"/repos/{HOSTILE}/artifacts",
        *("/audit", f"/explain?q={factories.HEAD_SHA}", f"/explain?q={parked.guid}"),
        *("/", "/deliveries", "/budget", "/subscribers", f"/builds/{made.id}", f"/jobs/{job_new.id}"),
        *(f"/deliveries/{one.guid}", f"/deliveries/{parked.guid}"),
    ]
