"""An App is registered by its manifest, on pages and by a code that is good once and for an hour."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest

from bot.simulator import Simulator
from tests.simulator.conftest import Client, Receiver, Reply
from tests.simulator.test_pages import press

MANIFEST: dict[str, Any] = {
    "name": "Our builds",
    "url": "https://builds.example.com",
    "redirect_url": "http://127.0.0.1:8080/setup/callback",
    "callback_urls": ["https://builds.example.com/login/callback"],
    "public": False,
    "default_permissions": {"checks": "write", "contents": "read"},
    "default_events": ["push", "check_run"],
}


async def ask(client: Client, manifest: object, *, at: str = "/settings/apps/new", state: str = "s") -> Reply:
    """Sends a manifest as another site's form does."""
    text = manifest if isinstance(manifest, str) else json.dumps(manifest)
    headers = {"Origin": "null", "Sec-Fetch-Site": "cross-site", "Content-Type": "application/x-www-form-urlencoded"}
    content = urlencode({"manifest": text}).encode()
    return await client("POST", f"{at}?state={state}", content, root=client.github.url, token="", headers=headers)


async def agree(client: Client, manifest: object, *, name: str = "Our builds", **more: str) -> Reply:
    return await press(
        client, "/settings/apps", urlencode({"manifest": json.dumps(manifest), "name": name, "state": "s&t", **more})
    )


async def convert(client: Client, code: str) -> Reply:
    return await client("POST", f"/app-manifests/{code}/conversions", token="")


def code_of(reply: Reply) -> str:
    return parse_qs(urlsplit(reply.headers["Location"]).query)["code"][0]


async def test_the_page_asks_and_the_code_is_good_for_a_new_app(client: Client, receiver: Receiver) -> None:
    github = client.github
    before = (github.app_id, github.private_key, github.webhook_secret)
    page = await ask(client, {**MANIFEST, "name": "<b>Ours</b>"})
    assert page.status == 200
    assert "Create GitHub App for mona" in page.content.decode()
    assert "&lt;b&gt;Ours&lt;/b&gt;" in page.content.decode()
    assert "form-action 'self' http://127.0.0.1:8080;" in page.headers["Content-Security-Policy"]
    assert (github.app_id, github.private_key, github.webhook_secret) == before

    reply = await agree(client, {**MANIFEST, "hook_attributes": {"url": receiver.url}})
    assert reply.status == 303
    assert reply.headers["Location"].startswith("http://127.0.0.1:8080/setup/callback?code=")
    assert parse_qs(urlsplit(reply.headers["Location"]).query)["state"] == ["s&t"]
    converted = await convert(client, code_of(reply))
    assert converted.status == 201
    told = converted.body
    assert (told["slug"], told["name"], told["owner"]["login"]) == ("our-builds", "Our builds", "mona")
    assert told["permissions"] == {"metadata": "read", "checks": "write", "contents": "read"}
    assert told["events"] == ["check_run", "push"]
    assert (told["id"], told["pem"], told["webhook_secret"]) != before
    assert github.app.callback_urls == MANIFEST["callback_urls"]

    await github.hooks.settle()
    (ping,) = receiver.received
    assert ping.payload["hook"]["app_id"] == told["id"]
    assert ping.headers["X-GitHub-Hook-Installation-Target-ID"] == str(told["id"])
    assert ping.headers["X-Hub-Signature-256"] == github.sign(ping.body)
    now = github.clock.seconds()
    token = jwt.encode({"iss": str(told["id"]), "iat": int(now), "exp": int(now) + 60}, told["pem"], algorithm="RS256")
    assert (await client("GET", "/app", token=token)).body["id"] == told["id"]
    old = jwt.encode({"iss": str(before[0]), "iat": int(now), "exp": int(now) + 60}, before[1], algorithm="RS256")
    assert (await client("GET", "/app", token=old)).status == 401


async def test_a_code_is_good_once_and_for_an_hour(client: Client) -> None:
    first = code_of(await agree(client, MANIFEST))
    assert (await convert(client, first)).status == 201
    assert (await convert(client, first)).status == 404
    assert (await convert(client, "nonsense")).status == 404
    late = code_of(await agree(client, MANIFEST))
    client.github.clock.advance(3600)
    assert (await convert(client, late)).status == 404


async def test_an_organization_owns_what_is_registered_for_it(client: Client) -> None:
    client.github.account("octo")
    page = await ask(client, MANIFEST, at="/organizations/octo/settings/apps/new")
    assert "Create GitHub App for octo" in page.content.decode()
    assert (await ask(client, MANIFEST, at="/organizations/nobody/settings/apps/new")).status == 404
    assert (await ask(client, MANIFEST, at="/organizations/mona/settings/apps/new")).status == 404
    await agree(client, MANIFEST, owner="octo")
    assert client.github.app.owner.login == "octo"


@pytest.mark.parametrize(
    ("manifest", "says"),
    [
        ("nonsense", "Invalid GitHub App configuration"),
        ("", "Invalid GitHub App configuration"),
        ({"url": "https://a.example"}, "redirect_url"),
        ({**MANIFEST, "hook_atributes": {}}, "hook_atributes"),
        ({**MANIFEST, "url": "builds"}, "not a URL: url"),
        ({**MANIFEST, "hook_attributes": {"url": ""}}, "not a URL: hook_attributes.url"),
        ({**MANIFEST, "default_permissions": {"checks": "all", "contents": "read"}}, "read, write or admin"),
        ({**MANIFEST, "default_events": ["merge_group"]}, "Default events unsupported: merge_group"),
        ({**MANIFEST, "callback_urls": ["https://a.example"] * 11}, "length &lt;= 10"),
    ],
)
async def test_what_cannot_be_registered_is_told(client: Client, manifest: object, says: str) -> None:
    page = await ask(client, manifest)
    assert page.status == 422
    assert says in page.content.decode()


@pytest.mark.parametrize(("name", "says"), [("x" * 35, "at most 34"), ("!", "letters"), ("Another App", "taken")])
async def test_a_name_that_cannot_be_had_is_told(client: Client, name: str, says: str) -> None:
    app_id = client.github.app_id
    reply = await agree(client, MANIFEST, name=name)
    assert (reply.status, says in reply.content.decode()) == (409, True)
    assert client.github.app_id == app_id


async def test_the_page_of_the_app_installs_it_where_it_is_not_yet(client: Client, github: Simulator) -> None:
    await github.create_repository("octo/hello")
    await github.create_repository("mona/notes", installed=False)
    await agree(client, MANIFEST)
    path = "/apps/our-builds/installations/new"
    page = (await client("GET", path, root=github.url, token="")).content.decode()
    assert 'value="mona/notes" checked' in page
    assert 'value="octo/hello" checked' in page
    assert (await press(client, path, "repository=octo%2Fhello")).status == 303
    assert github.installation_of("octo") is not None
    assert github.installation_of("mona") is None
    assert (await press(client, "/apps/buildhook/installations/new", "")).status == 404
