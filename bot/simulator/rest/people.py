"""People who signed in through an App: who they are, what they reach through it, and what their tokens are.

https://docs.github.com/en/rest/apps/installations
https://docs.github.com/en/rest/apps/oauth-applications
"""

from __future__ import annotations

from urllib.parse import urlencode

from bot.simulator import auth, values
from bot.simulator.rest import call


async def get_user(this: call.Call) -> call.Answer:
    """Who asks, as everybody may see them: the App was not given their e-mail addresses."""
    return call.Answer(body=this.world.shapes.public_user(_user(this), created_at=this.world.app.created_at))


async def list_installations(this: call.Call) -> call.Answer:
    """The installations of the App that the token is for where its owner may see something, suspended ones as well."""
    world, user = this.world, _user(this)
    reached = [one for one in _installations(this) if user is one.account or _repositories(this, one)]
    items, headers = this.page(reached)
    body = [world.shapes.installation(item, world.app) for item in items]
    return call.Answer(body={"total_count": len(reached), "installations": body}, headers=headers)


async def list_repositories(this: call.Call) -> call.Answer:
    world, user = this.world, _user(this)
    installation = next((one for one in _installations(this) if one.id == this.number("installation_id")), None)
    if installation is None:
        raise call.ApiError(404, "Not Found")
    if installation.suspended_at is not None:
        raise call.ApiError(403, "This installation has been suspended")
    reached = _repositories(this, installation)
    items, headers = this.page(reached)
    body = [{**world.shapes.repository(item), "permissions": world.permissions(item, user)} for item in items]
    return call.Answer(
        body={"total_count": len(reached), "repository_selection": "selected", "repositories": body}, headers=headers
    )


async def check_token(this: call.Call) -> call.Answer:
    """Whose a token is; one of another App is not found, and neither is one that ended."""
    app, text, token = _token(this)
    if token is None:
        raise call.ApiError(404, "Not Found")
    assert token.principal.user is not None
    body = this.world.shapes.authorization(
        app, token.principal.user, text, at=this.world.app.created_at, expires_at=token.expires_at
    )
    return call.Answer(body=body)


async def revoke_token(this: call.Call) -> call.Answer:
    _, text, token = _token(this)
    if token is None:
        raise call.ApiError(404, "Not Found")
    this.world.tokens.revoke(text)
    return call.Answer(status=204)


async def give_token(this: call.Call) -> call.Answer:
    """A token for a code, or for what renews one: not of the API, and an error comes with 200 as well."""
    answer = this.world.sign_ins.answer(this.body)
    if "application/json" in this.accept:
        return call.Answer(body=answer)
    return call.Answer(raw=urlencode(answer).encode(), media_type="application/x-www-form-urlencoded; charset=utf-8")


def _token(this: call.Call) -> tuple[values.App, str, auth.Token | None]:
    app = this.principal.app
    if app is None or this.parameters["client_id"] != app.client_id:
        raise call.ApiError(404, "Not Found")
    text: str = this.body["access_token"]
    return app, text, this.world.tokens.find_signed_in(text, app)


def _user(this: call.Call) -> values.User:
    assert this.principal.user is not None
    return this.principal.user


def _installations(this: call.Call) -> list[values.Installation]:
    """:raises ApiError: 403, where the token is not one of an App"""
    if this.principal.app is None:
        raise call.ApiError(
            403, "You must authenticate with an access token authorized to a GitHub App in order to list installations"
        )
    return list(this.world.installations.values()) if this.principal.app is this.world.app else []


def _repositories(this: call.Call, installation: values.Installation) -> list[values.Repository]:
    """Those that the public could not see or change as much as whoever asks."""
    its = [this.world.repositories[repository_id] for repository_id in sorted(installation.repository_ids)]
    return [one for one in its if this.world.is_explicit(one, _user(this))]


_TOKEN = "/applications/{client_id}/token"  # noqa: S105

ACCESS_TOKEN = call.Route(
    method="POST", template="/login/oauth/access_token", handler=give_token, is_described=False, is_form=True
)

ROUTES = (
    call.Route(method="POST", template=_TOKEN, handler=check_token, needs="client"),
    call.Route(method="DELETE", template=_TOKEN, handler=revoke_token, needs="client"),
    call.Route(method="GET", template="/user", handler=get_user, needs="user"),
    call.Route(method="GET", template="/user/installations", handler=list_installations, needs="user"),
    call.Route(
        method="GET",
        template="/user/installations/{installation_id}/repositories",
        handler=list_repositories,
        needs="user",
    ),
)
