"""`buildhook deliveries`: what GitHub sent, what was decided, and handling it again."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
import typer

from bot import errors
from bot.cli import opening, output
from bot.model import delivery
from bot.settings import Settings
from bot.store import Store, builds, deliveries

app = typer.Typer(help="What GitHub sent, what was decided, and handling it again.")
DeliveryId = Annotated[str, typer.Argument(help="The delivery's id, as GitHub's pages show it.", metavar="ID")]


@app.command("list")
def list_(
    limit: Annotated[int, typer.Option(help="How many, newest first.", min=1, max=10_000)] = 20,
    state: Annotated[delivery.State | None, typer.Option(help="Only those in this state.")] = None,
    event: Annotated[str | None, typer.Option(help="Only this event.")] = None,
    repo: Annotated[str | None, typer.Option(help="Only this repository, as owner/name.")] = None,
    as_json: output.Json = False,
) -> None:
    """List deliveries, newest first.

    Example: buildhook deliveries list --state parked
    """

    async def work(store: Store, _settings: Settings) -> list[delivery.Delivery]:
        return await store.read(deliveries.list_newest, limit=limit, state=state, event=event, repository=repo)

    found = opening.with_store(work)
    if as_json:
        output.json([to_json(one) for one in found])
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
def show(delivery_id: DeliveryId, as_json: output.Json = False) -> None:
    """Show one delivery: its headers, the trail of its decision, and the builds that it made.

    Example: buildhook deliveries show 72d3162e-cc78-11e3-81ab-4c9367dc0958
    """

    async def work(store: Store, _settings: Settings) -> tuple[delivery.Delivery, list[str]]:
        found = await store.read(deliveries.find, delivery_id)
        if found is None:
            raise errors.NotFound(f"There is no delivery {delivery_id}.")
        return found, [one.id for one in await store.read(builds.list_of_delivery, delivery_id)]

    found, made = opening.with_store(work)
    if as_json:
        payload = msgspec.Raw(delivery.payload(headers=found.headers, body=found.body))
        whole = {"headers": found.headers, "trail": found.trail, "builds": made, "payload": payload}
        output.json({**to_json(found), **whole})
        return
    output.facts(
        {
            "delivery": found.id,
            "event": output.clean(found.event + (f".{found.action}" if found.action else "")),
            "repository": output.clean(found.repository) if found.repository else None,
            "received": found.received_at.isoformat(),
            "state": output.state(found.state),
            "attempts": str(found.attempts),
            "error": output.clean(found.error) if found.error else None,
            "builds": " ".join(made) or None,
        }
    )
    for number, sentence in enumerate(found.trail, 1):
        output.console().print(f"  {number}. {output.clean(sentence)}")


@app.command()
def replay(delivery_id: DeliveryId, as_json: output.Json = False) -> None:
    """Handle a delivery again. What it already did is not done twice.

    Example: buildhook deliveries replay 72d3162e-cc78-11e3-81ab-4c9367dc0958
    """

    async def work(store: Store, _settings: Settings) -> None:
        await store.write(deliveries.replay, delivery_id)

    opening.with_store(work)
    if as_json:
        output.json({"id": delivery_id, "state": delivery.State.RECEIVED})
    else:
        output.console().print(f"Delivery {output.clean(delivery_id)} is queued: `buildhook serve` handles it.")


def to_json(one: delivery.Delivery) -> dict[str, Any]:
    """A delivery as programs read it."""
    return {
        "id": one.id,
        "event": one.event,
        "action": one.action,
        "repository": one.repository,
        "received_at": one.received_at,
        "state": one.state,
        "reason": one.reason,
        "error": one.error,
        "attempts": one.attempts,
    }
