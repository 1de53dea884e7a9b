"""The App's JWT: what is in it, how long it is used, keys that cannot sign, and clocks that differ."""

from __future__ import annotations

from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bot import errors
from bot.github import GitHub
from bot.github.app_auth import AppAuth
from tests.github.conftest import APP_ID, INSTALLATION_ID, Reply, Server, Time, http_date

INSTALLATION_PATH = f"/app/installations/{INSTALLATION_ID}"
INSTALLATION = {
    "id": INSTALLATION_ID,
    "account": {"login": "octo", "id": 1},
    "permissions": {"checks": "write"},
    "updated_at": "2026-05-01T00:00:00Z",
    "suspended_at": None,
}


@pytest.fixture
def auth(private_key: str, time: Time) -> AppAuth:
    """An App's credential."""
    return AppAuth(app_id=APP_ID, private_key=private_key, clock=time.clock)


def _claims(token: str, private_key: str) -> dict[str, object]:
    key = load_pem_private_key(private_key.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    claims: dict[str, object] = jwt.decode(
        token, key.public_key(), algorithms=["RS256"], options={"verify_exp": False, "verify_iat": False}
    )
    return claims


def test_t112_the_jwt_is_signed_with_rs256_and_bounded_in_time(auth: AppAuth, private_key: str, time: Time) -> None:
    token = auth.jwt()
    now = int(time.at.timestamp())
    assert jwt.get_unverified_header(token) == {"alg": "RS256", "typ": "JWT"}
    assert _claims(token, private_key) == {"iat": now - 60, "exp": now + 540, "iss": str(APP_ID)}


def test_a_jwt_is_used_for_five_minutes(auth: AppAuth, time: Time) -> None:
    first = auth.jwt()
    time.move(299)
    assert auth.jwt() == first
    time.move(1)
    assert auth.jwt() != first


def test_f27_a_jwt_from_before_a_sleep_is_not_used(auth: AppAuth, time: Time) -> None:
    first = auth.jwt()
    time.at += timedelta(hours=1)
    assert auth.jwt() != first


def _pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, *, password: bytes | None = None) -> str:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption).decode()


def _damaged(private_key: str) -> rsa.RSAPrivateKey:
    """The key with other exponents: in form, and good for nothing."""
    key = load_pem_private_key(private_key.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    own = key.private_numbers()
    other = rsa.RSAPrivateNumbers(
        p=own.p,
        q=own.q,
        d=own.d - 2,
        dmp1=own.dmp1 - 2,
        dmq1=own.dmq1 - 2,
        iqmp=own.iqmp,
        public_numbers=own.public_numbers,
    )
    return other.private_key(unsafe_skip_rsa_key_validation=True)


def test_f86_a_key_that_cannot_sign_is_one_clear_line(private_key: str) -> None:
    lines = private_key.splitlines()
    wrong = {
        "": "is not a private key in PEM form",
        "-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----": "is not a private key in PEM form",
        "\n".join(lines[:-3]): "is not a private key in PEM form",
        "\n".join([lines[0], *lines[3:]]): "is not a private key in PEM form",
        "ssh-rsa AAAA": "is not a private key in PEM form",
        "ü": "is not a private key in PEM form",
        _pem(_damaged(private_key)): "is damaged",
        _pem(rsa.generate_private_key(65537, 1024)): "has only 1024 bits",
        _pem(ec.generate_private_key(ec.SECP256R1())): "is not an RSA key",
        _pem(rsa.generate_private_key(65537, 2048), password=b"x"): "is encrypted with a passphrase",
    }
    for pem, reason in wrong.items():
        with pytest.raises(errors.SettingsError) as caught:
            AppAuth(app_id=APP_ID, private_key=pem)
        assert reason in str(caught.value)
        assert "BUILDHOOK_PRIVATE_KEY" in str(caught.value)
        for line in pem.splitlines():
            assert line not in str(caught.value) or len(line) < 8


def test_both_forms_of_pem_are_taken(private_key: str) -> None:
    key = load_pem_private_key(private_key.encode(), password=None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert AppAuth(app_id=APP_ID, private_key=_pem(key)).jwt()


@pytest.mark.parametrize("ahead_seconds", [-300, 300, 86_400])
async def test_f26_a_wrong_clock_is_corrected_by_githubs(
    github: GitHub, server: Server, time: Time, private_key: str, ahead_seconds: int
) -> None:
    github_now = time.at + timedelta(seconds=ahead_seconds)
    date = {"date": http_date(github_now)}
    server.on(
        "GET",
        INSTALLATION_PATH,
        Reply(status=401, data={"message": "'Issued at' claim ('iat') must be an Integer"}, headers=date),
        Reply(data=INSTALLATION, headers=date),
    )
    await github.get_installation(INSTALLATION_ID)
    claims = [_claims(one.headers["authorization"].removeprefix("Bearer "), private_key) for one in server.seen]
    assert claims[1]["iat"] == int(github_now.timestamp()) - 60
    time.move(400)
    await github.get_installation(INSTALLATION_ID)
    later = _claims(server.seen[-1].headers["authorization"].removeprefix("Bearer "), private_key)
    assert later["iat"] == int(github_now.timestamp()) + 400 - 60


async def test_a_401_with_right_clocks_is_not_tried_again(github: GitHub, server: Server, time: Time) -> None:
    refused = Reply(
        status=401,
        data={"message": "A JSON web token could not be decoded"},
        headers={"date": http_date(time.at + timedelta(seconds=5))},
    )
    server.on("GET", INSTALLATION_PATH, refused)
    with pytest.raises(errors.Unauthorized, match="private key"):
        await github.get_installation(INSTALLATION_ID)
    assert len(server.seen) == 1


async def test_a_wrong_clock_is_corrected_once_only(github: GitHub, server: Server, time: Time) -> None:
    refused = Reply(status=401, headers={"date": http_date(time.at + timedelta(hours=1))})
    server.on("GET", INSTALLATION_PATH, refused)
    for calls in (2, 3):
        with pytest.raises(errors.Unauthorized):
            await github.get_installation(INSTALLATION_ID)
        assert len(server.seen) == calls


async def test_an_installation_is_read(github: GitHub, server: Server) -> None:
    server.on("GET", INSTALLATION_PATH, Reply(data=INSTALLATION))
    found = await github.get_installation(INSTALLATION_ID)
    assert (found.id, found.account, found.state, found.permissions) == (7, "octo", "active", {"checks": "write"})
    suspended = INSTALLATION | {"suspended_at": "2026-05-02T00:00:00Z", "account": {"slug": "octo-enterprise"}}
    server.on("GET", INSTALLATION_PATH, Reply(data=suspended))
    found = await github.get_installation(INSTALLATION_ID)
    assert (found.account, found.state) == ("octo-enterprise", "suspended")


async def test_f39_an_installation_of_nobody_is_not_reachable(github: GitHub) -> None:
    with pytest.raises(errors.NotReachable):
        await github.get_installation(99)
