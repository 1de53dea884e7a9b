"""People sign in through an App: the page that asks them, codes, tokens that are renewed, and what these may."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import pytest

from bot.simulator import Repository, Simulator, SimulatorError, signing_in
from tests.simulator.conftest import Client, Receiver, Reply
from tests.simulator.test_pages import press, show

BACK = "http://127.0.0.1:8080/login/callback"
VERIFIER = "v" * 43
CHALLENGE = signing_in.challenge_of(VERIFIER)


@pytest.fixture(autouse=True)
def _callback(github: Simulator) -> None:
    github.app.callback_urls = [BACK]


def asked(github: Simulator, **changes: str) -> str:
    """The address that an App sends a browser to."""
    query = {
        "client_id": github.client_id,
        "redirect_uri": BACK,
        "state": "a b&c",
        "code_challenge": CHALLENGE,
        "code_challenge_method": "S256",
        **changes,
    }
    return "/login/oauth/authorize?" + urlencode({name: value for name, value in query.items() if value})


async def ask_token(client: Client, *, accept: str = "application/json", **form: str) -> Reply:
    its = client.github
    whole = {"client_id": its.client_id, "client_secret": its.client_secret, "redirect_uri": BACK, **form}
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": accept}
    content = urlencode(whole).encode()
    return await client("POST", "/login/oauth/access_token", content, root=its.url, token="", headers=headers)


def basic(github: Simulator, secret: str | None = None) -> dict[str, str]:
    pair = f"{github.client_id}:{github.client_secret if secret is None else secret}"
    return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}


async def about(client: Client, method: str, token: str, **more: Any) -> Reply:
    headers = more.pop("headers", basic(client.github))
    path = f"/applications/{more.pop('client_id', client.github.client_id)}/token"
    return await client(method, path, {"access_token": token}, token="", headers=headers)


async def test_the_page_asks_and_its_button_leads_back_with_a_code(client: Client) -> None:
    page = await show(client, asked(client.github))
    assert "Authorize buildhook" in page
    assert 'value="a b&amp;c"' in page
    form = asked(client.github).partition("?")[2]
    answer = await press(client, "/login/oauth/authorize", f"{form}&sender=hubot&answer=yes")
    assert answer.status == 303
    back = urlsplit(answer.headers["Location"])
    told = parse_qs(back.query)
    assert (f"{back.scheme}://{back.netloc}{back.path}", told["state"]) == (BACK, ["a b&c"])
    granted = await ask_token(client, code=told["code"][0], code_verifier=VERIFIER)
    assert granted.body["access_token"].startswith("ghu_")
    assert granted.body["refresh_token"].startswith("ghr_")
    assert (granted.body["expires_in"], granted.body["refresh_token_expires_in"]) == (28_800, 15_897_600)
    who = await client("GET", "/user", token=granted.body["access_token"])
    assert (who.body["login"], who.body["type"]) == ("hubot", "User")


async def test_the_policy_of_the_page_lets_its_form_lead_to_the_app(client: Client, repository: Repository) -> None:
    answer = await client("GET", asked(client.github), root=client.github.url, token="")
    assert "form-action 'self' http://127.0.0.1:8080;" in answer.headers["Content-Security-Policy"]
    answer = await client("GET", "/octo/hello", root=client.github.url, token="")
    assert "form-action 'self';" in answer.headers["Content-Security-Policy"]


async def test_who_does_not_agree_is_led_back_without_a_code(client: Client) -> None:
    form = asked(client.github).partition("?")[2]
    answer = await press(client, "/login/oauth/authorize", f"{form}&sender=hubot&answer=no")
    told = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert (told["error"], told["state"]) == (["access_denied"], ["a b&c"])
    assert "code" not in told


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client_id": "Iv23liother"}, "no App"),
        ({"client_id": ""}, "no App"),
        ({"redirect_uri": "https://evil.example/"}, "not associated"),
        ({"redirect_uri": BACK + "/more"}, "not associated"),
        ({"redirect_uri": BACK + "?x=1"}, "not associated"),
        ({"code_challenge_method": "plain"}, "S256"),
        ({"code_challenge_method": ""}, "S256"),
    ],
)
async def test_a_wrong_question_is_told_and_leads_nowhere(client: Client, changes: dict[str, str], reason: str) -> None:
    answer = await client("GET", asked(client.github, **changes), root=client.github.url, token="")
    assert answer.status == 400
    assert reason in answer.content.decode()
    assert "Authorize" not in answer.content.decode()
    form = asked(client.github, **changes).partition("?")[2]
    answer = await press(client, "/login/oauth/authorize", f"{form}&sender=hubot&answer=yes")
    assert answer.status == 409
    with pytest.raises(SimulatorError, match=reason):
        client.github.sign_in("mona", client.github.url + asked(client.github, **changes))


async def test_no_other_site_can_sign_somebody_in(client: Client) -> None:
    form = asked(client.github).partition("?")[2] + "&sender=hubot&answer=yes"
    answer = await press(client, "/login/oauth/authorize", form, Origin="https://evil.example")
    assert answer.status == 403


def test_people_come_back_beside_the_webhook_where_nothing_else_is_set(github: Simulator) -> None:
    github.app.callback_urls = []
    github.webhook_url = "https://ci.example:8443/webhook"
    assert github.sign_ins.callback_urls(github.app) == ("https://ci.example:8443/login/callback",)
    github.webhook_url = None
    assert github.sign_ins.callback_urls(github.app) == ()
    with pytest.raises(SimulatorError, match="not associated"):
        github.sign_in("mona", github.url + asked(github, redirect_uri=""))


async def test_errors_come_with_200_as_json_or_as_a_form(client: Client) -> None:
    for form, error in (
        ({"code": "nonsense"}, "bad_verification_code"),
        ({"client_secret": "wrong"}, "incorrect_client_credentials"),
        ({"client_secret": "ü"}, "incorrect_client_credentials"),
        ({"client_id": "x"}, "incorrect_client_credentials"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "refresh_token", "refresh_token": "ghr_x"}, "bad_refresh_token"),
    ):
        answer = await ask_token(client, **form)
        assert (answer.status, answer.body["error"]) == (200, error)
    answer = await ask_token(client, accept="*/*", code="nonsense")
    assert parse_qs(answer.content.decode())["error"] == ["bad_verification_code"]


async def test_the_token_endpoint_is_not_below_the_api(client: Client) -> None:
    answer = await client("POST", "/login/oauth/access_token", {}, token="")
    assert answer.status == 404


async def test_a_code_is_bound_to_its_app(client: Client) -> None:
    github, other = client.github, client.github.other_app
    back = github.sign_in("mona", github.url + asked(github))
    code = parse_qs(urlsplit(back).query)["code"][0]
    answer = await ask_token(
        client, client_id=other.client_id, client_secret=other.client_secret, code=code, code_verifier=VERIFIER
    )
    assert answer.body["error"] == "bad_verification_code"


async def test_an_app_may_do_without_a_challenge(client: Client) -> None:
    back = client.github.sign_in("mona", asked(client.github, code_challenge="", code_challenge_method="", state=""))
    (code,) = parse_qs(urlsplit(back).query)["code"]
    assert back == f"{BACK}?code={quote(code)}"
    assert "access_token" in (await ask_token(client, code=code)).body


async def test_an_app_asks_whose_a_token_is(client: Client) -> None:
    github = client.github
    token = github.signed_in_token("hubot")
    answer = await about(client, "POST", token)
    assert (answer.status, answer.body["user"]["id"]) == (200, github.user("hubot").id)
    assert answer.body["app"]["client_id"] == github.client_id
    foreign = github.signed_in_token("hubot", app=github.other_app)
    for other in (foreign, github.user_token("hubot"), github.installation_token(_installed(github)), "nonsense"):
        assert (await about(client, "POST", other)).status == 404
    assert (await about(client, "POST", token, client_id=github.other_app.client_id)).status == 404
    for headers in (basic(github, "wrong"), {"Authorization": f"Bearer {token}"}, {}):
        assert (await about(client, "POST", token, headers=headers)).status == 401
    github.clock.advance(28_800)
    assert (await about(client, "POST", token)).status == 404


def _installed(github: Simulator) -> str:
    github.install("corp")
    return "corp"


async def test_an_app_ends_a_token(client: Client) -> None:
    token = client.github.signed_in_token("hubot")
    assert (await client("GET", "/user", token=token)).status == 200
    assert (await about(client, "DELETE", token)).status == 204
    assert (await client("GET", "/user", token=token)).status == 401
    assert (await about(client, "DELETE", token)).status == 404


async def test_only_people_are_asked_who_they_are(client: Client, repository: Repository) -> None:
    for path in ("/user", "/user/installations"):
        for token in ("", client.github.installation_token("octo")):
            assert (await client("GET", path, token=token)).status == 401
    personal = client.github.user_token("mona")
    assert (await client("GET", "/user", token=personal)).body["login"] == "mona"
    assert (await client("GET", "/user/installations", token=personal)).status == 403
    foreign = client.github.signed_in_token("mona", app=client.github.other_app)
    assert (await client("GET", "/user/installations", token=foreign)).body["installations"] == []


async def test_a_token_reaches_what_both_its_owner_and_the_app_reach(client: Client, repository: Repository) -> None:
    github = client.github
    ours = await github.create_repository("octo/ours", private=True)
    outside = await github.create_repository("octo/outside", private=True, installed=False)
    token = github.signed_in_token("mona")
    listed = await client("GET", "/user/installations", token=token)
    (installation,) = listed.body["installations"]
    path = f"/user/installations/{installation['id']}/repositories"
    repositories = (await client("GET", path, token=token)).body["repositories"]
    assert {one["id"]: one["permissions"]["admin"] for one in repositories} == {repository.id: True, ours.id: True}
    assert (await client("GET", f"/repositories/{ours.id}", token=token)).body["permissions"]["admin"] is True
    assert (await client("GET", f"/repositories/{outside.id}", token=token)).status == 404
    assert (await client("GET", f"/repositories/{outside.id}", token=github.user_token("mona"))).status == 200
    stranger = github.signed_in_token("eve")
    assert (await client("GET", path, token=stranger)).body["repositories"] == []
    assert (await client("GET", f"/repositories/{ours.id}", token=stranger)).status == 404
    seen = await client("GET", f"/repositories/{repository.id}", token=stranger)
    assert seen.body["permissions"] == {
        "pull": True,
        "triage": False,
        "push": False,
        "maintain": False,
        "admin": False,
    }
    github.suspend("octo")
    assert (await client("GET", path, token=token)).status == 403
    assert (await client("GET", f"/repositories/{ours.id}", token=token)).status == 404
    # The App's client secret is no way around it.
    answer = await client("GET", f"/repositories/{ours.id}", token="", headers=basic(github))
    assert answer.status == 404


async def test_a_token_writes_what_the_app_was_granted_alone(client: Client, repository: Repository) -> None:
    github = client.github
    token = github.signed_in_token("mona")
    await github.push(repository, "topic", {"a.txt": "1"})
    pull = await github.open_pull_request(repository, "topic")
    path = f"/repos/octo/hello/issues/{pull.number}/comments"
    assert (await client("POST", path, {"body": "yes"}, token=token)).status == 201
    github.grant("octo", {"metadata": "read", "pull_requests": "read"})
    assert (await client("POST", path, {"body": "no"}, token=token)).status == 403


async def test_what_changes_for_people_is_told(client: Client, receiver: Receiver, repository: Repository) -> None:
    github = client.github
    github.app.events.update({"member", "public"})
    for level in ("read", "read", "maintain", "none", "none"):
        github.set_permission(repository, "hubot", level)
    github.set_visibility(repository, private=True)
    github.set_visibility(repository, private=True)
    github.set_visibility(repository, private=False)
    github.suspend("octo")
    github.set_permission(repository, "hubot", "admin")
    github.unsuspend("octo")
    github.revoke_sign_in("hubot")
    await github.hooks.settle()
    expected = [
        "github_app_authorization.revoked",
        "installation.suspend",
        "installation.unsuspend",
        "member.added",
        "member.edited",
        "member.removed",
        "public",
        "repository.privatized",
        "repository.publicized",
    ]
    assert [name for name in receiver.events() if name in expected] == expected
    assert receiver.payload("member.edited")["changes"]["permission"] == {"from": "read", "to": "maintain"}
    assert receiver.payload("repository.privatized")["repository"]["private"] is True
    assert receiver.payload("github_app_authorization.revoked")["sender"]["login"] == "hubot"


async def test_another_process_does_it_too(client: Client, repository: Repository) -> None:
    github = client.github

    async def do(operation: str, **arguments: Any) -> Any:
        answer = await client("POST", f"/_simulator/{operation}", arguments, root=github.url, token="", headers=_JSON)
        assert answer.status == 200, answer.content
        return answer.body

    other = "http://127.0.0.1:9/login/callback"
    await do("callback_urls", urls=[other])
    app = await do("app")
    assert (app["client_id"], app["client_secret"]) == (github.client_id, github.client_secret)
    assert app["callback_urls"] == [other]
    url = github.url + asked(github, redirect_uri=other)
    assert (await do("sign_in", login="hubot", authorize_url=url))["url"].startswith(f"{other}?code=")
    token = (await do("signed_in_token", login="hubot"))["token"]
    await do("set_visibility", repo="octo/hello", private=True)
    assert (await client("GET", f"/repositories/{repository.id}", token=token)).status == 404
    await do("revoke_sign_in", login="hubot")
    assert (await client("GET", "/user", token=token)).status == 401


_JSON = {"Content-Type": "application/json"}
