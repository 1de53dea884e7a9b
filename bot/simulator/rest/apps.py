"""The App itself, its installations and their tokens: https://docs.github.com/en/rest/apps."""

from __future__ import annotations

from typing import Any

from bot.simulator import auth, values
from bot.simulator.rest import call


async def get_app(this: call.Call) -> call.Answer:
    world = this.world
    return call.Answer(body={**world.shapes.app(world.app), "installations_count": len(world.installations)})


async def convert_manifest(this: call.Call) -> call.Answer:
    """What a registered App needs to be itself, told once for the code that its registration ended with."""
    found = this.world.registrations.convert(this.parameters["code"])
    if found is None:
        raise call.ApiError(404, "Not Found")
    secrets = {
        "client_id": found.app.client_id,
        "client_secret": found.app.client_secret,
        "webhook_secret": found.webhook_secret,
        "pem": found.private_key,
    }
    return call.Answer(status=201, body={**this.world.shapes.app(found.app), **secrets})


async def list_installations(this: call.Call) -> call.Answer:
    world = this.world
    items, headers = this.page(list(world.installations.values()))
    return call.Answer(body=[world.shapes.installation(item, world.app) for item in items], headers=headers)


def _installation(this: call.Call) -> values.Installation:
    found = this.world.installations.get(this.number("installation_id"))
    if found is None:
        raise call.ApiError(404, "Not Found")
    return found


async def get_installation(this: call.Call) -> call.Answer:
    return call.Answer(body=this.world.shapes.installation(_installation(this), this.world.app))


async def get_repository_installation(this: call.Call) -> call.Answer:
    found = this.world.installation_for(this.repository)
    if found is None:
        raise call.ApiError(404, "Not Found")
    return call.Answer(body=this.world.shapes.installation(found, this.world.app))


async def create_token(this: call.Call) -> call.Answer:
    """Makes an installation token, narrowed as the body says."""
    world, installation, body = this.world, _installation(this), this.body or {}
    if installation.suspended_at is not None:
        raise call.ApiError(403, "This installation has been suspended")
    permissions = _narrowed(body.get("permissions"), installation)
    repository_ids = _chosen(this, body, installation)
    text, token = this.world.tokens.for_installation(
        installation, permissions=permissions, repository_ids=repository_ids
    )
    assert token.expires_at is not None
    answer: dict[str, Any] = {
        "token": text,
        "expires_at": values.stamp(token.expires_at),
        "permissions": dict(token.principal.permissions),
        "repository_selection": "selected",
    }
    if repository_ids is not None:
        answer["repositories"] = [world.shapes.repository(world.repositories[id_]) for id_ in sorted(repository_ids)]
    return call.Answer(status=201, body=answer)


def _narrowed(wanted: dict[str, str] | None, installation: values.Installation) -> dict[str, str] | None:
    levels = ("read", "write", "admin")
    for name, level in (wanted or {}).items():
        granted = installation.permissions.get(name)
        if granted is None or levels.index(level) > levels.index(granted):
            raise call.ApiError(422, "The permissions requested are not granted to this installation.")
    return dict(wanted) if wanted else None


def _chosen(this: call.Call, body: dict[str, Any], installation: values.Installation) -> frozenset[int] | None:
    ids = body.get("repository_ids")
    names = body.get("repositories")
    if not ids and not names:
        return None
    chosen = set(ids or ())
    for name in names or ():
        found = this.world.find_repository(f"{installation.account.login}/{name}")
        chosen.add(found.id if found is not None else -1)
    if len(chosen) > 500 or not chosen <= installation.repository_ids:
        raise call.ApiError(
            422,
            "There is at least one repository that does not exist or is not accessible to the parent installation.",
        )
    return frozenset(chosen)


async def revoke_token(this: call.Call) -> call.Answer:
    this.world.tokens.revoke(this.token or "")
    return call.Answer(status=204)


async def list_token_repositories(this: call.Call) -> call.Answer:
    reached = [
        repository for repository in this.world.repositories.values() if auth.reaches(this.principal, repository)
    ]
    items, headers = this.page(reached)
    body = {
        "total_count": len(reached),
        "repository_selection": "selected",
        "repositories": [this.world.shapes.repository(repository) for repository in items],
    }
    return call.Answer(body=body, headers=headers)


ROUTES = (
    call.Route(method="GET", template="/app", handler=get_app, needs="app"),
    call.Route(method="POST", template="/app-manifests/{code}/conversions", handler=convert_manifest),
    call.Route(method="GET", template="/app/installations", handler=list_installations, needs="app"),
    call.Route(method="GET", template="/app/installations/{installation_id}", handler=get_installation, needs="app"),
    call.Route(
        method="POST",
        template="/app/installations/{installation_id}/access_tokens",
        handler=create_token,
        needs="app",
    ),
    call.Route(
        method="GET", template="/repos/{owner}/{repo}/installation", handler=get_repository_installation, needs="app"
    ),
    call.Route(method="DELETE", template="/installation/token", handler=revoke_token, needs="token"),
    call.Route(method="GET", template="/installation/repositories", handler=list_token_repositories, needs="token"),
)
