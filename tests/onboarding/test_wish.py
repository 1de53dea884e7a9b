"""What is typed on the set-up page: every mistake is told beside its field, and what is taken is whole."""

from __future__ import annotations

import pytest

from bot.onboarding import wish

KEY = "-----BEGIN RSA PRIVATE KEY-----\r\nMIIE\r\n-----END RSA PRIVATE KEY-----\r\n"
NEW = {"account": "person", "name": "builds", "public_url": "https://builds.example.org/"}
OLD = {"app_id": " 12 ", "private_key": KEY, "webhook_secret": "secret"}


def test_a_form_becomes_a_wish() -> None:
    made = wish.read({**NEW, "organization": "octo"}, is_public=True)
    assert made == wish.Wish(
        organization=None,
        name="builds",
        public_url="https://builds.example.org",
        webhook_url="https://builds.example.org/webhook",
    )
    of_octo = wish.read({**NEW, "account": "organization", "organization": "octo"}, is_public=True)
    assert of_octo.organization == "octo"


def test_a_relay_alone_is_enough() -> None:
    made = wish.read({"name": "builds", "webhook": "https://smee.example/abc"}, is_public=True)
    assert (made.public_url, made.webhook_url) == (None, "https://smee.example/abc")


@pytest.mark.parametrize(
    ("changes", "field", "says"),
    [
        ({"account": "organization"}, "organization", "as it stands in its address"),
        ({"account": "organization", "organization": "octo/../x"}, "organization", "as it stands"),
        ({"name": ""}, "name", "at most 34"),
        ({"name": "x" * 35}, "name", "at most 34"),
        ({"name": "a\x07b"}, "name", "at most 34"),
        ({"public_url": ""}, "public_url", "GitHub has to reach"),
        ({"public_url": "builds.example.org"}, "public_url", "like https://"),
        ({"public_url": "ftp://builds.example.org"}, "public_url", "like https://"),
        ({"public_url": "https://builds.example.org:port"}, "public_url", "like https://"),
        ({"public_url": "https://builds.example.org/a b"}, "public_url", "like https://"),
        ({"public_url": "https://bücher.example"}, "public_url", "like https://"),
        ({"public_url": "https://me:pw@builds.example.org"}, "public_url", "user name"),
        ({"public_url": "https://builds.example.org/?a=b"}, "public_url", "what follows"),
        ({"public_url": "http://builds.example.org"}, "public_url", "Write https://"),
        ({"public_url": "https://localhost:8080"}, "public_url", "your own network"),
        ({"public_url": "https://127.0.0.1"}, "public_url", "your own network"),
        ({"public_url": "https://10.0.0.1"}, "public_url", "your own network"),
        ({"public_url": "https://[::1]:8080"}, "public_url", "your own network"),
        ({"public_url": "https://builds"}, "public_url", "your own network"),
        ({"webhook": "https://192.168.1.2/x"}, "webhook", "your own network"),
    ],
)
def test_what_cannot_be_is_told_beside_its_field(changes: dict[str, str], field: str, says: str) -> None:
    with pytest.raises(wish.Wrong) as wrong:
        wish.read(NEW | changes, is_public=True)
    assert says in wrong.value.problems[field]
    assert set(wrong.value.problems) == {field}


def test_a_github_of_ones_own_reaches_what_github_com_does_not() -> None:
    for url in ("http://127.0.0.1:8080", "http://builds.corp", "https://10.0.0.1"):
        assert wish.read(NEW | {"public_url": url}, is_public=False).public_url == url


def test_every_mistake_is_told_at_once() -> None:
    with pytest.raises(wish.Wrong) as wrong:
        wish.read({"account": "organization"}, is_public=True)
    assert set(wrong.value.problems) == {"organization", "name", "public_url"}


def test_an_app_that_is_there_is_taken_whole() -> None:
    made = wish.read_existing(OLD)
    assert (made.app_id, made.webhook_secret, made.client_id, made.public_url) == (12, "secret", None, None)
    assert made.private_key == "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----\n"
    assert "MIIE" not in repr(made)
    assert "secret'" not in repr(made)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"app_id": ""}, "app_id"),
        ({"app_id": "0"}, "app_id"),
        ({"app_id": "-1"}, "app_id"),
        ({"app_id": "١٢"}, "app_id"),
        ({"app_id": "1" * 19}, "app_id"),
        ({"private_key": "MIIE"}, "private_key"),
        ({"private_key": "-----BEGIN" + "x" * 20_000}, "private_key"),
        ({"webhook_secret": ""}, "webhook_secret"),
        ({"webhook_secret": "a\nb"}, "webhook_secret"),
        ({"client_id": "Iv1.x"}, "client_id"),
        ({"client_secret": "x"}, "client_id"),
        ({"client_id": "a b", "client_secret": "x"}, "client_id"),
        ({"public_url": "nowhere"}, "public_url"),
    ],
)
def test_an_app_that_cannot_be_is_told_beside_its_field(changes: dict[str, str], field: str) -> None:
    with pytest.raises(wish.Wrong) as wrong:
        wish.read_existing(OLD | changes)
    assert set(wrong.value.problems) == {field}
