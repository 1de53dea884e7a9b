"""`buildhook subscribers`: who hears of builds, and sending again to one that was given up."""

from __future__ import annotations

from typing import Annotated

import typer

from bot import clock
from bot.cli import options, output
from bot.cli.opening import with_store
from bot.model import notification
from bot.settings import Settings
from bot.store import Store, notifications, subscribers

app = typer.Typer(help="Who hears of builds, and sending again to one that was given up.")


@app.command("list")
def list_(as_json: options.Json = False) -> None:
    """List the subscribers of the policy file, as the service that runs has read it.

    Example: buildhook subscribers list
    """

    async def work(store: Store, _settings: Settings) -> tuple[list[notification.Subscriber], dict[str, int]]:
        return await store.read(subscribers.list_all), await store.read(notifications.count_unsent)

    found, unsent = with_store(work)
    if as_json:
        output.json(
            [
                {
                    "name": one.name,
                    "origin": one.origin,
                    "events": one.events,
                    "state": one.state,
                    "reason": one.reason,
                    "failing_since": one.failing_since,
                    "unsent": unsent.get(one.name, 0),
                }
                for one in found
            ]
        )
        return
    rows = [
        (
            one.name,
            output.state(one.state),
            output.clean(one.origin),
            str(unsent.get(one.name, 0)),
            output.ago(one.failing_since) if one.failing_since is not None else "-",
            output.clean(one.reason or ""),
        )
        for one in found
    ]
    output.table(("name", "state", "at", "unsent", "failing since", "why"), rows, empty="No subscribers.")


@app.command()
def enable(
    name: Annotated[str, typer.Argument(help="The subscriber's name in the policy file.", metavar="NAME")],
    as_json: options.Json = False,
) -> None:
    """Send to a subscriber again that said it was gone or failed for days. What it missed is not sent.

    Example: buildhook subscribers enable chat
    """

    async def work(store: Store, _settings: Settings) -> None:
        await store.write(subscribers.enable, name, now=clock.now())

    with_store(work)
    if as_json:
        output.json({"name": name, "state": notification.SubscriberState.ACTIVE})
    else:
        output.console().print(f"Subscriber {output.clean(name)} hears of builds again.")
