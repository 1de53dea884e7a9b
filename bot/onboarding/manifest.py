"""The manifest that GitHub is sent, and where it is sent to: pure. It asks for what `github.needs` lists, and no more.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

import msgspec

from bot.github import needs
from bot.onboarding.wish import Wish

#: What is asked for, each with its reason.
ASKED, HEARD = needs.ASKED, needs.HEARD
NAME = needs.NAME
Need = needs.Need
_HOME = "https://github.com"
_LOGIN = "/login/callback"


def text(wish: Wish, *, back: str) -> str:
    """The manifest as JSON.

    :param back: where GitHub sends the browser once the App is there.
    """
    return msgspec.json.encode(
        {
            "name": wish.name,
            "description": needs.DESCRIPTION,
            # GitHub wants a page of the App's; people find the service there, where it has an address.
            "url": wish.public_url or _HOME,
            "hook_attributes": {"url": wish.webhook_url, "active": True},
            "redirect_url": back,
            "callback_urls": [wish.public_url + _LOGIN] if wish.public_url is not None else [],
            "public": False,
            "default_permissions": dict(needs.PERMISSIONS),
            "default_events": [one.name for one in needs.HEARD],
        }
    ).decode()


def target(web_url: str, wish: Wish, *, state: str) -> str:
    """Where the browser sends the manifest.

    :param web_url: where GitHub's pages are.
    """
    of = f"/organizations/{quote(wish.organization, safe='')}" if wish.organization is not None else ""
    return f"{web_url}{of}/settings/apps/new?{urlencode({'state': state})}"
