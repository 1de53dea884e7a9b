"""Addresses: what is derived from the API's URL, what is refused, and that parts of a path stay parts."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import errors
from bot.github import urls


@pytest.mark.parametrize(
    ("api_url", "api", "web", "graphql"),
    [
        ("https://api.github.com", "https://api.github.com", "https://github.com", "https://api.github.com/graphql"),
        ("https://api.github.com/", "https://api.github.com", "https://github.com", "https://api.github.com/graphql"),
        (
            "https://ghe.example/api/v3",
            "https://ghe.example/api/v3",
            "https://ghe.example",
            "https://ghe.example/api/graphql",
        ),
        (
            "https://ghe.example:8443/api/v3/",
            "https://ghe.example:8443/api/v3",
            "https://ghe.example:8443",
            "https://ghe.example:8443/api/graphql",
        ),
        (
            "http://127.0.0.1:4567",
            "http://127.0.0.1:4567",
            "http://127.0.0.1:4567",
            "http://127.0.0.1:4567/graphql",
        ),
        ("http://[::1]:4567", "http://[::1]:4567", "http://[::1]:4567", "http://[::1]:4567/graphql"),
        ("http://localhost:1", "http://localhost:1", "http://localhost:1", "http://localhost:1/graphql"),
    ],
)
def test_all_addresses_follow_from_the_api_url(api_url: str, api: str, web: str, graphql: str) -> None:
    assert urls.derive(api_url) == urls.Urls(api=api, web=web, graphql=graphql)


def test_an_explicit_web_address_wins() -> None:
    assert urls.derive("https://api.corp.example", github_url="https://git.corp.example/").web == (
        "https://git.corp.example"
    )


@pytest.mark.parametrize(
    "api_url",
    [
        "",
        "api.github.com",
        "ftp://api.github.com",
        "https://",
        "https://github.com",
        "https://[::1",
        "https://host:port",
        "https://host:99999",
        "https://host:",
        "https://octo:secret@ghe.example/api/v3",
        "https://ghe.example/api/v3?a=b",
        "https://ghe.example/api/v3#x",
        "http://ghe.example/api/v3",
        "http://127.0.0.1.evil.example",
        "http://localhost.evil.example",
        "http://10.0.0.1",
        "https://gíthub.example",
    ],
)
def test_t42_a_wrong_api_url_is_one_clear_line(api_url: str) -> None:
    with pytest.raises(errors.SettingsError) as caught:
        urls.derive(api_url)
    assert str(caught.value).startswith("BUILDHOOK_GITHUB_API_URL: ")
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_t42_plain_http_to_another_machine_is_refused_for_git_as_well() -> None:
    with pytest.raises(errors.SettingsError, match="BUILDHOOK_GITHUB_URL: credentials would cross"):
        urls.derive("https://api.github.com", github_url="http://ghe.example")


def test_the_url_for_git_has_no_credentials() -> None:
    at = urls.derive("https://api.github.com")
    assert at.git_url("octo/hello.world") == "https://github.com/octo/hello.world.git"


@pytest.mark.parametrize(
    "full_name",
    [
        "",
        "octo",
        "octo/",
        "/hello",
        "octo/hello/x",
        "octo/..",
        "../hello",
        "./a",
        "o c/to",
        "octo/he\nllo",
        "ö/a",
        "a/b?",
    ],
)
def test_t14_what_is_not_a_repositorys_name_is_refused(full_name: str) -> None:
    with pytest.raises(errors.ShapeUnknown, match="owner/name"):
        urls.checked_full_name(full_name)


@given(st.lists(st.text(min_size=1).filter(lambda part: part not in {".", ".."}), min_size=1, max_size=5))
def test_f95_parts_of_a_path_stay_parts(parts: list[str]) -> None:
    made = urls.path(*parts)
    split = urlsplit("https://host" + made)
    assert (split.netloc, split.query, split.fragment) == ("host", "", "")
    expected = [part.encode("utf-8", "replace").decode() for part in parts]
    assert [unquote(part) for part in split.path.split("/")[1:]] == expected


@pytest.mark.parametrize("part", ["", ".", ".."])
def test_a_part_cannot_climb(part: str) -> None:
    with pytest.raises(errors.ShapeUnknown):
        urls.path("repos", part)


def test_a_query_is_quoted_whole() -> None:
    made = urls.path("a", query={"ref": "feature/ü#1%2F&x=y", "page": 2})
    assert made == "/a?ref=feature%2F%C3%BC%231%252F%26x%3Dy&page=2"


@pytest.mark.parametrize(("ref", "is_sha"), [("a" * 40, True), ("0" * 64, True), ("a" * 41, False), ("A" * 40, False)])
def test_only_full_commit_ids_never_change(ref: str, is_sha: bool) -> None:
    assert urls.is_sha(ref) is is_sha
    assert not urls.is_sha(ref + "\n")
