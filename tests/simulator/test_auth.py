"""Who may ask, and for what."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.simulator import Repository, Simulator, auth
from tests.simulator.conftest import Client


async def test_the_app_is_known_by_its_id_and_by_its_client_id(client: Client) -> None:
    for issuer in (str(client.github.app_id), client.github.app_id, client.github.app.client_id):
        claims = {"iss": issuer} if isinstance(issuer, str) else {}
        answer = await client("GET", "/app", token=client.app_jwt(**claims))
        assert (answer.status, answer.body["id"]) == (200, client.github.app_id)


@pytest.mark.parametrize(
    ("claims", "status", "sentence"),
    [
        ({"exp": 0}, 401, "'Expiration time' claim ('exp') must be a numeric value representing the future time"),
        ({"exp": "soon"}, 401, "A JSON web token could not be decoded"),
        ({"exp": 4_000_000_000}, 401, "'Expiration time' claim ('exp') is too far in the future"),
        ({"iat": 4_000_000_000}, 401, "'Issued at' claim ('iat') must be an Integer representing the time"),
        ({"iss": "7"}, 404, "Integration not found"),
    ],
)
async def test_a_jwt_with_a_wrong_claim_is_refused(
    client: Client, claims: dict[str, Any], status: int, sentence: str
) -> None:
    answer = await client("GET", "/app", token=client.app_jwt(**claims))
    assert answer.status == status
    assert sentence in answer.body["message"] or status == 401
    if claims != {"exp": "soon"}:
        assert sentence in answer.body["message"]


async def test_a_jwt_may_live_ten_minutes_and_no_longer(client: Client) -> None:
    now = int(time.time())
    assert (await client("GET", "/app", token=client.app_jwt(exp=now + 595))).status == 200
    assert (await client("GET", "/app", token=client.app_jwt(exp=now + 660))).status == 401


async def test_a_jwt_may_be_issued_a_minute_ahead_of_our_clock(client: Client) -> None:
    now = int(time.time())
    assert (await client("GET", "/app", token=client.app_jwt(iat=now + 30))).status == 200
    assert (await client("GET", "/app", token=client.app_jwt(iat=now + 120))).status == 401


async def test_a_jwt_of_another_key_is_refused(client: Client) -> None:
    other = rsa.generate_private_key(public_exponent=65_537, key_size=2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    now = int(time.time())
    text = jwt.encode({"iat": now, "exp": now + 60, "iss": str(client.github.app_id)}, other, algorithm="RS256")
    answer = await client("GET", "/app", token=text)
    assert (answer.status, answer.body["message"]) == (401, "A JSON web token could not be decoded")


@pytest.mark.parametrize(
    "authorization", ["Bearer nonsense", "token ghs_1", "Basic !!", "Basic eDp5", "Digest x", "Bearer "]
)
async def test_bad_credentials_are_refused(client: Client, repository: Repository, authorization: str) -> None:
    answer = await client("GET", "/repos/octo/hello", token="", headers={"Authorization": authorization})
    assert (answer.status, answer.body["message"]) == (401, "Bad credentials")


async def test_a_token_has_the_long_form_and_says_when_it_ends(client: Client, repository: Repository) -> None:
    installation = client.github.installation_of("octo")
    assert installation is not None
    answer = await client.as_app("POST", f"/app/installations/{installation.id}/access_tokens")
    assert answer.status == 201
    assert answer.body["token"].startswith(f"ghs_{client.github.app_id}_")
    assert len(answer.body["token"]) > 150
    assert answer.body["token"].count(".") == 2
    assert answer.body["permissions"] == client.github.app.permissions
    assert (await client("GET", "/repos/octo/hello", token=answer.body["token"])).status == 200


async def test_a_narrowed_token_can_do_no_more_than_it_was_given(client: Client, repository: Repository) -> None:
    other = await client.github.create_repository("octo/other")
    private = await client.github.create_repository("octo/private", private=True)
    installation = client.github.installation_of("octo")
    assert installation is not None
    answer = await client.as_app(
        "POST",
        f"/app/installations/{installation.id}/access_tokens",
        {"repository_ids": [repository.id], "permissions": {"contents": "read"}},
    )
    token = answer.body["token"]
    assert answer.body["permissions"] == {"contents": "read", "metadata": "read"}
    assert [one["id"] for one in answer.body["repositories"]] == [repository.id]
    assert (await client("GET", "/repos/octo/hello/contents/README.md", token=token)).status == 200
    for one in (other, private):
        assert (await client("GET", f"/repos/{one.full_name}", token=token)).status == 404
        assert (await client("GET", f"/repositories/{one.id}", token=token)).status == 404
    check = {"name": "buildhook", "head_sha": repository.heads["main"]}
    answer = await client("POST", "/repos/octo/hello/check-runs", check, token=token)
    assert (answer.status, answer.body["message"]) == (403, "Resource not accessible by integration")
    listed = await client("GET", "/installation/repositories", token=token)
    assert [one["id"] for one in listed.body["repositories"]] == [repository.id]


async def test_repositories_can_be_named_too(client: Client, repository: Repository) -> None:
    installation = client.github.installation_of("octo")
    assert installation is not None
    path = f"/app/installations/{installation.id}/access_tokens"
    assert (await client.as_app("POST", path, {"repositories": ["hello"]})).body["repositories"][0]["name"] == "hello"
    assert (await client.as_app("POST", path, {"repositories": ["nope"]})).status == 422


async def test_a_token_cannot_be_had_for_what_the_installation_has_not(client: Client, repository: Repository) -> None:
    foreign = await client.github.create_repository("mona/own")
    installation = client.github.installation_of("octo")
    assert installation is not None
    path = f"/app/installations/{installation.id}/access_tokens"
    for body in (
        {"repository_ids": [foreign.id]},
        {"permissions": {"contents": "write"}},
        {"permissions": {"administration": "read"}},
        {"permissions": {"contents": "everything"}},
    ):
        assert (await client.as_app("POST", path, body)).status == 422
    assert (await client.as_app("POST", "/app/installations/1/access_tokens")).status == 404


async def test_a_suspended_installation_has_no_tokens(client: Client, repository: Repository) -> None:
    token = client.github.installation_token("octo")
    installation = client.github.installation_of("octo")
    assert installation is not None
    client.github.suspend("octo")
    path = f"/app/installations/{installation.id}/access_tokens"
    for answer in (await client.as_app("POST", path), await client("GET", "/repos/octo/hello", token=token)):
        assert (answer.status, answer.body["message"]) == (403, "This installation has been suspended")
    assert (await client.as_app("GET", f"/app/installations/{installation.id}")).body["suspended_at"] is not None
    client.github.unsuspend("octo")
    assert (await client("GET", "/repos/octo/hello", token=token)).status == 200


async def test_a_token_ends_with_its_time_with_its_installation_and_when_it_is_revoked(
    client: Client, repository: Repository
) -> None:
    github = client.github
    token = github.installation_token("octo")
    assert (await client("DELETE", "/installation/token", token=token)).status == 204
    assert (await client("GET", "/repos/octo/hello", token=token)).status == 401
    token = github.installation_token("octo")
    github.tokens.revoke_all()
    assert (await client("GET", "/repos/octo/hello", token=token)).status == 401
    token = github.installation_token("octo")
    github.uninstall("octo")
    assert (await client("GET", "/repos/octo/hello", token=token)).status == 401


async def test_the_life_of_a_token_can_be_set(tmp_path: Path) -> None:
    async with Simulator(folder=tmp_path, token_lifetime_seconds=0.0) as github, aiohttp.ClientSession() as session:
        await github.create_repository("octo/hello")
        answer = await Client(github, session)("GET", "/repos/octo/hello")
        assert (answer.status, answer.body["message"]) == (401, "Bad credentials")


async def test_each_kind_of_credential_has_its_own_routes(client: Client, repository: Repository) -> None:
    answer = await client("GET", "/app/installations")
    assert (answer.status, answer.body["message"]) == (401, "A JSON web token could not be decoded")
    check = {"name": "buildhook", "head_sha": repository.heads["main"]}
    assert (await client.as_app("POST", "/repos/octo/hello/check-runs", check)).status == 403
    assert (await client.as_app("DELETE", "/installation/token")).status == 403
    assert (await client("POST", "/repos/octo/hello/check-runs", check, token="")).status == 401
    person = client.github.user_token("mona")
    answer = await client("POST", "/repos/octo/hello/check-runs", check, token=person)
    assert (answer.status, answer.body["message"]) == (403, "Resource not accessible by personal access token")


async def test_private_repositories_are_hidden(client: Client) -> None:
    await client.github.create_repository("octo/private", private=True)
    stranger = client.github.user_token("hubot")
    assert (await client("GET", "/repos/octo/private", token="")).status == 404
    assert (await client("GET", "/repos/octo/private", token=stranger)).status == 404
    assert (await client("GET", "/repos/octo/private", token=client.github.user_token("mona"))).status == 200
    assert (await client("GET", "/repos/octo/private")).status == 200
    assert (await client.as_app("GET", "/repos/octo/private/installation")).status == 200


async def test_installations_are_listed(client: Client, repository: Repository) -> None:
    await client.github.create_repository("mona/own")
    answer = await client.as_app("GET", "/app/installations")
    assert [one["account"]["login"] for one in answer.body] == ["octo", "mona"]
    found = await client.as_app("GET", f"/app/installations/{answer.body[0]['id']}")
    assert found.body == answer.body[0]
    assert (await client.as_app("GET", "/app/installations/1")).status == 404
    await client.github.create_repository("octo/outside", installed=False)
    assert (await client.as_app("GET", "/repos/octo/outside/installation")).status == 404


async def test_a_request_without_user_agent_is_refused(client: Client, repository: Repository) -> None:
    async with aiohttp.ClientSession(skip_auto_headers={"User-Agent"}) as session:
        answer = await Client(client.github, session)("GET", "/repos/octo/hello")
    assert answer.status == 403
    assert "User-Agent" in answer.body["message"]


def test_a_credential_is_read_from_every_scheme() -> None:
    assert auth.credential("Bearer a") == auth.credential("token a") == auth.credential("basic eDph") == "a"
    assert auth.credential(None) is None
    assert auth.credential("Basic ÿ") == ""
