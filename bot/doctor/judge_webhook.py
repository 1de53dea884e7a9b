"""Checks of the way from GitHub's webhook to our door: pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from urllib.parse import urlsplit

from bot.doctor.checks import Checks, Finding
from bot.doctor.facts import Facts, Unknown
from bot.github.deliveries import MENDING, Attempt
from bot.github.urls import is_loopback

CHECKS = Checks()
#: Where the door is.
PATH = "/webhook"
_HOOK = "the App's page on GitHub, `Webhook`"
_REFUSED = 401


@CHECKS.check("The webhook leads to this service.")
def webhook_address(facts: Facts) -> Iterator[Finding]:
    """A webhook of the App that has no address, is not https, or leads elsewhere than to this service's door."""
    url = facts.github.hook.known.url
    public = facts.given.known.public_url
    expected = f"{public}{PATH}" if public is not None else f"https://<your host>{PATH}"
    mend = f"Write {expected} there."
    if url is None:
        yield Finding(what="The App has no webhook, so nothing is heard of GitHub.", where=_HOOK, mend=mend)
        return
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme != "https" and not is_loopback(host):
        yield Finding(
            what=f"The webhook's address {url} is not https: anybody on the way can read it.", where=_HOOK, mend=mend
        )
    if public is not None and urlsplit(public).netloc != parts.netloc:
        yield Finding(
            what=f"The webhook leads to {parts.netloc}, and this service is {public} by its settings.",
            where=f"{_HOOK}, and BUILDHOOK_PUBLIC_URL",
            mend=f"{mend[:-1]}, or set BUILDHOOK_PUBLIC_URL to where it leads.",
        )
    path = f"{urlsplit(public).path.rstrip('/')}{PATH}" if public is not None else PATH
    # What the door answers itself is the right path, whatever a proxy makes of it on the way.
    is_proved = facts.door.value is not None and facts.door.value.is_ours
    if parts.path != path and not is_proved:
        yield Finding(
            what=f"The webhook's path is {parts.path or '/'}, and the door is at {path}.", where=_HOOK, mend=mend
        )


@CHECKS.check("Links from GitHub lead to this service.")
def public_url(facts: Facts) -> Iterator[Finding]:
    """A public address that is not set, or that only this machine reaches: links on checks lead nowhere."""
    given, url = facts.given.known, facts.github.hook.known.url
    if url is None or is_loopback(urlsplit(url).hostname or ""):
        return
    if given.public_url is None or is_loopback(urlsplit(given.public_url).hostname or ""):
        yield Finding(
            what="The links of checks on GitHub lead to an address of this machine only.",
            where="BUILDHOOK_PUBLIC_URL",
            mend="Set it to the address at which people reach the pages, such as https://builds.example.org.",
        )


@CHECKS.check("GitHub looks at the certificate of the webhook's address.")
def webhook_certificate(facts: Facts) -> Iterator[Finding]:
    """A webhook that is sent to whoever answers, whatever the certificate is."""
    if facts.github.hook.known.is_insecure:
        yield Finding(
            what="GitHub does not verify the certificate of the webhook's address (insecure_ssl).",
            where=_HOOK,
            mend="Enable SSL verification there, with a certificate that GitHub can verify.",
        )


@CHECKS.check("Deliveries are signed with the secret that is set here.")
def webhook_secret(facts: Facts) -> Iterator[Finding]:
    """A webhook without a secret, or with another one than is set here: the newest delivery was refused with 401."""
    where = f"{_HOOK}, and BUILDHOOK_WEBHOOK_SECRET"
    if not facts.github.hook.known.has_secret:
        yield Finding(
            what="The webhook has no secret, so its deliveries are not signed and all of them are refused.",
            where=where,
            mend="Write a long random one there (`openssl rand -hex 32`), and the same here.",
        )
        return
    refused = [one for one in _failed(_sent(facts)) if one.status_code == _REFUSED]
    if refused:
        yield Finding(
            what=f"The last {_times(refused)} refused with 401: GitHub signs with another secret than is set here.",
            where=where,
            mend="Write the same secret in both places, then start the service anew or send it SIGHUP.",
        )


@CHECKS.check("The last delivery came in.")
def deliveries(facts: Facts) -> Iterator[Finding]:
    """Deliveries that failed since the last one that came in, by what GitHub says of them."""
    failed = [one for one in _failed(_sent(facts)) if one.status_code != _REFUSED]
    for code in dict.fromkeys(one.status_code for one in failed):
        of_code = [one for one in failed if one.status_code == code]
        yield Finding(
            what=f"The last {_times(of_code)} answered with {code} ({of_code[0].status}).",
            where=f"{facts.github.hook.known.url}, delivery {of_code[0].guid}",
            mend=MENDING.get(code, "See the service's log at that time."),
        )


@CHECKS.check("The service runs.")
def service(facts: Facts) -> Iterator[Finding]:
    """A service that does not run, or another program at its port."""
    reply = facts.service.known
    mend = "Start it with `buildhook serve`, or see why it ended in its log."
    if reply.status is None:
        yield Finding(what=f"Nothing answers at {reply.url}: {reply.problem}.", where="BUILDHOOK_PORT", mend=mend)
    elif not reply.is_ours:
        yield Finding(
            what=f"Something else than buildhook answers at {reply.url} ({reply.status}).",
            where="BUILDHOOK_PORT",
            mend="Choose another port, or stop the other program.",
        )


@CHECKS.check("The webhook's address is answered by the door.")
def door(facts: Facts) -> Iterator[Finding]:
    """An address of the webhook that cannot be reached, or at which something else answers."""
    reply = facts.door.known
    if reply.is_ours:
        return
    if reply.status is None:
        came = facts.github.deliveries
        # From within a network its own public address often leads nowhere; what GitHub says counts.
        if came.why is None and came.known and came.known[0].is_ok:
            return
        yield Finding(
            what=f"{reply.url} cannot be reached: {reply.problem}.",
            where=_HOOK,
            mend="See that the name, the proxy and the certificate are right, and that the service runs.",
        )
        return
    yield Finding(
        what=f"{reply.url} is not answered by this service's door, but by something else ({reply.status}).",
        where=_HOOK,
        mend=MENDING.get(reply.status, "Let the proxy pass POST /webhook on to this service."),
    )


@CHECKS.check("The proxy in front is one that the settings name, or there is none.")
def proxies(facts: Facts) -> Iterator[Finding]:
    """Forwarding headers from whom `BUILDHOOK_TRUSTED_PROXIES` does not name, with a public address of https."""
    public = facts.given.known.public_url
    if public is None or not public.startswith("https:"):
        return
    said = facts.unlisted_proxy.known
    if said is not None:
        yield Finding(
            what=f"The service does not know who asks: {said}.",
            where="BUILDHOOK_TRUSTED_PROXIES",
            mend="If that address is your reverse proxy's, name it there; if it is not, somebody pretends to be one.",
        )


def _sent(facts: Facts) -> Sequence[Attempt]:
    found = facts.github.deliveries.known
    if not found:
        raise Unknown("GitHub has sent nothing in the last days: push something, and ask again.", is_broken=False)
    return found


def _failed(newest_first: Sequence[Attempt]) -> list[Attempt]:
    """Those that failed since the last one that did not."""
    return list(takewhile(lambda one: not one.is_ok, newest_first))


def _times(failed: Sequence[Attempt]) -> str:
    at = f"{failed[0].delivered_at:%Y-%m-%d %H:%M} UTC"
    return f"{len(failed)} deliveries, the newest at {at}, were" if len(failed) > 1 else f"delivery, at {at}, was"
