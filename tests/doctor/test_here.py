"""Mistakes of this machine, its settings and its database: real files, real programs, a real server."""

from __future__ import annotations

import base64
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from sqlalchemy.engine import make_url

from bot import doctor, sealing
from bot.doctor import Check, State, ask_machine, asking, checks, facts, judge_database, judge_machine, judge_webhook
from bot.engines.local import cgroups, sandbox
from bot.github import registration
from bot.store.looking import Looked
from tests import postgresql
from tests.acceptance import process
from tests.doctor.conftest import Report, run


@pytest.fixture
def environment(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An installation that nobody has set up yet."""
    monkeypatch.chdir(tmp_path)
    return process.environment(data)


async def look(environment: dict[str, str], **given: object) -> Report:
    more = {f"BUILDHOOK_{name.upper()}": str(value) for name, value in given.items()}
    return await run({**environment, **more})


def program(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)


async def test_before_the_app_is_there_it_says_what_it_cannot_ask(environment: dict[str, str]) -> None:
    report = await look(environment)
    report.tells("credentials", "BUILDHOOK_APP_ID", "not set", "Run `buildhook setup`")
    assert report.wrong().keys() - {"limits"} == {"credentials"}
    unknown = {one["check"] for one in report.lines if one["state"] == "unknown"}
    assert {"app-key", "clock", "permissions", "webhook-secret", "required-checks", "door"} <= unknown
    assert {one["what"] for one in report.of("clock")} == {"Not asked: the App's credentials are not set."}


async def test_wrong_settings_are_one_line_each(environment: dict[str, str]) -> None:
    report = await look(environment, max_jobs="many", public_url="builds.example.org", maxjobs=3, policyfile="x")
    report.tells("settings", "BUILDHOOK_MAX_JOBS", "write a whole number")
    report.tells("settings", "BUILDHOOK_PUBLIC_URL", "write a URL like https://host")
    report.tells("setting-names", "BUILDHOOK_MAXJOBS", "Did you mean BUILDHOOK_MAX_JOBS?")
    report.tells("setting-names", "BUILDHOOK_POLICYFILE", "Did you mean BUILDHOOK_POLICY_FILE?")
    assert {one["what"] for one in report.of("sandbox")} == {"Not asked: the settings cannot be read."}
    report = await look(environment, app_id=5)
    report.tells("settings", "credentials are incomplete: set BUILDHOOK_PRIVATE_KEY, BUILDHOOK_WEBHOOK_SECRET")


async def test_env_files_are_looked_at_too(environment: dict[str, str]) -> None:
    Path("key").write_text("secret-in-a-file")
    Path("key").chmod(0o640)
    Path(".env").write_text("BUILDHOOK_WEBHOOK_SECRET_FILE=key\nBUILDHOOK_PRIVATE_KEY=abc\nBUILDHOOK_HOSTS=x\n")
    Path(".env").chmod(0o644)
    report = await look(environment)
    report.tells("setting-names", "BUILDHOOK_HOSTS", "Did you mean BUILDHOOK_HOST?")
    # The file is read: what is missing is the id.
    report.tells("settings", "set BUILDHOOK_APP_ID as well")
    report.tells("secret-files", ".env", "chmod 600 .env")
    assert "secret-in-a-file" not in report.text
    Path("key").chmod(0o604)
    (await look(environment)).tells("secret-files", "BUILDHOOK_WEBHOOK_SECRET_FILE", "mode is 604", "chmod 600 key")


async def test_what_settings_name_is_tried(environment: dict[str, str]) -> None:
    Path("policy.toml").write_text("[trusty]\n")
    Path("handlers.py").write_text("print('hello')\nimport no_such_module\n")
    report = await look(
        environment, policy_file="policy.toml", handlers="./handlers.py,./gone.py", storage_url="file:///proc/nothing"
    )
    report.tells("policy-file", "BUILDHOOK_POLICY_FILE", "policy.toml", "Did you mean `trust`?", "docs/trust.md")
    report.tells("handlers", "BUILDHOOK_HANDLERS", "handlers.py, line 2: ModuleNotFoundError", "docs/handlers.md")
    report.tells("handlers", "gone.py: there is no such file.")
    report.tells("storage", "BUILDHOOK_STORAGE_URL", "/proc/nothing", "credentials may write")
    Path("word").write_text(f"whsec_{sealing.new_key()}")
    Path("word").chmod(0o664)
    Path("policy.toml").write_text(
        '[sources.timer]\nrepository = "octo/hello"\nref = "refs/heads/main"\nsecret_file = "word"\n'
    )
    report = await look(environment, policy_file="policy.toml")
    report.tells("secret-files", "word of the policy file", "mode is 664", "chmod 600")
    assert "policy-file" not in report.wrong()
    (await look(environment, policy_file="gone.toml")).tells("policy-file", "cannot read", "No such file")


async def test_folders_that_keep_nothing_or_let_others_in(environment: dict[str, str], data: Path) -> None:
    (await look(environment, data_dir="/proc/nothing")).tells(
        "data-folder", "BUILDHOOK_DATA_DIR", "/proc/nothing cannot be written", "name another folder"
    )
    data.chmod(0o777)
    (await look(environment)).tells("data-folder", "mode is 777", f"chmod 700 {data}")
    in_memory = Path("/dev/shm")
    if ask_machine.filesystem(in_memory) != "tmpfs":
        pytest.skip("there is no folder in memory here")
    report = await look(environment, data_dir=in_memory / f"buildhook-{os.getpid()}" / "data")
    report.tells("data-kept", "BUILDHOOK_DATA_DIR", "tmpfs", "on a volume")
    report.tells("durability", "BUILDHOOK_DATABASE_URL", "buildhook.db lies in memory", "Move it to a disk")


async def test_programs_that_are_missing_or_too_old(
    environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setattr(sandbox, "SEARCH_PATH", str(programs))
    Path("policy.toml").write_text('[images]\nallow = "docker.io/library/*"\n')
    report = await look(environment, policy_file="policy.toml")
    report.tells("git", "git is not installed", "apt-get install git")
    report.tells("sandbox", "bubblewrap is not installed", "apt-get install bubblewrap")
    report.tells("podman", "podman is not installed", "apt-get install podman")
    program(programs, "git", "echo git version 2.20.1")
    program(programs, "bwrap", "echo 'No permissions to create new namespace' >&2; exit 1")
    report = await look(environment)
    report.tells("git", "git version 2.20.1 is too old", "or newer")
    report.tells("sandbox", "does not let us make a sandbox", "programs/bwrap", "To mend it")
    assert [one["state"] for one in report.of("podman")] == ["fine"]
    report = await look(environment, sandbox="podman")
    report.tells("podman", "podman is not installed", "BUILDHOOK_SANDBOX")
    assert [one["state"] for one in report.of("sandbox")] == ["fine"]


async def test_too_much_for_this_machine(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    def none(proc: Path) -> dict[str, Path]:
        raise OSError("there are no control groups")

    monkeypatch.setattr(cgroups, "_own", none)
    report = await look(environment, max_jobs=10_000, sandbox="none")
    report.tells("job-count", "BUILDHOOK_MAX_JOBS", "10000 jobs", "Set it to at most")
    report.tells("limits", "cannot be limited here (there are no control groups)", "Delegate=yes")
    report.tells("sandbox", "BUILDHOOK_SANDBOX", "without any sandbox", "Set it to auto")
    report = await look(environment, max_jobs=2, job_memory="4TiB")
    report.tells("job-count", "BUILDHOOK_JOB_MEMORY", "2 jobs of 4398.0 GB", "Set one of them lower")


async def test_files_that_are_no_database_of_ours(
    environment: dict[str, str], data: Path, empty_database: Path
) -> None:
    file = data / "buildhook.db"
    shutil.copyfile(empty_database, file)
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    before = file.read_bytes()
    report = await look(environment)
    report.tells("database", "newer version", "9999", "Install that version again")
    assert (file.read_bytes(), sorted(data.iterdir())) == (before, [file])
    file.write_bytes(b"no database at all, but long enough to be one" * 99)
    (await look(environment)).tells("database", "BUILDHOOK_DATABASE_URL", "file is not a database", "may write there")
    report = await look(environment, database_url="sqlite:////proc/nothing/x.db")
    report.tells("database", "/proc/nothing/x.db cannot be used")
    report = await look(environment, database_url="mysql://me:hunter2hunter2@host/x")
    report.tells("database", "neither SQLite nor PostgreSQL")
    assert "hunter2" not in report.text


async def test_keys_that_open_nothing(environment: dict[str, str], data: Path, empty_database: Path) -> None:
    file, lost = data / "buildhook.db", sealing.parse(sealing.new_key())
    shutil.copyfile(empty_database, file)
    with sqlite3.connect(file) as connection:
        connection.execute(
            "INSERT INTO secrets (repository_id, environment, name, repository, key_id, sealed, updated_at, updated_by)"
            f" VALUES (1, '', 'A', 'octo/hello', '{lost.id}', x'00', 0, 'test')"
        )
    connection.close()
    (await look(environment)).tells(
        "encryption-key", "BUILDHOOK_ENCRYPTION_KEY", "no key is here", "Bring the key back"
    )
    report = await look(environment, encryption_key=sealing.new_key())
    report.tells("encryption-key", f"another key than those that are here ({lost.id})", "ENCRYPTION_KEY_PREVIOUS")
    report = await look(environment, encryption_key=base64.b64encode(lost.secret).decode())
    assert report.of("encryption-key")[0]["state"] == "fine"
    (data / "encryption.key").write_text("broken")
    (data / "encryption.key").chmod(0o666)
    report = await look(environment)
    report.tells("encryption-key", "encryption.key is broken", "bring it back")
    report.tells("secret-files", "the encryption key", "chmod 600")


@pytest.fixture
def server_url() -> Iterator[str]:
    """A database on a server; the server of the tests is a fast one."""
    with postgresql.empty() as url:
        yield url


async def test_a_server_that_may_lose_what_it_acknowledged(environment: dict[str, str], server_url: str) -> None:
    report = await look(environment, database_url=server_url)
    report.tells("durability", "fsync of PostgreSQL", "may be lost", "ALTER SYSTEM SET fsync = on")
    report.tells("durability", "full_page_writes of PostgreSQL")
    assert [one["state"] for one in report.of("database")] == ["fine"]
    name = make_url(server_url).database
    assert name is not None
    engine = postgresql.engine(name)
    with engine.begin() as connection:
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
        connection.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    engine.dispose()
    report = await look(environment, database_url=server_url)
    report.tells("durability", "synchronous_commit of PostgreSQL", "that no role or database has it off")
    report.tells("database", "can only be read", "primary server")
    report = await look(environment, database_url="postgresql://me:hunter2hunter2@127.0.0.1:9/x")
    report.tells("database", "BUILDHOOK_DATABASE_URL", "Connect call failed", "See that it runs")
    assert "hunter2" not in report.text


async def found() -> facts.Facts:
    return (await doctor.ask())[0]


@pytest.mark.parametrize(
    ("check", "words", "change"),
    [
        (
            "disk-space",
            "only 1.0 GB left",
            lambda one: {"place": facts.Fact(msgspec.structs.replace(one.place.known, free_bytes=10**9))},
        ),
        (
            "python-version",
            "Python 3.10",
            lambda one: {"machine": facts.Fact(msgspec.structs.replace(one.machine.known, python=(3, 10)))},
        ),
        (
            "durability",
            "on a network (nfs4)",
            lambda one: {"database_place": facts.Fact(msgspec.structs.replace(one.place.known, filesystem="nfs4"))},
        ),
        (
            "durability",
            "its journal is 'delete'",
            lambda one: {"database": facts.Fact(Looked(stands_at=None, writes={"journal_mode": "delete"}))},
        ),
        (
            "durability",
            "does not sync",
            lambda one: {"database": facts.Fact(Looked(stands_at=None, writes={"synchronous": "1"}))},
        ),
    ],
)
async def test_what_cannot_be_planted_here_is_judged_all_the_same(
    environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    check: str,
    words: str,
    change: Callable[[facts.Facts], dict[str, object]],
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(asking, "_try_engine", lambda *_: None)
    known = await found()
    of = [one for one in (*judge_machine.CHECKS, *judge_database.CHECKS) if one.name == check]
    assert [one.state for one in checks.judge(known, of)] == [State.FINE]
    (line,) = checks.judge(msgspec.structs.replace(known, **change(known)), of)
    assert line.state is State.WRONG
    assert words in line.what
    assert line.mend


async def test_what_the_door_answers_itself_is_the_right_path(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(asking, "_try_engine", lambda *_: None)
    known, url = await found(), "https://builds.example.org/github/webhook"
    hook = registration.Hook(url=url, content_type="json", is_insecure=False, has_secret=True)
    of = [one for one in judge_webhook.CHECKS if one.name == "webhook-address"]
    for is_ours, state in ((False, State.WRONG), (True, State.FINE)):
        door = facts.Fact(facts.Reply(url=url, status=401, is_ours=is_ours))
        asked = msgspec.structs.replace(
            known, door=door, github=msgspec.structs.replace(known.github, hook=facts.Fact(hook))
        )
        assert [one.state for one in checks.judge(asked, of)] == [state]


async def test_what_breaks_is_a_finding_and_the_others_go_on(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_(*_: object) -> None:
        raise ZeroDivisionError("nobody thought of it\x1b[2J")

    monkeypatch.setattr(asking, "_try_engine", break_)
    monkeypatch.setattr(ask_machine, "place", break_)
    report = await look(environment)
    report.tells("git", "buildhook", "The check itself broke: ZeroDivisionError: nobody thought of it", "report")
    report.tells("disk-space", "ZeroDivisionError")
    assert "\x1b" not in report.text
    assert [one["state"] for one in report.of("database")] == ["fine"]
    assert {one["check"] for one in report.lines} == {one.name for one in doctor.CHECKS}


async def test_a_check_that_breaks_tells_no_secret(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def leak(_: facts.Facts) -> list[checks.Finding]:
        raise ValueError("it was hunter2hunter2 and ghs_" + "a" * 36 + " too")

    monkeypatch.setattr(asking, "_try_engine", lambda *_: None)
    check = Check(name="leak", about="", fine="", function=leak)
    (line,) = checks.judge(await found(), [check], secrets=["hunter2hunter2"])
    assert line.what == "The check itself broke: ValueError: it was [secret] and [secret] too."


def test_every_check_says_what_it_looks_for() -> None:
    names = [one.name for one in doctor.CHECKS]
    assert len(set(names)) == len(names)
    for one in doctor.CHECKS:
        assert one.about.endswith("."), one.name
        assert one.fine.endswith("."), one.name
