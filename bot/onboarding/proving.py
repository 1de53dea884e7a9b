"""Whether the webhook arrives: GitHub is asked to send its ping, and our door has to take it and prove it genuine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from bot import errors
from bot.github import GitHub
from bot.github.deliveries import MENDING, Attempt

#: How long the ping is waited for: GitHub gives a delivery ten seconds.
PATIENCE_SECONDS = 12.0
#: How often GitHub is asked whether it sent one already.
LOOK_SECONDS = 1.0
_PING = "ping"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the self-test says."""

    #: Whether a delivery of GitHub's came in and was proved with the webhook's secret.
    is_proved: bool
    #: What was seen, as a sentence.
    text: str
    #: What to do about it; empty where nothing has to be done.
    mend: str = ""


PROVED = Verdict(
    is_proved=True,
    text="GitHub's ping arrived at the webhook, and its signature proves that it is genuine.",
)


class Pings:
    """Whether a ping came in at our door, with a signature that was proved."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def hear(self, event: str) -> None:
        """A delivery of this event was taken at our door. What the App asked the API for itself does not come there."""
        if event == _PING:
            self._came.set()

    @property
    def is_any(self) -> bool:
        """Whether one came."""
        return self._came.is_set()

    async def wait(self, seconds: float) -> bool:
        """Wait for one, at most for so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return False
        return True


async def prove(
    github: GitHub,
    pings: Pings,
    *,
    webhook_url: str | None,
    patience_seconds: float = PATIENCE_SECONDS,
    clock: Callable[[], float] | None = None,
) -> Verdict:
    """Have GitHub send its ping once more, and wait for it.

    GitHub sent the first one when the App was made, before we could know the secret that it is signed with.
    """
    now = clock or asyncio.get_running_loop().time
    until = now() + patience_seconds
    asked: Attempt | None = None
    try:
        while not pings.is_any and (left := until - now()) > 0:
            if asked is None and (asked := _newest_ping(await _attempts(github))) is not None:
                await github.redeliver(asked.id)
            await pings.wait(left if asked is not None else min(left, LOOK_SECONDS))
        if pings.is_any:
            return PROVED
        return judge(await _attempts(github), after=asked, webhook_url=webhook_url)
    except errors.GitHubError as error:
        return Verdict(is_proved=False, text=f"GitHub does not say: {error}", mend="Look again in a moment.")


def judge(newest_first: Sequence[Attempt], *, after: Attempt | None, webhook_url: str | None) -> Verdict:
    """What GitHub says of the ping that did not come.

    :param after: the attempt that was asked for again.
    """
    where = webhook_url or "the webhook's address"
    if after is None:
        return Verdict(
            is_proved=False,
            text="GitHub has not sent a ping that could be asked for again: it keeps what it sent for three days.",
            mend="Push something to a repository that the App is installed on, then look whether a delivery came.",
        )
    again = next((one for one in newest_first if one.guid == after.guid and one.id != after.id), None)
    if again is None:
        return Verdict(
            is_proved=False,
            text=f"GitHub was asked to send its ping to {where} again, and has not done it yet.",
            mend="Look again in a moment.",
        )
    if again.is_ok:
        return Verdict(
            is_proved=False,
            text=f"Something answered GitHub's ping at {where} with {again.status_code}, and it was not this service.",
            mend="See that the address leads to this service, and that a proxy or a relay passes POST /webhook on.",
        )
    return Verdict(
        is_proved=False,
        text=f"GitHub sent its ping to {where}, and it was answered with {again.status_code} ({again.status}).",
        mend=MENDING.get(again.status_code, "See the service's log at that time."),
    )


async def _attempts(github: GitHub) -> Sequence[Attempt]:
    return (await github.list_deliveries(per_page=100)).attempts


def _newest_ping(newest_first: Sequence[Attempt]) -> Attempt | None:
    return next((one for one in newest_first if one.event == _PING), None)
