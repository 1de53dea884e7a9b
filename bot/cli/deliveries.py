"""`buildhook deliveries`: what GitHub sent, what was decided, handling it again, and getting what is missing."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer

from bot import clock, errors, identity, telemetry
from bot.builds import commands
from bot.cli import opening, options, output, remote
from bot.github import GitHub
from bot.model import audit, delivery
from bot.settings import Settings
from bot.shapes import delivered, listed
from bot.shapes.shape import taken
from bot.store import Store, builds, deliveries, handler_runs, inbox_list, known, replicas
from bot.store import audit as entries
from bot.webhooks import inbox, intake, recovery

#: A redelivery that a running service does not get by then is fetched instead.
REDELIVERY_SECONDS = 60.0
_DURATION = re.compile(r"([0-9]{1,5})([mhd])", re.ASCII)
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}
app = typer.Typer(help="What GitHub sent, what was decided, handling it again, and getting what is missing.")
DeliveryId = Annotated[str, typer.Argument(help="The delivery's id, as GitHub's pages show it.", metavar="ID")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 20,
    state: Annotated[delivery.State | None, typer.Option(help="Only those in this state.")] = None,
    event: Annotated[str | None, typer.Option(help="Only this event.")] = None,
    repo: Annotated[str | None, typer.Option(help="Only this repository, as owner/name.")] = None,
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """List deliveries, newest first.

    Example: buildhook deliveries list --state parked
    """

    async def work(store: Store, _settings: Settings) -> list[delivered.Delivery]:
        found = await store.read(inbox_list.list_newest, limit=limit, state=state, event=event, repository=repo)
        return [delivered.of_delivery(one) for one in found]

    async def ask(there: remote.Server) -> list[delivered.Delivery]:
        return await there.some(
            "/deliveries", listed.Deliveries, limit=limit, state=state, event=event, repository=repo
        )

    found = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(found)
        return
    rows = [
        (
            one.id,
            output.state(one.state),
            output.clean(one.event + (f".{one.action}" if one.action else "")),
            output.clean(one.repository or "-"),
            output.ago(one.received_at),
            output.clean(one.error or one.reason or ""),
        )
        for one in found
    ]
    output.table(("id", "state", "event", "repository", "received", "why"), rows, empty="No deliveries yet.")


@app.command()
def show(delivery_id: DeliveryId, server: remote.Url = None, as_json: options.Json = False) -> None:
    """Show one delivery: its headers, the trail of its decision, the builds that it made, and what your handlers did.

    Example: buildhook deliveries show 72d3162e-cc78-11e3-81ab-4c9367dc0958
    """

    async def work(store: Store, _settings: Settings) -> delivered.WholeDelivery:
        found = await store.read(deliveries.find, delivery_id)
        if found is None:
            raise errors.NotFound(f"There is no delivery {delivery_id}.")
        made = [one.id for one in await store.read(builds.list_of_delivery, delivery_id)]
        return delivered.of_whole(found, made=made, runs=await store.read(handler_runs.list_of_delivery, found.seq))

    async def ask(there: remote.Server) -> delivered.WholeDelivery:
        path = f"/deliveries/{remote.part_of(delivery_id)}"
        shown = await there.get(path, delivered.ShownDelivery)
        return taken(delivered.WholeDelivery, shown, payload=await there.get(f"{path}/payload", msgspec.Raw))

    found = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(found)
        return
    output.facts(
        {
            "delivery": found.id,
            "event": output.clean(found.event + (f".{found.action}" if found.action else "")),
            "repository": output.clean(found.repository) if found.repository else None,
            "received": found.received_at.isoformat(),
            "state": output.state(found.state),
            "attempts": str(found.attempts),
            "source": output.clean(found.headers[delivery.SOURCE]) if delivery.SOURCE in found.headers else None,
            "error": output.clean(found.error) if found.error else None,
            "builds": " ".join(found.builds) or None,
        }
    )
    for number, sentence in enumerate(found.trail, 1):
        output.console().print(f"  {number}. {output.clean(sentence)}")
    for one in found.handlers:
        why = f": {output.clean(one.error)}" if one.error else ""
        output.console().print(f"  {output.clean(one.handler)} {output.state(one.state)}{why}")


@app.command()
def replay(delivery_id: DeliveryId, server: remote.Url = None, as_json: options.Json = False) -> None:
    """Handle a delivery again. What it already did is not done twice.

    Example: buildhook deliveries replay 72d3162e-cc78-11e3-81ab-4c9367dc0958
    """

    async def work(store: Store, _settings: Settings) -> delivered.Replaying:
        await store.write(commands.replay, delivery_id, now=clock.now(), by=opening.actor())
        return delivered.Replaying(id=delivery_id)

    async def ask(there: remote.Server) -> delivered.Replaying:
        return await there.post(f"/deliveries/{remote.part_of(delivery_id)}/replay", {}, delivered.Replaying)

    asked = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(asked)
    else:
        output.console().print(f"Delivery {output.clean(delivery_id)} is queued: `buildhook serve` handles it.")


@app.command()
def recover(
    since: Annotated[
        str, typer.Option(help="From when on: 30m, 2h or 3d ago, or an instant such as 2026-03-04T05:06:07Z.")
    ] = "3d",
    as_json: options.Json = False,
) -> None:
    """Get what GitHub could not deliver, and what it delivered and a restored database no longer has.

    A service that runs is sent it again; where none runs it is fetched, and handled at the next start.

    Example: buildhook deliveries recover --since 2h
    """
    begin_at = _instant(since)
    telemetry.configure_logs(level="error", is_terminal=None)

    async def work(store: Store, settings: Settings) -> list[recovery.Done]:
        async with _recovering(store, settings) as (asking, fetching):
            await store.write(entries.add, _wish(begin_at), now=clock.now())
            return await _recover(store, asking, fetching, since=begin_at)

    done = opening.with_store(work)
    if as_json:
        output.json([{"id": one.guid, "event": one.event, "outcome": one.outcome, "why": one.text} for one in done])
        return
    rows = [(one.guid, output.clean(one.event), one.outcome, output.clean(one.text)) for one in done]
    output.table(("id", "event", "outcome", "why"), rows, empty="Nothing is missing.")


def _wish(since: datetime) -> audit.Entry:
    by = opening.actor()
    detail = f"What is missing since {since:%Y-%m-%d %H:%M:%S} UTC."
    return audit.Entry(action=audit.Action.RECOVER, via=by.via, actor=by.name, detail=detail)


def _instant(since: str) -> datetime:
    match = _DURATION.fullmatch(since)
    if match is not None:
        return clock.now() - int(match[1]) * _UNITS[match[2]]
    try:
        at = datetime.fromisoformat(since)
    except ValueError:
        raise typer.BadParameter("write 30m, 2h, 3d, or an instant such as 2026-03-04T05:06:07Z") from None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


@contextlib.asynccontextmanager
async def _recovering(
    store: Store, settings: Settings
) -> AsyncIterator[tuple[recovery.Recovery | None, recovery.Recovery]]:
    """What asks for redeliveries, where a service runs to take them, and what fetches."""
    if settings.app_id is None or settings.private_key is None:
        raise errors.SettingsError("BUILDHOOK_APP_ID, BUILDHOOK_PRIVATE_KEY: GitHub is asked as the App, so set both.")
    metrics, app_id, owner = telemetry.Metrics(), settings.app_id, identity.Ids()()
    box = inbox.Inbox(store, metrics=metrics, on_stored=lambda _: None)
    await box.open()
    github = GitHub(
        api_url=settings.github_api_url,
        github_url=settings.github_url,
        app_id=app_id,
        private_key=settings.private_key.get_secret_value(),
        metrics=metrics,
    )

    def make(*, may_redeliver: bool) -> recovery.Recovery:
        return recovery.Recovery(
            store,
            github=github,
            intake=intake.Intake(box, app_id=app_id, now=clock.now),
            metrics=metrics,
            owner=owner,
            now=clock.now,
            retention=timedelta(days=settings.retention_days),
            may_redeliver=may_redeliver,
            doubt_seconds=2.0,
        )

    is_served = any(one.lease_until > clock.now() for one in await store.read(replicas.list_all))
    async with github:
        committing = asyncio.create_task(box.run())
        try:
            yield make(may_redeliver=True) if is_served else None, make(may_redeliver=False)
        finally:
            committing.cancel()
            await asyncio.wait({committing})


async def _recover(
    store: Store, asking: recovery.Recovery | None, fetching: recovery.Recovery, *, since: datetime
) -> list[recovery.Done]:
    done: dict[str, recovery.Done] = {}
    is_begun = False
    give_up_at = time.monotonic() + REDELIVERY_SECONDS
    while True:
        is_late = time.monotonic() >= give_up_at
        using = fetching if asking is None or is_late else asking
        found = await using.recover(reads_list=not is_begun, since=None if is_begun else since)
        if found is None and is_late:
            raise errors.Conflict("A service gets what is missing right now: try again.")
        is_begun = is_begun or found is not None
        done |= {one.guid: one for one in found or ()}
        if is_begun and (not using.missing or (using is fetching and not found)):
            break
        await asyncio.sleep(0.2)
    # The service may have seen them come before we did.
    there = await store.read(known.guids, set(done))
    return [recovery.arrived(one) if one.outcome == "asked" and one.guid in there else one for one in done.values()]
