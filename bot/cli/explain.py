"""`buildhook explain`: why something was built or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from bot import clock
from bot.builds import explaining, finding
from bot.cli import opening, options, output, remote
from bot.settings import Settings
from bot.shapes import explained
from bot.store import Store

#: Commits that one SHA may mean are a wrong usage: nothing is explained.
_USAGE_STATUS = 2


def explain(
    subject: Annotated[
        str,
        typer.Argument(
            help="A delivery's id, at least 7 digits of a commit's SHA, or a pull request as owner/repo#7.",
            metavar="SUBJECT",
        ),
    ],
    server: remote.Url = None,
    as_json: options.Json = False,
) -> None:
    """Say why something was built or not, and the steps of each decision about it.

    In JSON all that comes from outside (names, errors, sentences that hold them) stands in objects named `untrusted`.

    Example: buildhook explain octo/hello#7
    """
    question = explaining.read(subject)
    if question is None:
        raise typer.BadParameter(explaining.USAGE)

    async def work(store: Store, _settings: Settings) -> explained.Explanation:
        return explained.of_explanation(await store.read(finding.explain, question, now=clock.now()))

    async def ask(there: remote.Server) -> explained.Explanation:
        return await there.get("/explain", explained.Explanation, q=subject)

    found = opening.with_server(server, ask, otherwise=work)
    if as_json:
        output.json(found)
    else:
        for line in lines(found):
            output.console().print(line)
    if found.cause == explaining.Cause.AMBIGUOUS:
        raise typer.Exit(_USAGE_STATUS)


def lines(found: explained.Explanation) -> list[str]:
    """The explanation for a terminal, as markup."""
    shown = [f"[bold]{output.clean(found.untrusted.answer)}[/]", *(f"- {output.clean(one)}" for one in found.advice)]
    shown += found.commits
    for one in found.deliveries:
        said = one.untrusted
        name = said.event + (f".{said.action}" if said.action else "")
        place = f" {said.repository}" if said.repository else ""
        shown += ["", f"Delivery {one.id}: {output.clean(name + place)}, {output.state(one.state)}, {_at(one)}"]
        shown += [f"  {number}. {output.clean(step)}" for number, step in enumerate(_steps(said), 1)]
    if found.builds:
        shown += ["", "Builds, the newest first:"]
        for of in found.builds:
            shown.append(_build_line(of))
            problems = of.untrusted.problems
            shown += [f"    {output.clean(f'{one.path}:{one.line}:{one.column}: {one.text}')}" for one in problems]
    if found.audit:
        shown += ["", "Audit, the newest first:"]
        shown += [_entry_line(one) for one in found.audit]
    return shown


def _steps(said: explained.DeliverySaid) -> Sequence[str]:
    told = said.trail or (() if said.reason is None else (said.reason,))
    return told if said.error is None else (*told, said.error)


def _at(one: explained.ToldDelivery) -> str:
    return f"{one.received_at:%Y-%m-%d %H:%M:%S} UTC"


def _build_line(one: explained.ToldBuild) -> str:
    said = one.untrusted
    ref = f"#{one.pull_number}" if one.pull_number is not None else said.ref
    why = f": {said.reason}" if said.reason else ""
    return f"  {one.id} {output.state(one.state)} {one.head_sha[:7]} {output.clean(f'{said.repository} {ref}{why}')}"


def _entry_line(one: explained.ToldEntry) -> str:
    said = one.untrusted
    who = "somebody" if said.actor is None else said.actor + (f" (id {one.actor_id})" if one.actor_id else "")
    about = next((word for word in (one.build_id, one.delivery_id) if word is not None), "")
    detail = f": {said.detail}" if said.detail else ""
    return f"  {one.at:%Y-%m-%d %H:%M:%S} UTC {output.clean(f'{one.action} by {who} ({one.via}) {about}{detail}')}"
