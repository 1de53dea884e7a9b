"""An App is registered by its manifest: somebody agrees on a page, and a code is good once for what the App needs.

https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated
from urllib.parse import urlencode, urlsplit

import msgspec

from bot.simulator import values, world

CODE_LIFE = timedelta(hours=1)
#: GitHub's limit for the name of an App.
LONGEST_NAME = 34
#: So many places may people be sent back to.
MOST_CALLBACKS = 10
#: What an App has to be given to hear of an event; any one of them suffices.
NEEDED = {
    "check_run": ("checks",),
    "check_suite": ("checks",),
    "create": ("contents",),
    "delete": ("contents",),
    "issue_comment": ("issues", "pull_requests"),
    "member": ("members", "metadata"),
    "merge_group": ("merge_queues",),
    "public": ("metadata",),
    "pull_request": ("pull_requests",),
    "push": ("contents",),
    "repository": ("metadata",),
}


class NotRegistered(Exception):
    """GitHub would not register that; the text is for the person who asked for it."""


class HookAttributes(msgspec.Struct, forbid_unknown_fields=True):
    """Where events go."""

    url: str
    active: bool = True


class Manifest(msgspec.Struct, forbid_unknown_fields=True):
    """What an App wants to be. A word that GitHub does not know is a mistake here, which it is not there."""

    url: str
    redirect_url: str
    name: str = ""
    description: str = ""
    public: bool = False
    hook_attributes: HookAttributes | None = None
    callback_urls: Annotated[list[str], msgspec.Meta(max_length=MOST_CALLBACKS)] = []
    setup_url: str = ""
    setup_on_update: bool = False
    request_oauth_on_install: bool = False
    default_permissions: dict[str, str] = {}
    default_events: list[str] = []


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A manifest that somebody is asked about."""

    manifest: Manifest
    #: As it came, for the form of the page.
    text: str
    owner: values.User
    state: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Registered:
    """What a code is good for."""

    app: values.App
    private_key: str = field(repr=False)
    webhook_secret: str = field(repr=False)
    expires_at: datetime


class Registrations:
    """Codes that were given out, and how an App becomes the one of this world."""

    def __init__(self, its_world: world.World) -> None:
        self._world = its_world
        self._codes: dict[str, Registered] = {}

    def wish(self, form: Mapping[str, str], *, owner: values.User, state: str) -> Wish:
        """What a form with a manifest asks for.

        :raises NotRegistered: if GitHub would show what is wrong with it
        """
        text = form.get("manifest", "")
        try:
            manifest = msgspec.json.decode(text, type=Manifest)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise NotRegistered(f"Invalid GitHub App configuration: {error}") from None
        named = {"url": manifest.url, "redirect_url": manifest.redirect_url}
        if manifest.hook_attributes is not None:
            named["hook_attributes.url"] = manifest.hook_attributes.url
        wrong = [name for name, url in named.items() if not _is_url(url)]
        if wrong:
            raise NotRegistered(f"Invalid GitHub App configuration: not a URL: {', '.join(wrong)}")
        if not set(manifest.default_permissions.values()) <= {"read", "write", "admin"}:
            raise NotRegistered("Invalid GitHub App configuration: Default permissions are read, write or admin")
        unheard = [one for one in manifest.default_events if not _may_hear(one, manifest.default_permissions)]
        if unheard:
            raise NotRegistered(
                f"Invalid GitHub App configuration: Default events unsupported: {', '.join(unheard)}; "
                "they need a permission"
            )
        return Wish(manifest=manifest, text=text, owner=owner, state=state)

    def register(self, wish: Wish, *, name: str) -> str:
        """Somebody agrees: the App is there, in place of the one before, and hears a ping. Gives where they go next.

        What the App before had been given, was sent and was installed on is gone with it.

        :raises NotRegistered: if an App cannot be called so
        """
        name = name.strip()
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        if not slug or len(name) > LONGEST_NAME:
            raise NotRegistered(f"The name of an App has letters or digits, and at most {LONGEST_NAME} characters.")
        if slug == world.OTHER_SLUG:
            raise NotRegistered("Name is already taken")
        made = self._world.replace_app(
            slug,
            name=name,
            owner=wish.owner,
            permissions={"metadata": "read", **wish.manifest.default_permissions},
            events=wish.manifest.default_events,
        )
        made.callback_urls = list(wish.manifest.callback_urls)
        hook = wish.manifest.hook_attributes
        webhook_secret = secrets.token_hex(20)
        self._world.hooks.belong_to(made.id, url=hook.url if hook is not None and hook.active else None)
        self._world.hooks.secret = webhook_secret
        code = secrets.token_hex(20)
        self._codes[code] = Registered(
            app=made,
            private_key=self._world.private_key,
            webhook_secret=webhook_secret,
            expires_at=self._world.clock.now() + CODE_LIFE,
        )
        told = {"code": code, "state": wish.state} if wish.state else {"code": code}
        back = wish.manifest.redirect_url
        return f"{back}{'&' if urlsplit(back).query else '?'}{urlencode(told)}"

    def convert(self, code: str) -> Registered | None:
        """What the App needs; None where the code is none, was used, or is older than an hour."""
        found = self._codes.pop(code, None)
        return found if found is not None and found.expires_at > self._world.clock.now() else None


def _is_url(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _may_hear(event: str, permissions: Mapping[str, str]) -> bool:
    return any(one in {"metadata", *permissions} for one in NEEDED.get(event, ("metadata",)))
