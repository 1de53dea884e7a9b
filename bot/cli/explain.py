"""`buildhook explain`: why something was built or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from bot import clock
from bot.builds import explaining, finding
from bot.cli import opening, output
from bot.model import audit, build, delivery
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
    as_json: output.Json = False,
) -> None:
    """Say why something was built or not, and the steps of each decision about it.

    In JSON all that comes from outside (names, errors, sentences that hold them) stands in objects named `untrusted`.

    Example: buildhook explain octo/hello#7
    """
    question = explaining.read(subject)
    if question is None:
        raise typer.BadParameter(explaining.USAGE)

    async def work(store: Store, _settings: Settings) -> explaining.Explanation:
        return await store.read(finding.explain, question, now=clock.now())

    found = opening.with_store(work)
    if as_json:
        output.json(explained.of_explanation(found))
    else:
        for line in lines(found):
            output.console().print(line)
    if found.cause == explaining.Cause.AMBIGUOUS:
        raise typer.Exit(_USAGE_STATUS)


def lines(found: explaining.Explanation) -> list[str]:
    """The explanation for a terminal, as markup."""
    facts = found.facts
    shown = [f"[bold]{output.clean(found.answer)}[/]", *(f"- {output.clean(one)}" for one in found.advice)]
    shown += facts.shas
    for one in facts.deliveries:
        name = one.event + (f".{one.action}" if one.action else "")
        place = f" {one.repository}" if one.repository else ""
        shown += ["", f"Delivery {one.id}: {output.clean(name + place)}, {output.state(one.state)}, {_at(one)}"]
        shown += [f"  {number}. {output.clean(step)}" for number, step in enumerate(_steps(one), 1)]
    if facts.builds:
        shown += ["", "Builds, the newest first:"]
        for of in facts.builds:
            shown.append(_build_line(of))
            shown += [f"    {output.clean(f'{one.path}:{one.line}:{one.column}: {one.text}')}" for one in of.problems]
    if facts.entries:
        shown += ["", "Audit, the newest first:"]
        shown += [_entry_line(one) for one in facts.entries]
    return shown


def _steps(one: delivery.Delivery) -> Sequence[str]:
    told = one.trail or (() if one.reason is None else (one.reason,))
    return told if one.error is None else (*told, one.error)


def _at(one: delivery.Delivery) -> str:
    return f"{one.received_at:%Y-%m-%d %H:%M:%S} UTC"


def _build_line(one: build.Build) -> str:
    ref = f"#{one.pull_number}" if one.pull_number is not None else one.ref
    why = f": {one.reason}" if one.reason else ""
    return f"  {one.id} {output.state(one.state)} {one.head_sha[:7]} {output.clean(f'{one.repository} {ref}{why}')}"


def _entry_line(one: audit.Stored) -> str:
    who = "somebody" if one.actor is None else one.actor + (f" (id {one.actor_id})" if one.actor_id else "")
    about = next((word for word in (one.build_id, one.delivery_id) if word is not None), "")
    detail = f": {one.detail}" if one.detail else ""
    return f"  {one.at:%Y-%m-%d %H:%M:%S} UTC {output.clean(f'{one.action} by {who} ({one.via}) {about}{detail}')}"
