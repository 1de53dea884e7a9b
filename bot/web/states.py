"""States as people see them: an icon and a word for each, never a colour alone."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from bot.model import build, delivery, job


class Look(msgspec.Struct, frozen=True):
    """How a state is shown."""

    #: The name of the drawing in `templates/_icon.html`, and of the colour in the style sheet.
    icon: str
    #: For people.
    text: str


_LOOKS: Mapping[str, Look] = {
    "waiting": Look("waiting", "Waiting"),
    "queued": Look("queued", "Queued"),
    "starting": Look("running", "Starting"),
    "running": Look("running", "Running"),
    "passed": Look("passed", "Passed"),
    "failed": Look("failed", "Failed"),
    "errored": Look("errored", "Errored"),
    "cancelled": Look("cancelled", "Cancelled"),
    "timed_out": Look("timed_out", "Timed out"),
    "skipped": Look("skipped", "Skipped"),
    "received": Look("queued", "Received"),
    "handling": Look("running", "Handling"),
    "handled": Look("passed", "Handled"),
    "ignored": Look("skipped", "Ignored"),
    "retrying": Look("waiting", "Retrying"),
    "parked": Look("errored", "Parked"),
    "active": Look("passed", "Active"),
    "silent": Look("errored", "Silent"),
    "disabled": Look("errored", "Disabled"),
    "sending": Look("running", "Sending"),
    "sent": Look("passed", "Sent"),
    "given_up": Look("failed", "Given up"),
}
ICONS = frozenset(look.icon for look in _LOOKS.values())
#: In the order of a filter.
BUILD_STATES = tuple(build.State)
DELIVERY_STATES = tuple(delivery.State)


def look(state: str) -> Look:
    """The look of a build's, job's, step's or delivery's state; an engine's unknown word is shown as it is."""
    return _LOOKS.get(state) or Look("queued", state)


def is_live(made: build.Build) -> bool:
    """Whether a build can still change."""
    return made.state not in build.FINAL


def is_live_job(one: job.Job) -> bool:
    """Whether a job can still change."""
    return one.state not in job.FINAL


def is_live_delivery(one: delivery.Delivery) -> bool:
    """Whether a delivery still has to be worked on."""
    return one.state in delivery.UNFINISHED
