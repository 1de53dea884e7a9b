"""What a job reaches of the network, by whose code it is, and how its programs find the way. Pure."""

from __future__ import annotations

from typing import Any

from bot import errors
from bot.choices import Network
from bot.engines import contract
from bot.model import build

#: Where a job finds the proxy of its egress list, in a network of its own; see `supervisor.egress`.
PROXY = "http://127.0.0.1:3128"
#: What never goes by the proxy: what a build serves to itself.
_ITSELF = "localhost,127.0.0.1,::1"


def of_setting(word: str, egress: contract.Egress) -> Network:
    """What trusted code reaches.

    :raises errors.SettingsError: if the word is none, or nothing is listed for it.
    """
    try:
        found = Network(word)
    except ValueError:
        raise errors.SettingsError("NETWORK is none, list or full.") from None
    if found is Network.LIST and not egress.allow and not egress.allow_private:
        raise errors.SettingsError(
            "NETWORK=list, and nothing is listed: name hosts under `allow` in the section `[network]` of the policy"
            " file, or set NETWORK=none."
        )
    return found


def of(trust: build.Trust, *, setting: Network, egress: contract.Egress) -> Network:
    """What a job's code reaches."""
    if trust is build.Trust.TRUSTED or (setting is Network.LIST and egress.strangers):
        return setting
    return Network.NONE


def environment(found: Network) -> dict[str, str]:
    """The variables by which programs find the proxy; each is read by some in one case only."""
    if found is not Network.LIST:
        return {}
    values = {"http_proxy": PROXY, "https_proxy": PROXY, "no_proxy": _ITSELF}
    return values | {name.upper(): value for name, value in values.items()}


def given(found: Network, egress: contract.Egress) -> dict[str, Any] | None:
    """What a supervisor is told of the list; None where there is none."""
    if found is not Network.LIST:
        return None
    return {"allow": list(egress.allow), "allow_private": list(egress.allow_private)}
