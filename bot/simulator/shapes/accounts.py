"""Accounts, Apps and installations as JSON; every other shape builds on these.

The field names are GitHub's: https://docs.github.com/en/rest.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from typing import Any
from urllib.parse import quote

from bot.simulator import values

Body = dict[str, Any]

_USER_URLS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


def node_id(prefix: str, number: int | str) -> str:
    """An opaque id of GitHub's GraphQL API."""
    return f"{prefix}_{base64.urlsafe_b64encode(str(number).encode()).decode().rstrip('=')}"


class AccountShapes:
    """Makes JSON whose URLs begin with `origin`, where this simulator listens."""

    def __init__(self) -> None:
        self.listen_at("http://127.0.0.1")

    def listen_at(self, origin: str) -> None:
        """Called once, when the port is known."""
        self.origin = origin
        self.api = f"{origin}/api/v3"

    def user(self, user: values.User) -> Body:
        login = quote(user.login)
        url = f"{self.api}/users/{login}"
        html = f"{self.origin}/apps/{user.login[:-5]}" if user.type == "Bot" else f"{self.origin}/{login}"
        return {
            "login": user.login,
            "id": user.id,
            "node_id": node_id("U", user.id),
            "avatar_url": f"{self.origin}/_avatars/{user.id}.svg",
            "gravatar_id": "",
            "url": url,
            "html_url": html,
            **{name: url + path for name, path in _USER_URLS.items()},
            "type": user.type,
            "user_view_type": "public",
            "site_admin": False,
        }

    def organization(self, account: values.User) -> Body:
        """What webhooks say about an organization beside the repository."""
        url = f"{self.api}/orgs/{quote(account.login)}"
        return {
            "login": account.login,
            "id": account.id,
            "node_id": node_id("O", account.id),
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "issues_url": f"{url}/issues",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{self.origin}/_avatars/{account.id}.svg",
            "description": None,
        }

    def public_user(self, user: values.User, *, created_at: datetime) -> Body:
        """What `GET /user` says where the token does not reach what is private."""
        told = ("bio", "blog", "company", "email", "hireable", "location", "name")
        counted = ("followers", "following", "public_gists", "public_repos")
        return {
            **self.user(user),
            **dict.fromkeys(told),
            **dict.fromkeys(counted, 0),
            "created_at": values.stamp(created_at),
            "updated_at": values.stamp(created_at),
        }

    def authorization(
        self, app: values.App, user: values.User, token: str, *, at: datetime, expires_at: datetime | None
    ) -> Body:
        """What an App is told of a token that somebody gave it."""
        return {
            "id": user.id,
            "url": f"{self.api}/authorizations/{user.id}",
            "app": {
                "client_id": app.client_id,
                "name": app.name,
                "url": f"{self.origin}/apps/{app.slug}",
            },
            "token": token,
            "hashed_token": hashlib.sha256(token.encode()).hexdigest(),
            "token_last_eight": token[-8:],
            "note": None,
            "note_url": None,
            "created_at": values.stamp(at),
            "updated_at": values.stamp(at),
            "scopes": [],
            "fingerprint": None,
            "expires_at": values.stamp(expires_at) if expires_at else None,
            "user": self.user(user),
        }

    def app(self, app: values.App) -> Body:
        created = values.stamp(app.created_at)
        return {
            "id": app.id,
            "client_id": app.client_id,
            "slug": app.slug,
            "node_id": node_id("A", app.id),
            "owner": self.user(app.owner),
            "name": app.name,
            "description": "",
            "external_url": f"{self.origin}/apps/{app.slug}",
            "html_url": f"{self.origin}/apps/{app.slug}",
            "created_at": created,
            "updated_at": created,
            "permissions": dict(app.permissions),
            "events": sorted(app.events),
        }

    def installation(self, installation: values.Installation, app: values.App) -> Body:
        suspended_by = installation.suspended_by
        return {
            "id": installation.id,
            "client_id": app.client_id,
            "account": self.user(installation.account),
            "repository_selection": "selected",
            "access_tokens_url": f"{self.api}/app/installations/{installation.id}/access_tokens",
            "repositories_url": f"{self.api}/installation/repositories",
            "html_url": f"{self.origin}/settings/installations/{installation.id}",
            "app_id": app.id,
            "app_slug": app.slug,
            "target_id": installation.account.id,
            "target_type": installation.account.type,
            "permissions": dict(installation.permissions),
            "events": sorted(app.events),
            "created_at": values.stamp(installation.created_at),
            "updated_at": values.stamp(installation.updated_at),
            "single_file_name": None,
            "has_multiple_single_files": False,
            "single_file_paths": [],
            "suspended_by": self.user(suspended_by) if suspended_by else None,
            "suspended_at": values.stamp(installation.suspended_at) if installation.suspended_at else None,
        }
