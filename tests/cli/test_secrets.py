"""`buildhook secrets`: a value goes in and never comes out again; who set what when is told."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from bot import keyring, sealing, settings
from bot.builds import secrecy
from bot.simulator import Simulator
from bot.store import Store, audit, secrets
from tests import factories
from tests.acceptance import process
from tests.cli.conftest import Shell

VALUE = "correct-horse-battery"


async def set_(shell: Shell, *arguments: str, given: bytes = VALUE.encode() + b"\n", **more: Any) -> Any:
    """Run `secrets set`; gives status, output and errors."""
    environment = process.environment(shell.data_dir, **more)
    return await process.run("secrets", "set", *arguments, environment=environment, given=given)


async def stored(shell: Shell, **more: object) -> dict[tuple[str | None, str], bytes]:
    """All values, by environment and name."""
    loaded = settings.load(data_dir=shell.data_dir, **more)
    store = await Store(f"sqlite:///{shell.data_dir / 'buildhook.db'}").open()
    found = {}
    for one in await store.read(secrets.list_all):
        (whole,) = await store.read(
            secrets.list_of_job, repository_id=one.repository_id, environment=one.environment, names=[one.name]
        )
        found[one.environment, one.name] = secrecy.unseal(keyring.load(loaded), whole)
    await store.close()
    return found


async def test_a_secret_is_set_listed_set_anew_and_removed(shell: Shell) -> None:
    status, out, err = await set_(shell, "TOKEN", "--repo", "octo/hello")
    assert (status, out, err) == (0, "Secret TOKEN of octo/hello is set.\n", "")
    status, out, _ = await set_(shell, "TOKEN", "--repo", "octo/hello", "--environment", "Production", "--json")
    told = {"name": "TOKEN", "repository": "octo/hello", "repository_id": factories.REPOSITORY_ID}
    assert json.loads(out) == {**told, "environment": "production", "is_new": True, "warning": None}
    status, out, _ = await set_(shell, "TOKEN", "--repo", "octo/hello", given=b"another-one")
    assert out == "Secret TOKEN of octo/hello is set anew.\n"
    assert await stored(shell) == {(None, "TOKEN"): b"another-one", ("production", "TOKEN"): VALUE.encode()}

    listed = await shell.json("secrets", "list", "--repo", "octo/hello")
    assert [(one["name"], one["environment"], one["repository"]) for one in listed] == [
        ("TOKEN", None, "octo/hello"),
        ("TOKEN", "production", "octo/hello"),
    ]
    assert all(one["updated_by"] and one["updated_at"] for one in listed)
    _, out, _ = await shell.run("secrets", "list")
    assert "TOKEN" in out
    assert "another-one" not in out + json.dumps(listed)
    assert await shell.json("secrets", "list", "--repo", "octo/none") == []

    await shell.json("secrets", "remove", "TOKEN", "--repo", "octo/hello")
    status, _, err = await shell.run("secrets", "remove", "TOKEN", "--repo", "octo/hello")
    assert (status, err) == (1, "error: There is no secret TOKEN of octo/hello.\n")
    assert [one["environment"] for one in await shell.json("secrets", "list")] == ["production"]

    store = await Store(f"sqlite:///{shell.data_dir / 'buildhook.db'}").open()
    entries = [one for one in await store.read(audit.list_newest, limit=9) if "secret" in one.action]
    await store.close()
    assert [(one.action, one.detail) for one in entries] == [
        ("remove-secret", "TOKEN."),
        ("set-secret", "TOKEN."),
        ("set-secret", "TOKEN of the environment production."),
        ("set-secret", "TOKEN."),
    ]


async def test_a_value_comes_from_a_file_as_it_is(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text("-----BEGIN\nkey\n")
    await set_(shell, "KEY", "--repo", "octo/hello", "--file", str(path))
    assert await stored(shell) == {(None, "KEY"): b"-----BEGIN\nkey\n"}
    status, _, err = await set_(shell, "KEY", "--repo", "octo/hello", "--file", str(tmp_path / "none"))
    assert (status, "cannot be read" in err) == (1, True)


async def test_a_value_that_is_typed_is_not_shown(shell: Shell) -> None:
    ours, theirs = pty.openpty()
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, *process.PROGRAM, "secrets", "set", "TOKEN", "--repo", "octo/hello"),
        env=process.environment(shell.data_dir),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    said = b""

    def talk() -> None:
        nonlocal said
        for _ in range(2):
            before = len(said)
            while b": " not in said[before:]:
                said += os.read(ours, 4096)
            os.write(ours, f"{VALUE}\n".encode())
        while True:
            try:
                said += os.read(ours, 4096)
            except OSError:
                return

    await asyncio.to_thread(talk)
    assert await started.wait() == 0, said
    os.close(ours)
    assert VALUE.encode() not in said
    assert await stored(shell) == {(None, "TOKEN"): VALUE.encode()}


@pytest.mark.parametrize(
    ("arguments", "given", "status", "words"),
    [
        (("token", "--repo", "octo/hello"), b"long-enough", 2, "upper case letters"),
        (("GITHUB_TOKEN", "--repo", "octo/hello"), b"long-enough", 2, "taken by the service"),
        (("TOKEN", "--repo", "hello"), b"long-enough", 2, "write owner/name"),
        (("TOKEN",), b"long-enough", 2, "--repo"),
        (("TOKEN", "--repo", "octo/hello", "--environment", "e" * 256), b"long-enough", 2, "at most 255 characters"),
        (("TOKEN", "--repo", "octo/hello", "--environment", ""), b"long-enough", 2, "at most 255 characters"),
        (("TOKEN", VALUE, "--repo", "octo/hello"), b"", 2, "unexpected extra argument"),
        (("TOKEN", "--repo", "octo/never-heard-of"), b"long-enough", 1, "Nothing was heard of octo/never-heard-of yet"),
        (("TOKEN", "--repo", "octo/hello"), b"", 1, "too short"),
        (("TOKEN", "--repo", "octo/hello"), b"abc\n", 1, "too short"),
        (("TOKEN", "--repo", "octo/hello"), b"x" * 50_000, 1, "at most 49152"),
        (("TOKEN", "--repo", "octo/hello"), b"abcd\0", 1, "byte 0"),
        (("TOKEN", "--repo", "octo/hello"), b"\xff" * 9, 1, "UTF-8"),
    ],
)
async def test_t72_what_cannot_be_a_secret_is_refused_with_what_to_do(
    shell: Shell, arguments: tuple[str, ...], given: bytes, status: int, words: str
) -> None:
    found, out, err = await set_(shell, *arguments, given=given)
    assert (found, out) == (status, "")
    assert words in " ".join(err.replace("│", " ").split())
    assert await stored(shell) == {}
    assert not (shell.data_dir / "encryption.key").exists()


async def test_t72_a_weak_value_is_set_and_warned_of(shell: Shell) -> None:
    status, out, err = await set_(shell, "TOKEN", "--repo", "octo/hello", given=b"true")
    assert (status, out) == (0, "Secret TOKEN of octo/hello is set.\n")
    assert err.startswith("warning: The value is short")
    assert "true" not in err


async def test_t75_what_lies_on_disk_holds_no_value_and_its_key_is_this_user_s_alone(shell: Shell) -> None:
    await set_(shell, "TOKEN", "--repo", "octo/hello")
    for path in shell.data_dir.rglob("*"):
        assert not path.is_file() or VALUE.encode() not in path.read_bytes(), path
    assert stat.S_IMODE((shell.data_dir / "encryption.key").stat().st_mode) == 0o600


async def test_t75_secrets_are_sealed_under_another_key(shell: Shell) -> None:
    await set_(shell, "TOKEN", "--repo", "octo/hello")
    first, second = sealing.new_key(), sealing.new_key()
    # From the key of the data folder to one that is set, and from that to another.
    for key, previous in ((first, None), (second, first)):
        given = {"encryption_key": key, **({} if previous is None else {"encryption_key_previous": previous})}
        environment = process.environment(shell.data_dir, **given)
        status, out, err = await process.run("secrets", "rotate", "--json", environment=environment)
        assert (status, json.loads(out)) == (0, {"key_id": sealing.parse(key).id, "sealed": 1}), err
        (shell.data_dir / "encryption.key").unlink(missing_ok=True)
        assert await stored(shell, encryption_key=key) == {(None, "TOKEN"): VALUE.encode()}
    environment = process.environment(shell.data_dir, encryption_key=sealing.new_key())
    status, out, err = await process.run("secrets", "rotate", environment=environment)
    assert (status, out) == (1, "")
    assert "TOKEN of octo/hello cannot be opened" in err
    assert await stored(shell, encryption_key=second) == {(None, "TOKEN"): VALUE.encode()}


async def test_where_the_app_is_known_github_says_which_repository_has_the_name(shell: Shell, tmp_path: Path) -> None:
    async with Simulator(folder=tmp_path / "github") as github:
        repository = await github.create_repository("octo/new", files={"README.md": "# new\n"})
        app: dict[str, Any] = {
            "github_api_url": github.api_url,
            "app_id": github.app_id,
            "private_key": github.private_key,
            "webhook_secret": "s" * 32,
        }
        status, out, err = await set_(shell, "TOKEN", "--repo", "octo/new", "--json", **app)
        assert (status, json.loads(out)["repository_id"]) == (0, repository.id), err
        status, _, err = await set_(shell, "TOKEN", "--repo", "octo/none", **app)
        assert status == 1
    assert [one["repository"] for one in await shell.json("secrets", "list")] == ["octo/new"]
