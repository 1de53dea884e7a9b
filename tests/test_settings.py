"""Settings that are checked before anything is done with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot import errors
from bot.environment import Secret
from bot.settings import load


@pytest.mark.parametrize(
    "url",
    ["s3://bucket", "s3://bucket/some/prefix", "gs://bucket/x", "az://container/x", "file:///var/lib/logs"],
)
def test_a_storage_is_named_by_its_url(url: str) -> None:
    assert load(storage_url=url).storage_url == url
    assert load(storage_url=f"{url}/").storage_url == url


def test_t103_a_file_of_the_working_folder_does_not_say_where_our_token_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_text("BUILDHOOK_SERVER=https://evil.example\nbuildhook_server=https://evil.example\n")
    monkeypatch.setenv("BUILDHOOK_TOKEN", "bhk_CanarySecret")
    assert load().server is None
    monkeypatch.setenv("BUILDHOOK_SERVER", "https://builds.example.com")
    assert load().server == "https://builds.example.com"


def test_the_client_id_and_its_secret_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for alone, missing in (({"client_id": "Iv1.x"}, "CLIENT_SECRET"), ({"client_secret": "CanarySecret"}, "CLIENT_ID")):
        with pytest.raises(errors.SettingsError, match=f"set BUILDHOOK_{missing} as well") as told:
            load(**alone)
        assert "Canary" not in str(told.value)
    both = load(client_id=" Iv1.x ", client_secret="CanarySecret")
    assert both.client_id == "Iv1.x"
    assert "Canary" not in repr(both)
    assert (load(client_id="", client_secret=" ").client_id, load(client_id=" ").client_secret) == (None, None)
    path = tmp_path / "secret"
    path.write_text("CanarySecret\n")
    monkeypatch.setenv("BUILDHOOK_CLIENT_ID", "Iv1.x")
    monkeypatch.setenv("BUILDHOOK_CLIENT_SECRET_FILE", str(path))
    found = load().client_secret
    assert found is not None
    assert found.get_secret_value() == "CanarySecret"


def test_no_storage_is_the_data_folder() -> None:
    assert load().storage_url is None
    assert load(storage_url="").storage_url is None


@pytest.mark.parametrize(
    "url",
    [
        "bucket",
        "/var/lib/logs",
        "s3:bucket",
        "s3://",
        "s3:///x",
        "file://host/x",
        "file:///",
        "ftp://bucket/x",
        "http://h/x",
    ],
)
def test_f86_what_is_no_url_of_a_storage_is_refused_with_what_to_write(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="BUILDHOOK_STORAGE_URL: write s3://bucket/prefix"):
        load(storage_url=url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIAEXAMPLE:wJalrXUtnFEMI@bucket/x",
        "s3://key@bucket/x",
        "s3://bucket/x?X-Amz-Signature=wJalrXUtnFEMI",
        "az://container/x?sig=wJalrXUtnFEMI",
        "file:///x#wJalrXUtnFEMI",
    ],
)
def test_a_secret_in_the_url_of_a_storage_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(errors.SettingsError, match="BUILDHOOK_STORAGE_URL: no secret") as told:
        load(storage_url=url)
    assert "wJalr" not in str(told.value)
    assert "AKIA" not in str(told.value)


def test_files_with_secrets_are_named_by_the_environment_before_an_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("first", "second"):
        Path(name).write_text(f"sqlite:////{name}.db\n")
    Path(".env").write_text("BUILDHOOK_DATABASE_URL_FILE=second\nBUILDHOOK_PRIVATE_KEY_FILE=\n")
    assert load(data_dir=tmp_path).effective_database_url == "sqlite:////second.db"
    monkeypatch.setenv("BUILDHOOK_DATABASE_URL_FILE", "first")
    assert load(data_dir=tmp_path).effective_database_url == "sqlite:////first.db"
    monkeypatch.delenv("BUILDHOOK_DATABASE_URL_FILE")
    monkeypatch.setenv("BUILDHOOK_DATABASE_URL", "sqlite:////third.db")
    assert load(data_dir=tmp_path).effective_database_url == "sqlite:////third.db"


@pytest.mark.parametrize(
    ("given", "means"),
    [("5GiB", 5 << 30), ("500 MB", 500_000_000), ("1.5 gib", 3 << 29), ("20m", 20_000_000), ("16777216", 16 << 20)],
)
def test_a_size_is_a_number_with_its_unit(given: str, means: int) -> None:
    assert load(job_memory=given).job_memory == means


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("port", "65536", "write a whole number of at least 0 and of at most 65535"),
        ("max_jobs", "many", "write a whole number of at least 1 and of at most 10000"),
        ("app_id", "0", "write a whole number above 0"),
        ("job_cpus", "0", "write a number of at least 0.1"),
        ("job_memory", "4 parsecs", "write a whole number of at least 16777216, such as `4GiB`"),
        ("lfs_max", "0", "write a whole number of at least 1, such as `4GiB`"),
        ("lfs", "perhaps", "write true or false"),
        ("access", "everybody", "write `local` or `github`"),
        ("log_level", "CanarySecret", "write `debug`, `info`, `warning` or `error`"),
        ("public_url", "CanarySecret", "write a URL like https://host"),
    ],
)
def test_what_a_setting_cannot_be_is_told_with_what_to_write_and_not_repeated(
    name: str, given: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"BUILDHOOK_{name.upper()}", given)
    with pytest.raises(errors.SettingsError) as told:
        load()
    assert str(told.value).startswith(f"BUILDHOOK_{name.upper()}: {says}")
    assert "Canary" not in str(told.value)
    assert "Canary" not in repr(told.value.__context__)


def test_every_wrong_setting_has_its_line() -> None:
    with pytest.raises(errors.SettingsError) as told:
        load(port="x", lfs="x")
    assert [line.partition(":")[0] for line in str(told.value).splitlines()] == ["BUILDHOOK_PORT", "BUILDHOOK_LFS"]


def test_words_of_the_environment_mean_values_and_empty_ones_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(".env").write_text("BUILDHOOK_LFS=Yes\nBUILDHOOK_PORT=7\nBUILDHOOK_JOB_CPUS=0.5\nBUILDHOOK_POLICY_FILE=\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data/settings.env").write_text("BUILDHOOK_PORT=8\nBUILDHOOK_HOST=::1\n")
    monkeypatch.setenv("buildhook_data_dir", "data")
    monkeypatch.setenv("BUILDHOOK_PORT", "")
    monkeypatch.setenv("BUILDHOOK_MAX_JOBS", " 3 ")
    found = load()
    assert (found.lfs, found.port, found.job_cpus, found.max_jobs, found.host) == (True, 7, 0.5, 3, "::1")
    assert (found.data_dir, found.policy_file) == (tmp_path / "data", None)


def test_a_secret_is_shown_nowhere() -> None:
    hidden = Secret("CanarySecret")
    assert "Canary" not in f"{hidden} {hidden!r} {[hidden]}"
    assert hidden == Secret("CanarySecret") != Secret("another")
