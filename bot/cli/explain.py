"""`buildhook explain`: why something was built or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from bot import clock
from bot.builds import explaining, finding
from bot.cli import opening, output
from bot.model import audit, build, delivery
from bot.settings import Settings
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
        output.json(to_json(found))
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


def to_json(found: explaining.Explanation) -> dict[str, Any]:
    """The explanation as programs read it: what comes from outside stands apart."""
    facts = found.facts
    return {
        "kind": found.question.kind,
        "cause": found.cause,
        "advice": found.advice,
        "commits": facts.shas,
        "deliveries": [_delivery_to_json(one) for one in facts.deliveries],
        "builds": [_build_to_json(one) for one in facts.builds],
        "pull": None if facts.pull is None else _pull_to_json(facts.pull),
        "audit": [_entry_to_json(one) for one in facts.entries],
        "untrusted": {"subject": found.question.text, "answer": found.answer},
    }


def _delivery_to_json(one: delivery.Delivery) -> dict[str, Any]:
    outside = ("event", "action", "repository", "reason", "error", "trail")
    own = ("id", "state", "received_at", "handled_at", "next_attempt_at", "attempts", "installation_id")
    return _apart(one, (*own, "repository_id"), outside)


def _build_to_json(one: build.Build) -> dict[str, Any]:
    own = ("id", "event", "state", "trust", "generation", "repository_id", "installation_id", "pull_number", "head_sha")
    more = ("base_sha", "sender_id", "delivery_id", "origin_id", "created_at", "started_at", "finished_at")
    return _apart(one, (*own, *more), ("repository", "ref", "title", "sender", "reason", "problems"))


def _pull_to_json(one: build.Pull) -> dict[str, Any]:
    own = ("repository_id", "number", "head_repository_id", "head_sha", "base_sha", "author_id", "updated_at", "runs")
    return _apart(one, own, ("state", "head_ref", "base_ref"))


def _entry_to_json(one: audit.Stored) -> dict[str, Any]:
    own = ("id", "at", "action", "via", "actor_id", "repository_id", "pull_number", "build_id", "head_sha")
    return _apart(one, (*own, "delivery_id"), ("actor", "repository", "detail"))


def _apart(one: object, own: Sequence[str], outside: Sequence[str]) -> dict[str, Any]:
    return {name: getattr(one, name) for name in own} | {"untrusted": {name: getattr(one, name) for name in outside}}
