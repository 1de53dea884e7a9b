"""The work behind the door: all that needs the App's credentials; it starts when they are there, and anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

from bot import engines, events, keyring, ledger, policy, setup, telemetry
from bot.builds import follower, overdue, quotas, request, restored, scheduler, secrecy, source, sweeper, timer
from bot.checks import answering, reporter, restoring
from bot.engines import choice, contract
from bot.events import context, dispatcher, reconciling
from bot.github import GitHub
from bot.logs import Storage
from bot.model import build, delivery, job, trace
from bot.plugins import loading, runner
from bot.replica import Replica
from bot.settings import Settings
from bot.store import Store, hints
from bot.subscribers import sender
from bot.tracing import sender as tracing
from bot.webhooks import inbox, intake, recovery

#: How long a hint of the database is kept: whoever made the work mostly takes it too, and many hints become one look.
HINT_SECONDS = 0.05


class Work:
    """The loops that handle deliveries, run builds and report them, and what they share."""

    def __init__(
        self,
        settings: Settings,
        *,
        rules: policy.Policy,
        handlers: loading.Handlers,
        store: Store,
        storage: Storage,
        metrics: telemetry.Metrics,
        replica: Replica,
        new_id: Callable[[], str],
        details_url: Callable[[str, str], str],
        decided_url: Callable[[build.Build], str | None],
        taking: inbox.Inbox,
        exporter: tracing.Exporter | None,
    ) -> None:
        """:param exporter: takes the traces of builds that ended; None where nobody wants them."""
        assert settings.app_id is not None
        assert settings.private_key is not None
        self._ledger = ledger.Ledger(store, now=replica.now)
        self._github = GitHub(
            api_url=settings.github_api_url,
            github_url=settings.github_url,
            app_id=settings.app_id,
            private_key=settings.private_key.get_secret_value(),
            metrics=metrics,
            ledger=self._ledger,
        )
        choose = choice.Choice(
            default=settings.engine, labels={name: one.labels for name, one in rules.engines.items()}
        )
        self._engine: contract.Engine = engines.load_all(
            choose.names, data_dir=settings.data_dir, setup=setup.of(settings, rules)
        )
        #: Hints that are kept at the moment.
        self._told: set[str] = set()
        self._store = store
        self._policy = rules
        self._sources = source.Sources(store, github=self._github, now=replica.now, new_id=new_id)
        self._secrecy = secrecy.Secrecy(
            store, github=self._github, load_keys=partial(keyring.load, settings), rules=rules.trust
        )
        self._new_id = new_id
        self._now = replica.now
        self._reporter = reporter.Reporter(
            store,
            github=self._github,
            logs=storage.logs,
            details_url=details_url,
            decided_url=decided_url,
            metrics=metrics,
            owner=replica.id,
            now=replica.now,
        )
        self._sender = sender.Sender(
            store,
            to=rules.subscribers,
            details_url=details_url,
            metrics=metrics,
            owner=replica.id,
            now=replica.now,
            besides=[tracing.wanted(settings.collectors.get("traces", ""))] if exporter is not None else [],
        )
        self._exporter = exporter
        self._tracing = None
        if exporter is not None:
            self._tracing = tracing.Sender(
                store,
                exporter=exporter,
                web_url=self._github.urls.web,
                details_url=details_url,
                metrics=metrics,
                owner=replica.id,
                now=replica.now,
            )
        self._answering = answering.Answering(
            store,
            github=self._github,
            logs=storage.logs,
            details_url=details_url,
            owner=replica.id,
            now=replica.now,
        )
        following = follower.Follower(
            store,
            engine=self._engine,
            logs=storage.logs,
            kept=storage.artifacts,
            new_id=new_id,
            metrics=metrics,
            on_change=self._wake_reporting,
            now=replica.now,
            most_bytes=rules.quotas.storage_bytes,
        )
        self.scheduler = scheduler.Scheduler(
            store,
            engine=self._engine,
            following=following,
            choose=choose.of,
            request=self._request,
            max_jobs=settings.max_jobs,
            quota=quotas.Quotas(rules.quotas),
            metrics=metrics,
            owner=replica.id,
            on_change=self._wake_reporting,
            now=replica.now,
        )
        self._runner = runner.Runner(
            store, handlers=handlers, github=self._github, metrics=metrics, owner=replica.id, now=replica.now
        )
        self._restoring = restoring.Restoring(
            store,
            github=self._github,
            end_running=lambda reason: restored.end_running(store, self._engine, reason=reason, now=replica.now),
            end_jobs=restored.end_jobs,
            owner=replica.id,
            now=replica.now,
        )
        self.dispatcher = dispatcher.Dispatcher(
            store,
            router=events.make_router(),
            context=self._context,
            metrics=metrics,
            owner=replica.id,
            on_applied=self._wake_applied,
            now=replica.now,
            why_done=self._restoring.why_done,
            hand_on=handlers.candidates,
        )
        self._overdue = overdue.Overdue(store, owner=replica.id, on_change=self._wake_reporting, now=replica.now)
        self._timer = timer.Timer(store, on_due=lambda: self.dispatcher.wake(), now=replica.now)
        retention = timedelta(days=settings.retention_days)
        self._sweeper = sweeper.Sweeper(
            store,
            engine=self._engine,
            storage=storage,
            retention=retention,
            owner=replica.id,
            now=replica.now,
        )
        other_way = intake.Intake(taking, app_id=settings.app_id, now=replica.now)
        self._recovery = recovery.Recovery(
            store,
            github=self._github,
            intake=other_way,
            metrics=metrics,
            owner=replica.id,
            now=replica.now,
            retention=retention,
        )
        self._reconciler = reconciling.Reconciler(
            store,
            github=self._github,
            take=partial(other_way.take, source="state"),
            metrics=metrics,
            owner=replica.id,
            now=replica.now,
            after=self._recovery.settled,
        )

    async def open(self) -> None:
        """Open the connections to GitHub and the engine."""
        await self._ledger.look()
        await self._github.open()
        await self._engine.open()

    async def close(self) -> None:
        """Let go of both; jobs on the engine go on."""
        self._sender.close()
        await self._runner.close()
        await self._engine.close()
        await self._github.close()

    async def run(self) -> None:
        """Run the loops until cancelled; after a restore not before it is compared with GitHub."""
        await self._restoring.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self.dispatcher.run(), name="dispatcher")
            group.create_task(self.scheduler.run(), name="scheduler")
            group.create_task(self._reporter.run(), name="reporter")
            group.create_task(self._runner.run(), name="handlers")
            group.create_task(self._sender.run(), name="sender")
            if self._tracing is not None:
                group.create_task(self._tracing.run(), name="tracing")
            group.create_task(self._answering.run(), name="answering")
            group.create_task(self._ledger.run(), name="ledger")
            group.create_task(self._overdue.run(), name="overdue")
            group.create_task(self._timer.run(), name="timer")
            group.create_task(self._sweeper.run(), name="sweeper")
            group.create_task(self._recovery.run(), name="recovery")
            group.create_task(self._reconciler.run(), name="reconciler")

    def take_hint(self, word: str) -> None:
        """A replica made work of this kind, or of any (`*`)."""
        if word in (hints.Word.BUDGETS, "*"):
            self._ledger.wake()
        if word not in self._told:
            self._told.add(word)
            asyncio.get_running_loop().call_later(HINT_SECONDS, self._pass_on, word)

    def _pass_on(self, word: str) -> None:
        self._told.discard(word)
        for known, wake in (
            (hints.Word.DELIVERIES, self.dispatcher.wake),
            (hints.Word.JOBS, self.scheduler.wake),
            (hints.Word.CHECKS, self._reporter.wake),
            (hints.Word.NOTIFICATIONS, self._wake_senders),
            (hints.Word.HANDLERS, self._runner.wake),
            (hints.Word.ANSWERS, self._answering.wake),
        ):
            if word in (known, "*"):
                wake()

    def _wake_applied(self) -> None:
        """A delivery is settled: builds may start, people are answered, and users' own handlers get it."""
        # It starts what it can and then wakes the reporter, so that a job's first check shows it running.
        self.scheduler.wake()
        self._answering.wake()
        self._runner.wake()
        self._wake_senders()

    def _wake_reporting(self) -> None:
        """A build moved: GitHub is told, and whoever else wants to hear of it."""
        self._reporter.wake()
        self._wake_senders()

    def _wake_senders(self) -> None:
        self._sender.wake()
        if self._tracing is not None:
            self._tracing.wake()

    def _context(self, one: delivery.Delivery) -> context.Context:
        return context.Context(
            delivery=one,
            github=self._github,
            store=self._store,
            now=self._now,
            new_id=self._new_id,
            policy=self._policy,
        )

    def _request(self, one: job.Job, of: build.Build, needs: Mapping[str, Any]) -> contract.JobRequest:
        at = self._github.urls
        return request.make(
            one,
            of,
            needs=needs,
            source=self._sources.of(of),
            secrets=self._secrecy.of(one, of),
            rules=self._policy.images,
            server_url=at.web,
            api_url=at.api,
            is_sampled=self._exporter is None or self._exporter.is_sampled(trace.trace_id(of.id)),
        )
