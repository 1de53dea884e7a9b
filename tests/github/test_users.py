"""People sign in: the client and the simulated GitHub, which know nothing of each other, over real HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import io
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, parse_qsl, urlsplit

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors, telemetry
from bot.github import Clock, GitHub, Grant, Patience, Users, sign_in
from bot.github.client import Client
from bot.github.urls import derive
from bot.model.person import Permission, Person, Right
from bot.simulator import Simulator
from tests.github.conftest import Reply, Server, Time

BACK = "https://ci.example/login/callback"
VERIFIER = "v" * 43
TOKEN_PATH = "/login/oauth/access_token"
CLIENT_ID, CLIENT_SECRET = "Iv1.0123456789abcdef", "CanarySecretOfTheClient0123456789"
TOKEN, REFRESH = "ghu_" + "CanaryToken" * 4, "ghr_" + "CanaryRefresh" * 6
CHECK_PATH = f"/applications/{CLIENT_ID}/token"
GRANTED = {
    "access_token": TOKEN,
    "token_type": "bearer",
    "scope": "",
    "expires_in": 28_800,
    "refresh_token": REFRESH,
    "refresh_token_expires_in": 15_897_600,
}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    """The simulated GitHub; mona owns nothing of it, but may do everything in what is made."""
    async with Simulator() as opened:
        opened.app.callback_urls = [BACK]
        yield opened
        # Every answer was one that GitHub's own description allows.
        assert opened.problems == []


@pytest.fixture
async def github(simulator: Simulator, metrics: telemetry.Metrics, patience: Patience) -> AsyncIterator[GitHub]:
    """Our App on it, whose clock goes with GitHub's."""
    made = GitHub(
        api_url=simulator.api_url,
        app_id=simulator.app_id,
        private_key=simulator.private_key,
        metrics=metrics,
        patience=patience,
        clock=Clock(now=simulator.clock.instant),
    )
    async with made as opened:
        yield opened


@pytest.fixture
def users(simulator: Simulator, github: GitHub) -> Users:
    """What is tested here."""
    return github.users(client_id=simulator.client_id, client_secret=simulator.client_secret)


@pytest.fixture
def scripted(server: Server, client: Client, time: Time) -> Users:
    """The same, against a server that answers as a test says."""
    return Users(client, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, clock=time.clock)


def begin(simulator: Simulator, users: Users, login: str = "mona", *, state: str = "s") -> str:
    """The code that a browser brings back."""
    url = users.authorize_url(redirect_uri=BACK, state=state, challenge=sign_in.challenge_of(VERIFIER))
    back = urlsplit(simulator.sign_in(login, url))
    assert f"{back.scheme}://{back.netloc}{back.path}" == BACK
    query = parse_qs(back.query)
    assert query["state"] == [state]
    return query["code"][0]


async def enter(simulator: Simulator, users: Users, login: str = "mona") -> Grant:
    """Signs in from beginning to end."""
    return await users.exchange(code=begin(simulator, users, login), verifier=VERIFIER, redirect_uri=BACK)


# The way of signing in


async def test_a_person_signs_in_and_is_known_by_number(simulator: Simulator, users: Users) -> None:
    before = simulator.clock.instant()
    grant = await enter(simulator, users, "hubot")
    assert grant.expires_at is not None
    assert grant.refresh_expires_at is not None
    assert 28_800 <= (grant.expires_at - before).total_seconds() < 28_830
    assert 15_897_600 <= (grant.refresh_expires_at - before).total_seconds() < 15_897_630
    assert await users.whose(grant.token) == Person(id=simulator.user("hubot").id, login="hubot")


async def test_the_tokens_of_an_app_may_live_without_end(simulator: Simulator, users: Users) -> None:
    simulator.sign_ins.are_expiring = False
    grant = await enter(simulator, users)
    assert (grant.expires_at, grant.refresh_token, grant.refresh_expires_at) == (None, None, None)
    simulator.clock.advance(10 * 365 * 86_400)
    assert (await users.whose(grant.token)).login == "mona"


async def test_t93_a_code_is_good_once_for_ten_minutes(simulator: Simulator, users: Users) -> None:
    """T93: a code that is used, late or made up is refused."""
    used, late = begin(simulator, users), begin(simulator, users)
    await users.exchange(code=used, verifier=VERIFIER, redirect_uri=BACK)
    simulator.clock.advance(600)
    for code in (used, late, "0" * 20, "", "x&client_id=y", "c" * 5000):
        with pytest.raises(errors.SignInRefused, match="Sign in again"):
            await users.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK)


async def test_t93_a_code_of_another_browser_is_refused(simulator: Simulator, users: Users) -> None:
    """T93: whoever stole a code has not the verifier, and it is used up by their try."""
    code = begin(simulator, users)
    for verifier in ("w" * 43, VERIFIER):
        with pytest.raises(errors.SignInRefused, match="begun in another browser"):
            await users.exchange(code=code, verifier=verifier, redirect_uri=BACK)


async def test_t93_only_the_apps_own_callback_is_led_to(simulator: Simulator, users: Users) -> None:
    """T93: GitHub leads nobody elsewhere; and the operator is told what to add."""
    for other in ("https://evil.example/login/callback", f"{BACK}/", f"{BACK}?x=1", BACK.replace("https", "http")):
        url = users.authorize_url(redirect_uri=other, state="s", challenge="c")
        with pytest.raises(Exception, match="redirect_uri is not associated"):
            simulator.sign_in("mona", url)
        code = begin(simulator, users)
        with pytest.raises(errors.SignInBroken, match="callback URLs"):
            await users.exchange(code=code, verifier=VERIFIER, redirect_uri=other)


async def test_a_wrong_client_secret_is_the_operators(simulator: Simulator, github: GitHub, users: Users) -> None:
    grant = await enter(simulator, users)
    wrong = github.users(client_id=simulator.client_id, client_secret="wrong")
    unknown = github.users(client_id="Iv1.unknown", client_secret=simulator.client_secret)
    for one in (wrong, unknown):
        with pytest.raises(errors.SignInBroken, match="BUILDHOOK_CLIENT_SECRET"):
            await one.exchange(code=begin(simulator, users), verifier=VERIFIER, redirect_uri=BACK)
        with pytest.raises(errors.SignInBroken, match="BUILDHOOK_CLIENT_SECRET"):
            await one.whose(grant.token)
        with pytest.raises(errors.SignInBroken, match="BUILDHOOK_CLIENT_SECRET"):
            await one.revoke(grant.token)


async def test_t94_a_token_of_another_app_is_refused(simulator: Simulator, users: Users) -> None:
    """T94: it may be good, but whoever gave it did not give it to us."""
    foreign = simulator.signed_in_token("mona", app=simulator.other_app)
    for token in (foreign, simulator.user_token("mona"), "ghu_" + "0" * 36, "", "ghu_\r\nx: y" + "0" * 36):
        with pytest.raises(errors.SignInRefused):
            await users.whose(token)


# The life of a token


async def test_a_refresh_ends_both_old_tokens(simulator: Simulator, users: Users) -> None:
    old = await enter(simulator, users)
    assert old.refresh_token is not None
    simulator.clock.advance(8 * 3600)
    with pytest.raises(errors.SignInOver):
        await users.rights(old.token, user_id=1)
    new = await users.refresh(old.refresh_token)
    assert (await users.whose(new.token)).login == "mona"
    newest = await users.refresh(new.refresh_token or "")
    with pytest.raises(errors.SignInOver):
        await users.rights(new.token, user_id=1)
    for dead in (old.refresh_token, new.refresh_token, "", old.token, "ghr_" + "0" * 76):
        with pytest.raises(errors.SignInOver, match="Sign in again"):
            await users.refresh(dead or "")
    simulator.clock.advance(15_897_600)
    with pytest.raises(errors.SignInOver):
        await users.refresh(newest.refresh_token or "")


async def test_what_a_person_takes_back_is_over_at_once(simulator: Simulator, users: Users) -> None:
    grant, other = await enter(simulator, users), await enter(simulator, users, "hubot")
    user_id = simulator.user("mona").id
    await users.rights(grant.token, user_id=user_id)
    simulator.revoke_sign_in("mona")
    with pytest.raises(errors.SignInOver):
        await users.rights(grant.token, user_id=user_id)
    with pytest.raises(errors.SignInOver):
        await users.right(grant.token, 1, user_id=user_id)
    with pytest.raises(errors.SignInOver):
        await users.refresh(grant.refresh_token or "")
    with pytest.raises(errors.SignInRefused):
        await users.whose(grant.token)
    assert (await users.whose(other.token)).login == "hubot"
    assert simulator.deliveries[-1].event == "github_app_authorization"


async def test_signing_out_ends_the_token_on_github(simulator: Simulator, users: Users) -> None:
    grant = await enter(simulator, users)
    await users.revoke(grant.token)
    with pytest.raises(errors.SignInOver):
        await users.rights(grant.token, user_id=1)
    # Once more, or one that was never ours, is as good as done.
    for token in (grant.token, simulator.signed_in_token("mona", app=simulator.other_app), "nonsense"):
        await users.revoke(token)


# What a person may see


async def test_rights_are_those_of_github_at_each_moment(simulator: Simulator, users: Users) -> None:
    """Each level is told as it is, and what is taken away is gone at the next question."""
    levels = {
        "admin": Permission.ADMIN,
        "maintain": Permission.WRITE,
        "write": Permission.WRITE,
        "triage": Permission.READ,
        "read": Permission.READ,
    }
    private = await simulator.create_repository("octo/private", private=True)
    hidden = await simulator.create_repository("octo/hidden", private=True)
    token, user_id = (await enter(simulator, users, "hubot")).token, simulator.user("hubot").id
    assert await users.rights(token, user_id=user_id) == {}
    installation = simulator.installation_of("octo")
    assert installation is not None
    for level, permission in levels.items():
        simulator.set_permission(private, "hubot", level)
        expected = Right(
            repository_id=private.id,
            full_name="octo/private",
            installation_id=installation.id,
            permission=permission,
            is_private=True,
        )
        assert await users.rights(token, user_id=user_id) == {private.id: expected}
        alone = await users.right(token, private.id, user_id=user_id)
        assert alone == msgspec.structs.replace(expected, installation_id=None)
        assert await users.right(token, hidden.id, user_id=user_id) is None
    simulator.set_permission(private, "hubot", "none")
    assert await users.rights(token, user_id=user_id) == {}
    assert await users.right(token, private.id, user_id=user_id) is None


async def test_what_becomes_private_or_is_suspended_is_seen_no_more(simulator: Simulator, users: Users) -> None:
    """Visibility, suspension and removal count at the next question."""
    public = await simulator.create_repository("octo/public")
    mine = await simulator.create_repository("octo/mine", private=True)
    outside = await simulator.create_repository("elsewhere/outside", private=True, installed=False)
    simulator.set_permission(mine, "hubot", "read")
    simulator.set_permission(outside, "hubot", "admin")
    token, user_id = (await enter(simulator, users, "hubot")).token, simulator.user("hubot").id

    async def see(repository_id: int) -> Permission:
        right = await users.right(token, repository_id, user_id=user_id)
        return right.permission if right is not None else Permission.NONE

    assert set(await users.rights(token, user_id=user_id)) == {mine.id}
    assert await see(public.id) is Permission.READ
    # Theirs on GitHub, but not through this App.
    assert await see(outside.id) is Permission.NONE
    simulator.set_visibility(public, private=True)
    assert await see(public.id) is Permission.NONE
    simulator.set_visibility(public, private=False)
    assert await see(public.id) is Permission.READ
    simulator.rename(mine, "other")
    assert await see(mine.id) is Permission.READ
    assert (await users.rights(token, user_id=user_id))[mine.id].full_name == "octo/other"
    simulator.suspend("octo")
    assert await users.rights(token, user_id=user_id) == {}
    assert await see(mine.id) is Permission.NONE
    simulator.unsuspend("octo")
    assert await see(mine.id) is Permission.READ
    simulator.remove_from_installation(mine)
    assert await users.rights(token, user_id=user_id) == {}
    assert await see(mine.id) is Permission.NONE
    await simulator.delete_repository(public)
    assert await see(public.id) is Permission.NONE


async def test_lists_are_read_to_their_end(simulator: Simulator, users: Users) -> None:
    first = await simulator.create_repository("octo/r0", private=True)
    for number in range(1, 205):
        # As many rows of the list, without as many repositories of git.
        repository = dataclasses.replace(first, id=first.id + 1000 + number, name=f"r{number}")
        simulator.repositories[repository.id] = repository
    simulator.install("octo", [one for one in simulator.repositories.values() if one is not first])
    token, user_id = (await enter(simulator, users)).token, simulator.user("mona").id
    rights = await users.rights(token, user_id=user_id)
    assert len(rights) == 205
    assert {right.permission for right in rights.values()} == {Permission.ADMIN}
    asked = [one.path for one in simulator.requests if "/repositories?" in one.path]
    assert [path.partition("page=100&")[2] for path in asked] == ["page=1", "page=2", "page=3"]
    for number in range(1, 205):
        del simulator.repositories[first.id + 1000 + number]


async def test_what_an_organisation_keeps_behind_saml_is_left_out(simulator: Simulator, users: Users) -> None:
    open_one = await simulator.create_repository("octo/open", private=True)
    kept = await simulator.create_repository("corp/kept", private=True)
    corp = simulator.installation_of("corp")
    assert corp is not None
    message = "Resource protected by organization SAML enforcement. You must grant your OAuth token access."
    for path in (f"/user/installations/{corp.id}/", f"/repositories/{kept.id}$"):
        simulator.faults.add(
            path=path, status=403, times=None, body={"message": message}, headers={"X-GitHub-SSO": "required"}
        )
    token, user_id = (await enter(simulator, users)).token, simulator.user("mona").id
    assert set(await users.rights(token, user_id=user_id)) == {open_one.id}
    assert await users.right(token, kept.id, user_id=user_id) is None
    simulator.faults.clear()
    assert set(await users.rights(token, user_id=user_id)) == {open_one.id, kept.id}


async def test_answers_are_kept_for_one_person_and_limits_counted_apart(simulator: Simulator, users: Users) -> None:
    repository = await simulator.create_repository("octo/hello", private=True)
    simulator.set_permission(repository, "hubot", "read")
    grants = {login: await enter(simulator, users, login) for login in ("mona", "hubot")}
    for _ in range(2):
        for login, permission in (("mona", Permission.ADMIN), ("hubot", Permission.READ)):
            user_id = simulator.user(login).id
            right = await users.right(grants[login].token, repository.id, user_id=user_id)
            assert right is not None
            assert right.permission is permission
    answered = [one.status for one in simulator.requests if one.path == f"/repositories/{repository.id}"]
    assert answered == [200, 200, 200, 200], "recorded before it is compared with the tag"
    assert simulator.rates.state(simulator.tokens.principal(f"Bearer {grants['mona'].token}"))["used"] == 1
    simulator.rates.use_up("user mona")
    with pytest.raises(errors.RateLimited):
        await users.rights(grants["mona"].token, user_id=simulator.user("mona").id)
    assert await users.rights(grants["hubot"].token, user_id=simulator.user("hubot").id)


# GitHub away, and what is not GitHub


async def test_nothing_is_known_while_github_is_away(simulator: Simulator, users: Users) -> None:
    repository = await simulator.create_repository("octo/hello")
    grant, user_id = await enter(simulator, users), simulator.user("mona").id
    simulator.faults.add(path="/repositor|/user/|/applications/", status=502, times=None, html=True)
    for asked in (
        users.rights(grant.token, user_id=user_id),
        users.right(grant.token, repository.id, user_id=user_id),
        users.whose(grant.token),
        users.revoke(grant.token),
    ):
        with pytest.raises(errors.GitHubUnavailable):
            await asked
    simulator.faults.clear()
    # One bad moment is not noticed where nothing was changed.
    simulator.faults.add(path="/repositories/", drop_before=True)
    assert await users.right(grant.token, repository.id, user_id=user_id) is not None


async def test_a_refresh_whose_answer_was_lost_is_told_as_that(simulator: Simulator, users: Users) -> None:
    grant = await enter(simulator, users)
    simulator.faults.add(method="POST", path=TOKEN_PATH, drop_response_after_applying=True)
    with pytest.raises(errors.AnswerLost, match="may have been done"):
        await users.refresh(grant.refresh_token or "")
    with pytest.raises(errors.SignInOver):
        await users.refresh(grant.refresh_token or "")
    simulator.faults.add(method="POST", path=TOKEN_PATH, status=503)
    with pytest.raises(errors.AnswerLost, match="may be used up"):
        await users.exchange(code=begin(simulator, users), verifier=VERIFIER, redirect_uri=BACK)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_the_client_secret_goes_to_one_address_in_a_body(
    server: Server, foreign: Server, scripted: Users, log: io.StringIO, status: int
) -> None:
    for target in (f"{foreign.url}/x", f"{server.url}/elsewhere", "/elsewhere"):
        server.on("POST", TOKEN_PATH, Reply(status=status, data={}, headers={"location": target}))
        with pytest.raises(errors.GitHubError, match="redirect") as told:
            await scripted.exchange(code="c", verifier=VERIFIER, redirect_uri=BACK)
        assert "Canary" not in str(told.value)
    assert foreign.seen == []
    assert {one.path for one in server.seen} == {TOKEN_PATH}
    for one in server.seen:
        assert "authorization" not in one.headers
        assert one.query == {}
        assert one.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "Canary" not in log.getvalue()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(data={**GRANTED, "access_token": "gho_" + "x" * 36}),
        Reply(data={**GRANTED, "access_token": "ghu_short"}),
        Reply(data={**GRANTED, "access_token": "ghu_" + "x" * 20 + "\n"}),
        Reply(data={**GRANTED, "access_token": "ghu_" + "x" * 5000}),
        Reply(data={**GRANTED, "refresh_token": TOKEN}),
        Reply(data={**GRANTED, "token_type": "mac"}),
        Reply(data={**GRANTED, "expires_in": 0}),
        Reply(data={**GRANTED, "expires_in": 10**18}),
        Reply(data={**GRANTED, "refresh_token_expires_in": -1}),
        Reply(data={**GRANTED, "expires_in": "28800"}),
        Reply(data={"access_token": TOKEN, "pad": "x" * 70_000}),
        Reply(data=[]),
        Reply(raw=b"", content_type="application/json"),
        Reply(raw=b"access_token=x", content_type="application/x-www-form-urlencoded"),
        Reply(raw=b"<html>sign in</html>", content_type="text/html"),
        Reply(status=500, data={"message": "Server Error"}),
    ],
)
async def test_what_is_no_grant_is_none(server: Server, scripted: Users, log: io.StringIO, reply: Reply) -> None:
    server.on("POST", TOKEN_PATH, reply)
    with pytest.raises(errors.GitHubUnavailable) as told:
        await scripted.refresh(REFRESH)
    assert "Canary" not in str(told.value)
    assert "Canary" not in log.getvalue()
    assert len(server.seen) == 1, "what was sent is good once"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bad_verification_code", errors.SignInRefused),
        ("access_denied", errors.SignInRefused),
        ("unverified_user_email", errors.SignInRefused),
        ("something_new", errors.SignInRefused),
        ("<script>", errors.SignInRefused),
        ("bad_refresh_token", errors.SignInOver),
        ("incorrect_client_credentials", errors.SignInBroken),
        ("redirect_uri_mismatch", errors.SignInBroken),
        ("application_suspended", errors.SignInBroken),
    ],
)
@pytest.mark.parametrize("status", [200, 400, 401])
async def test_each_refusal_is_one_class_in_our_words(
    server: Server, scripted: Users, status: int, name: str, kind: type[errors.GitHubError]
) -> None:
    """Whatever GitHub says beside it, and whoever says it: a page of ours shows no words of others."""
    data = {"error": name, "error_description": f"Call 555 now. {CLIENT_SECRET}", "error_uri": "https://evil.example"}
    server.on("POST", TOKEN_PATH, Reply(status=status, data=data))
    with pytest.raises(kind) as told:
        await scripted.exchange(code="c", verifier=VERIFIER, redirect_uri=BACK)
    assert type(told.value) is kind
    for foreign in ("555", "Canary", "evil", "<"):
        assert foreign not in str(told.value)


@pytest.mark.parametrize(
    "user",
    [
        None,
        "mona",
        {},
        {"login": "mona", "type": "User"},
        {"id": 0, "login": "mona", "type": "User"},
        {"id": -5, "login": "mona", "type": "User"},
        {"id": True, "login": "mona", "type": "User"},
        {"id": "7", "login": "mona", "type": "User"},
        {"id": 7.0, "login": "mona", "type": "User"},
        {"id": 2**63, "login": "mona", "type": "User"},
        {"id": 7, "login": "", "type": "User"},
        {"id": 7, "login": "mona\n", "type": "User"},
        {"id": 7, "login": "hubot[bot]", "type": "Bot"},
        {"id": 7, "login": "octo", "type": "Organization"},
        {"id": 7, "login": "mona"},
    ],
)
async def test_t99_nobody_without_a_number_signs_in(server: Server, scripted: Users, user: object) -> None:
    """T99: an empty or odd identity is refused, and so is what is no person."""
    server.on("POST", CHECK_PATH, Reply(data={"app": {"client_id": CLIENT_ID}, "token": TOKEN, "user": user}))
    with pytest.raises(errors.SignInRefused):
        await scripted.whose(TOKEN)


async def test_t94_what_github_says_of_the_app_counts(server: Server, scripted: Users) -> None:
    """T94: also where it answers well, the answer has to be about our App and about this token."""
    user = {"id": 7, "login": "octo_cat", "type": "User"}
    ours = {"app": {"client_id": CLIENT_ID}, "token": TOKEN, "user": user}
    server.on("POST", CHECK_PATH, Reply(data=ours))
    assert await scripted.whose(TOKEN) == Person(id=7, login="octo_cat")
    (seen,) = server.seen
    assert seen.headers["authorization"].startswith("Basic ")
    assert seen.body == {"access_token": TOKEN}
    for wrong in ({**ours, "app": {"client_id": "Iv1.other"}}, {**ours, "token": TOKEN + "x"}):
        server.on("POST", CHECK_PATH, Reply(data=wrong))
        with pytest.raises(errors.SignInRefused):
            await scripted.whose(TOKEN)


async def test_a_repository_of_another_number_is_none(server: Server, scripted: Users) -> None:
    answer = {"id": 8, "full_name": "octo/hello", "private": False}
    server.on("GET", "/repositories/7", Reply(data=answer))
    assert await scripted.right(TOKEN, 7, user_id=1) is None
    server.on("GET", "/repositories/8", Reply(data=answer), Reply(data={**answer, "private": True}))
    right = await scripted.right(TOKEN, 8, user_id=1)
    assert right is not None
    assert right.permission is Permission.READ
    assert await scripted.right(TOKEN, 8, user_id=1) is None, "private, and nothing is said of what they may"
    server.on("GET", "/repositories/8", Reply(data={**answer, "full_name": "../x"}))
    with pytest.raises(errors.GitHubUnavailable):
        await scripted.right(TOKEN, 8, user_id=1)
    for status in (403, 404, 451):
        server.on("GET", "/repositories/8", Reply(status=status, data={"message": "Repository access blocked"}))
        assert await scripted.right(TOKEN, 8, user_id=1) is None


async def test_a_suspended_installation_is_not_even_asked_about(server: Server, scripted: Users) -> None:
    """Also where an older server goes on listing what it gave. One that ends in between is left out, alone."""
    listed = [{"id": 1, "suspended_at": "2026-05-04T12:00:00Z"}, {"id": 2, "suspended_at": None}, {"id": 3}]
    server.on("GET", "/user/installations", Reply(data={"total_count": 3, "installations": listed}))
    for number in (1, 3):
        found = {"id": number, "full_name": f"octo/r{number}", "private": True, "permissions": {"pull": True}}
        data = {"total_count": 1, "repositories": [found, {**found, "id": 9, "permissions": {"pull": False}}]}
        server.on("GET", f"/user/installations/{number}/repositories", Reply(data=data))
    assert list(await scripted.rights(TOKEN, user_id=7)) == [3]
    assert server.asked(path="/user/installations/1/repositories") == []
    assert len(server.asked(path="/user/installations/2/repositories")) == 1
    server.on("GET", "/user/installations", Reply(status=403, data={"message": "Sorry. Your account was suspended."}))
    assert await scripted.rights(TOKEN, user_id=7) == {}


@pytest.mark.parametrize(("client_id", "client_secret"), [("", "s"), ("a b", "s"), ("a/b", "s"), ("a:b", "s")])
def test_what_is_no_client_is_the_operators(client: Client, client_id: str, client_secret: str) -> None:
    with pytest.raises(errors.SettingsError, match="BUILDHOOK_CLIENT_ID"):
        Users(client, client_id=client_id, client_secret=client_secret)


def test_nothing_shows_a_secret(client: Client) -> None:
    users = Users(client, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    grant = Grant(token=TOKEN, expires_at=None, refresh_token=REFRESH, refresh_expires_at=None)
    call = users._about("POST", TOKEN)
    for shown in (repr(users), repr(grant), repr(call), str(grant)):
        assert "Canary" not in shown
        assert call.credential not in shown


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@given(redirect_uri=TEXTS, state=TEXTS, challenge=TEXTS)
def test_whatever_is_asked_the_address_is_githubs(redirect_uri: str, state: str, challenge: str) -> None:
    """Nothing given can lead elsewhere, end a header's line, or add or hide a parameter."""
    transport = Client(derive("https://api.github.com"), metrics=telemetry.Metrics())
    users = Users(transport, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
    url = users.authorize_url(redirect_uri=redirect_uri, state=state, challenge=challenge)
    assert url.startswith("https://github.com/login/oauth/authorize?")
    assert url.isascii()
    assert url.isprintable()
    assert not set(url) & set(" \"'<>#\\")
    assert dict(parse_qsl(urlsplit(url).query, keep_blank_values=True, strict_parsing=True)) == {
        "client_id": CLIENT_ID,
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    assert CLIENT_SECRET not in url


def test_the_challenge_is_that_of_the_rfc() -> None:
    """The example of https://www.rfc-editor.org/rfc/rfc7636#appendix-B."""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert sign_in.challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
    assert len({sign_in.new_verifier() for _ in range(100)}) == 100
    assert all(43 <= len(sign_in.new_verifier()) <= 128 for _ in range(10))


async def test_two_who_use_one_code_are_one_sign_in(simulator: Simulator, users: Users) -> None:
    """T93: of two who race with the same code, one has a token."""
    code = begin(simulator, users)
    both = [users.exchange(code=code, verifier=VERIFIER, redirect_uri=BACK) for _ in range(2)]
    ended = await asyncio.gather(*both, return_exceptions=True)
    assert sorted(type(one).__name__ for one in ended) == ["Grant", "SignInRefused"]
