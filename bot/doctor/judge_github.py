"""Checks of the App on GitHub: pure."""

from __future__ import annotations

from collections.abc import Iterator

from bot import errors
from bot.doctor.checks import Checks, Finding
from bot.doctor.facts import Facts, Unknown
from bot.github import needs

CHECKS = Checks()
#: GitHub takes a credential that is a minute off.
MOST_SKEW_SECONDS = 30.0
_PAGE = "the App's page on GitHub"


@CHECKS.check("GitHub's API answers.")
def github_api(facts: Facts) -> Iterator[Finding]:
    """An API that cannot be reached, or an address at which something else answers."""
    trouble = facts.github.trouble.known
    if isinstance(trouble, errors.SettingsError):
        where, what = _address(trouble)
        if not where:
            raise Unknown("GitHub cannot be asked with this key", is_broken=False)
        yield Finding(what=what, where=where)
        return
    if isinstance(trouble, errors.NotReachable) and _is_no_app(trouble):
        return
    if isinstance(trouble, errors.NotReachable):
        yield Finding(
            what=f"There is no API of GitHub at this address: {trouble}",
            where="BUILDHOOK_GITHUB_API_URL",
            mend="Write https://api.github.com, or https://HOST/api/v3 for an Enterprise Server.",
        )
    elif trouble is not None and not isinstance(trouble, errors.Unauthorized):
        yield Finding(
            what=str(trouble).removesuffix(" It is tried again later."),
            where="BUILDHOOK_GITHUB_API_URL",
            mend="See that this machine reaches it (name, proxy, firewall), and that it is written right.",
        )


@CHECKS.check("GitHub knows the App by its id and its key.")
def app_key(facts: Facts) -> Iterator[Finding]:
    """A private key that is none, or another App's; an id that no App has."""
    trouble = facts.github.trouble.known
    key = "BUILDHOOK_PRIVATE_KEY"
    if isinstance(trouble, errors.SettingsError):
        if _address(trouble)[0]:
            raise Unknown("GitHub cannot be asked at this address", is_broken=False)
        yield Finding(what=str(trouble), where=key)
    elif isinstance(trouble, errors.NotReachable) and _is_no_app(trouble):
        yield Finding(
            what="GitHub knows no App with this id.",
            where="BUILDHOOK_APP_ID",
            mend="Write the `App ID` of the App's settings page; it is neither the client id nor an installation's id.",
        )
    elif isinstance(trouble, errors.Unauthorized):
        yield Finding(
            what="GitHub does not take the key: it is not one of this App's, or it was deleted there.",
            where=f"{key}, BUILDHOOK_APP_ID",
            mend="Generate a private key on the page of the App with exactly this id, and set it.",
        )
    else:
        facts.github.app.known  # noqa: B018 - raises where GitHub did not say


@CHECKS.check("This machine's clock agrees with GitHub's.")
def clock(facts: Facts) -> Iterator[Finding]:
    """A clock that differs from GitHub's: the App's credential is refused, and times in logs are wrong."""
    ahead = facts.github.ahead_seconds.known
    if abs(ahead) > MOST_SKEW_SECONDS:
        word = "behind" if ahead > 0 else "ahead of"
        yield Finding(
            what=f"This machine's clock is {abs(ahead):.0f} seconds {word} GitHub's.",
            where="the clock of this machine",
            mend="Run `timedatectl set-ntp true`, or set it otherwise.",
        )


@CHECKS.check("The App is installed, and nowhere suspended.")
def installations(facts: Facts) -> Iterator[Finding]:
    """An App that is installed nowhere, or whose installation is suspended."""
    found = facts.github.installations.known
    if not found:
        yield Finding(
            what="The App is installed nowhere, so it hears of no repository.",
            where=_PAGE,
            mend="Choose `Install App` there, and the repositories.",
        )
    for one in found:
        if one.state == "suspended":
            yield Finding(
                what=f"The installation of {one.account} is suspended: nothing is heard of its repositories.",
                where=f"installation {one.id}",
                mend="An owner lifts it in the account's settings, under GitHub Apps.",
            )


@CHECKS.check("The App asks for every permission that it needs.")
def permissions(facts: Facts) -> Iterator[Finding]:
    """A permission of app.yml that the App does not ask for."""
    for name in needs.lacking(facts.github.app.known.permissions):
        yield Finding(
            what=f"The App does not have the permission `{name}`.",
            where=f"{_PAGE}, `Permissions & events`",
            mend="Add it as app.yml says; each installation then has to accept it.",
        )


@CHECKS.check("Every installation has accepted what the App asks for.")
def accepted_permissions(facts: Facts) -> Iterator[Finding]:
    """A permission that the App asks for and an installation has not accepted yet."""
    asked = set(needs.lacking(facts.github.app.known.permissions))
    for one in facts.github.installations.known:
        pending = [name for name in needs.lacking(one.permissions) if name not in asked]
        if pending:
            yield Finding(
                what=f"{one.account} has not accepted these permissions yet: {', '.join(pending)}.",
                where=f"installation {one.id}",
                mend="An owner accepts them in the account's settings, under GitHub Apps, `Review request`.",
            )


@CHECKS.check("The App subscribes to every event that it needs.")
def events(facts: Facts) -> Iterator[Finding]:
    """An event of app.yml that the App does not subscribe to."""
    for name in sorted(needs.EVENTS - facts.github.app.known.events):
        yield Finding(
            what=f"The App does not hear of the event `{name}`.",
            where=f"{_PAGE}, `Permissions & events`",
            mend="Subscribe to it as app.yml says.",
        )


def _address(trouble: errors.SettingsError) -> tuple[str, str]:
    """The setting of an address, and what is wrong with it; empty where it is the key that is wrong."""
    where, colon, what = str(trouble).partition(": ")
    return (where, what) if colon and where.startswith("BUILDHOOK_GITHUB_") else ("", "")


def _is_no_app(error: errors.NotReachable) -> bool:
    return "integration not found" in str(error).lower()
