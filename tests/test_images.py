"""Images by their names: what a name means, and which ones jobs may have."""

from __future__ import annotations

import pytest

from bot import images

DIGEST = f"sha256:{'a' * 64}"
PINNED, ALLOW = f"python@{DIGEST}", ("docker.io/library/*", "ghcr.io/acme/tool:1.*")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("python", "docker.io/library/python:latest"),
        ("python:3.13-slim", "docker.io/library/python:3.13-slim"),
        ("acme/tool", "docker.io/acme/tool:latest"),
        ("ghcr.io/acme/tool:v1", "ghcr.io/acme/tool:v1"),
        ("127.0.0.1:5000/a", "127.0.0.1:5000/a:latest"),
        ("localhost/a:1", "localhost/a:1"),
        ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
        (f"python:3.13@{DIGEST}", f"docker.io/library/python@{DIGEST}"),
    ],
)
def test_a_name_means_what_it_means_to_docker(name: str, meant: str) -> None:
    assert str(images.parse(name)) == meant


@pytest.mark.parametrize(
    "name",
    [
        "",
        "Python",
        "-v",
        "--privileged",
        "a b",
        "a:",
        "a:b:c",
        "a@",
        "a@sha256:1",
        "a/../b",
        "/a",
        "a//b",
        "docker://a",
        "https://a.io/b",
        "a\n",
        "a" * 300,
        "oci:/etc/passwd",
        "user@host/a",
    ],
)
def test_what_is_no_name_is_none(name: str) -> None:
    assert images.parse(name) is None


@pytest.mark.parametrize(
    ("name", "rules", "is_trusted", "says"),
    [
        ("python", images.DEFAULT, True, None),
        ("python", images.DEFAULT, False, "named by code that is not trusted"),
        ("localhost/own", images.DEFAULT, False, "named by code that is not trusted"),
        ("python", images.Rules(require_digest=True), True, "write `docker.io/library/python@sha256:...`"),
        (PINNED, images.Rules(require_digest=True), True, None),
        (PINNED, images.Rules(require_digest=True), False, "named by code that is not trusted"),
        ("python", images.Rules(allow=ALLOW), False, None),
        ("ghcr.io/acme/tool:1.2", images.Rules(allow=ALLOW), False, None),
        ("ghcr.io/acme/tool:2.0", images.Rules(allow=ALLOW), True, "none of those"),
        ("evil.io/docker.io/library/python", images.Rules(allow=ALLOW), True, "none of those"),
        ("acme/python", images.Rules(allow=ALLOW), True, "none of those"),
    ],
)
def test_t114_a_job_has_an_image_by_the_operators_rules(
    name: str, rules: images.Rules, is_trusted: bool, says: str | None
) -> None:
    reference = images.parse(name)
    assert reference is not None
    found = images.refusal(reference, rules, is_trusted=is_trusted)
    assert found is None if says is None else found is not None and says in found
