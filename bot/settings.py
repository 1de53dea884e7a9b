"""Settings: every one with its name, default, unit and environment variable; the only room that reads the environment.

Read in this order: the environment (`BUILDHOOK_...`), `.env` in the working folder, `DATA_DIR/settings.env`. Each
secret can also be given as a file, by the same name with `_FILE` behind it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import pydantic
from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, DotEnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bot import (
    collector,
    environment,
    errors,
    failpoint,
    policy,
    policy_file,
    proxies,
    sealing,
    setting_values,
    systemd,
)
from bot.choices import Access, LogLevel, Network, Sandbox, Submodules

PREFIX = "BUILDHOOK_"
#: Settings that may also come from files.
SECRETS = (
    "CLIENT_SECRET",
    "DATABASE_URL",
    "ENCRYPTION_KEY",
    "ENCRYPTION_KEY_PREVIOUS",
    "PRIVATE_KEY",
    "TOKEN",
    "WEBHOOK_SECRET",
    "WEBHOOK_SECRET_PREVIOUS",
)


class Settings(BaseSettings):
    """All settings. Making one reads the environment.

    :raises errors.SettingsError: from `load`, with one line for each wrong setting.
    """

    # An empty line of `.env` says nothing: what the set-up wrote counts.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", frozen=True
    )

    github_api_url: Annotated[str, Field(description="GitHub's API; for an Enterprise Server its `/api/v3` URL.")] = (
        "https://api.github.com"
    )
    github_url: Annotated[
        str | None, Field(description="Where git and the web pages are; derived from the API's URL when not given.")
    ] = None
    app_id: Annotated[int | None, Field(description="The App's id.", gt=0)] = None
    private_key: Annotated[SecretStr | None, Field(description="The App's private key, PEM.")] = None
    webhook_secret: Annotated[SecretStr | None, Field(description="Proves that a delivery is GitHub's.")] = None
    webhook_secret_previous: Annotated[
        SecretStr | None, Field(description="Still accepted while the secret is being changed.")
    ] = None
    client_id: Annotated[
        str | None, Field(description="The App's client id, for people who sign in; see [signing in](sign-in.md).")
    ] = None
    client_secret: Annotated[SecretStr | None, Field(description="The App's client secret, of the same page.")] = None
    server: Annotated[
        str | None, Field(description="The service that the command line asks by [its API](api.md); not in `.env`.")
    ] = None
    token: Annotated[SecretStr | None, Field(description="The API token that the command line shows there.")] = None
    encryption_key: Annotated[
        SecretStr | None,
        Field(
            description="Seals the secrets of repositories in the database: 32 random bytes, e.g. of"
            " `openssl rand -base64 32`. When not given, `encryption.key` in the data folder, which is made when the"
            " first secret is set; on PostgreSQL it has to be given."
        ),
    ] = None
    encryption_key_previous: Annotated[
        SecretStr | None,
        Field(description="Still opens secrets, until `buildhook secrets rotate` seals them anew."),
    ] = None
    data_dir: Annotated[Path, Field(description="Where the database, logs, mirrors and workspaces are kept.")] = Path(
        "~/.local/share/buildhook"
    )
    database_url: Annotated[
        SecretStr | None,
        Field(
            description="The database: `sqlite:////path/file.db`, or `postgresql://user:password@host/name` for several"
            " replicas. When not given, `buildhook.db` in the data folder."
        ),
    ] = None
    storage_url: Annotated[
        str | None,
        Field(
            description="Where finished logs and artifacts go: `s3://bucket/prefix`, `gs://bucket/prefix`,"
            " `az://container/prefix` or `file:///path`. When not given, the data folder. See [logs](logs.md)."
        ),
    ] = None
    host: Annotated[str, Field(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Field(description="The port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8080
    public_url: Annotated[str | None, Field(description="How people reach this service; used in links on GitHub.")] = (
        None
    )
    trusted_proxies: Annotated[
        str | None,
        Field(
            description="The reverse proxies in front, addresses and networks with commas between: only their"
            " forwarding headers are believed. See [running it](running.md#behind-a-reverse-proxy)."
        ),
    ] = None
    access: Annotated[
        Access, Field(description="Who may see the pages: `local`, this machine; `github`, [who signs in](access.md).")
    ] = Access.LOCAL
    engine: Annotated[str, Field(description="Where jobs run: `local`.")] = "local"
    sandbox: Annotated[Sandbox, Field(description="`auto`, `bubblewrap`, `podman` or `none` (trusted code only).")] = (
        Sandbox.AUTO
    )
    sandbox_image: Annotated[
        str | None,
        Field(description="With `SANDBOX=podman`: the image of jobs that name none; it has git, sh and tar."),
    ] = None
    network: Annotated[
        Network, Field(description="What trusted builds may reach: `none`, `list` (the policy's hosts) or `full`.")
    ] = Network.NONE
    submodules: Annotated[
        Submodules, Field(description="Which submodules are checked out: `none`, `top` or `recursive`.")
    ] = Submodules.NONE
    lfs: Annotated[bool, Field(description="Whether files kept by Git LFS are downloaded; else pointers stay.")] = False
    lfs_max: Annotated[
        pydantic.ByteSize | None,
        Field(
            description="How much the LFS files of one checkout may have together, e.g. `5GiB`; what a job may write"
            " when not given.",
            ge=1,
        ),
    ] = None
    max_jobs: Annotated[int, Field(description="How many jobs run at once.", ge=1, le=10_000)] = max(
        2, os.cpu_count() or 2
    )
    job_memory: Annotated[
        pydantic.ByteSize | None,
        Field(
            description="How much memory a job may use, e.g. `4GiB`; three quarters of this machine's when not given.",
            ge=16 << 20,
        ),
    ] = None
    job_processes: Annotated[int, Field(description="How many processes and threads a job may have.", ge=16)] = 4096
    job_disk: Annotated[
        pydantic.ByteSize | None,
        Field(
            description="How much a job may write, e.g. `20GiB`; half of what is free then when not given.", ge=1 << 20
        ),
    ] = None
    job_cpus: Annotated[
        float | None, Field(description="How many processors' time a job may use; all when not given.", ge=0.1)
    ] = None
    policy_file: Annotated[
        Path | None,
        Field(
            description="The operator's policy, TOML: whose code runs where, which webhooks start builds, who hears."
        ),
    ] = None
    handlers: Annotated[
        str | None,
        Field(
            description="Your own handlers, with commas between: `./handlers.py`, or the name of an entry point of the"
            " group `buildhook.handlers`."
        ),
    ] = None
    retention_days: Annotated[
        int, Field(description="How many days deliveries, builds and logs are kept.", ge=1, le=36_500)
    ] = 90
    log_level: Annotated[LogLevel, Field(description="`debug`, `info`, `warning` or `error`.")] = LogLevel.INFO
    failpoint: Annotated[
        str | None, Field(description="For tests of crashes: where the service ends, fails or waits; see below.")
    ] = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The order: given in code, environment, `.env`, `DATA_DIR/settings.env`."""
        dotenv = DotEnvSettingsSource(settings_cls, env_file=environment.DOTENV)
        # It may be a stranger's, in what was checked out: it does not say where our token goes.
        dotenv.env_vars = {name: one for name, one in dotenv.env_vars.items() if name.upper() != f"{PREFIX}SERVER"}
        given: Mapping[str, Any] = {**dotenv(), **env_settings(), **init_settings()}
        data_dir = Path(given.get("data_dir") or cls.model_fields["data_dir"].default).expanduser()
        written = DotEnvSettingsSource(settings_cls, env_file=data_dir / "settings.env")
        return init_settings, env_settings, dotenv, written

    @field_validator("github_api_url", "github_url", "public_url")
    @classmethod
    def _is_url(cls, value: str | None) -> str | None:
        return None if value is None else setting_values.url(value)

    @field_validator("client_id")
    @classmethod
    def _is_given(cls, value: str | None) -> str | None:
        return (value or "").strip() or None

    @field_validator("storage_url")
    @classmethod
    def _is_storage(cls, value: str | None) -> str | None:
        return setting_values.storage(value) if value else None

    @field_validator("trusted_proxies")
    @classmethod
    def _are_proxies(cls, value: str | None) -> str | None:
        proxies.parse(value or "")
        return value or None

    @field_validator(*(name.lower() for name in SECRETS if name != "DATABASE_URL"))
    @classmethod
    def _is_not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        return value

    @field_validator("encryption_key", "encryption_key_previous")
    @classmethod
    def _is_key(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            sealing.parse(value.get_secret_value())
        return value

    @field_validator("failpoint")
    @classmethod
    def _is_failpoint(cls, value: str | None) -> str | None:
        failpoint.parse(value or "")
        return value or None

    @field_validator("private_key")
    @classmethod
    def _unfold(cls, value: SecretStr | None) -> SecretStr | None:
        # One-line forms of a PEM, as env files and secret stores keep it.
        return None if value is None else SecretStr(value.get_secret_value().replace("\\n", "\n").strip() + "\n")

    @field_validator("policy_file", mode="before")
    @classmethod
    def _is_named(cls, value: object) -> object:
        # An empty line of an env file names no file.
        return value or None

    @field_validator("data_dir", "policy_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return value.expanduser().absolute() if value is not None else None

    @model_validator(mode="after")
    def _credentials_are_whole(self) -> Self:
        given = {
            "APP_ID": self.app_id is not None,
            "PRIVATE_KEY": self.private_key is not None,
            "WEBHOOK_SECRET": self.webhook_secret is not None,
        }
        if any(given.values()) and not all(given.values()):
            missing = ", ".join(PREFIX + name for name, is_given in given.items() if not is_given)
            raise ValueError(f"the App's credentials are incomplete: set {missing} as well")
        if (self.client_id is None) != (self.client_secret is None):
            missing = "CLIENT_ID" if self.client_id is None else "CLIENT_SECRET"
            raise ValueError(f"people sign in with both the client id and its secret: set {PREFIX}{missing} as well")
        return self

    @model_validator(mode="after")
    def _keys_are_whole(self) -> Self:
        if self.encryption_key_previous is not None and self.encryption_key is None:
            raise ValueError(f"set {PREFIX}ENCRYPTION_KEY as well: the previous one only opens what it sealed")
        return self

    @property
    def has_credentials(self) -> bool:
        """Whether the App's id, key and webhook secret are all there; else the service is in set-up mode."""
        return self.app_id is not None and self.private_key is not None and self.webhook_secret is not None

    @property
    def handler_names(self) -> tuple[str, ...]:
        """What `HANDLERS` names, each once."""
        return tuple(dict.fromkeys(one.strip() for one in (self.handlers or "").split(",") if one.strip()))

    @property
    def trusted_networks(self) -> tuple[proxies.Network, ...]:
        """What `TRUSTED_PROXIES` names."""
        return proxies.parse(self.trusted_proxies or "")

    @property
    def webhook_secrets(self) -> tuple[bytes, ...]:
        """The secrets that a signature may be made with: the current one, then the previous one."""
        given = (self.webhook_secret, self.webhook_secret_previous)
        return tuple(secret.get_secret_value().encode() for secret in given if secret is not None)

    @property
    def encryption_keys(self) -> tuple[sealing.Key, ...]:
        """The keys that the settings give: the current one, then the previous one."""
        given = (self.encryption_key, self.encryption_key_previous)
        return tuple(sealing.parse(key.get_secret_value()) for key in given if key is not None)

    @property
    def storage_account(self) -> str | None:
        """The account of an `az://` store, from Azure's own variable."""
        return os.environ.get("AZURE_STORAGE_ACCOUNT_NAME") or None

    @property
    def collectors(self) -> Mapping[str, str]:
        """Where traces and metrics of OpenTelemetry go, by its own variables; empty where it is off.

        :raises errors.SettingsError: if one of them cannot be used.
        """
        try:
            return collector.signals(os.environ)
        except ValueError as error:
            raise errors.SettingsError(str(error)) from None

    @property
    def effective_job_memory_bytes(self) -> int:
        """How much memory a job may use, with its default worked out."""
        if self.job_memory is not None:
            return int(self.job_memory)
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 3 // 4

    @property
    def effective_database_url(self) -> str:
        """The database's URL, with its default worked out."""
        given = self.database_url
        return given.get_secret_value() if given is not None else f"sqlite:///{self.data_dir / 'buildhook.db'}"


def load(**given: Any) -> Settings:
    """Read all settings.

    :raises errors.SettingsError: with one line for each wrong setting, and what to write instead.
    """
    try:
        return Settings(**_secrets_from_files(), **given)
    except pydantic.ValidationError as error:
        lines = (setting_values.line(problem, prefix=PREFIX) for problem in error.errors())
        raise errors.SettingsError("\n".join(lines)) from None


def load_policy(settings: Settings) -> policy.Policy:
    """Read the policy file and the secrets that it names; without a file nobody may do anything.

    :raises errors.SettingsError: with one line for each mistake, and what to write instead.
    """
    return policy_file.read(settings.policy_file, setting=f"{PREFIX}POLICY_FILE", variable=os.environ.get)


def loose_files() -> tuple[str, ...]:
    """A sentence for each file with a secret that every user of this machine can read."""
    return tuple(
        f"{name}_FILE: every user of this machine can read {path}: run `chmod 600 {path}`."
        for name, path in _named_files().items()
        if os.path.exists(path) and os.stat(path).st_mode & stat.S_IROTH
    )


def secret_paths() -> dict[str, Path]:
    """The files that may hold secrets, by the setting that names them, or by what they are."""
    found = {f"{name}_FILE": Path(path) for name, path in _named_files().items()}
    is_in_dotenv = bool({PREFIX + name for name in SECRETS} & environment.dotenv().keys())
    return found | ({environment.DOTENV: Path(environment.DOTENV)} if is_in_dotenv else {})


def unknown_names() -> dict[str, str]:
    """Names that look like settings but are none, probably misspelt; each with what it may have been meant to be."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    known |= {f"{PREFIX}{name}_FILE" for name in SECRETS}
    close = environment.misspelt(known, prefix=PREFIX)
    return {name: f"Did you mean {one}?" if one else "See docs/settings.md." for name, one in close.items()}


def _named_files() -> dict[str, str]:
    return environment.named_files([PREFIX + name for name in SECRETS])


def take_manager() -> systemd.Manager:
    """Whoever started this process and wants to hear of it; nobody else that we start is told of it."""
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    return systemd.named({name: os.environ.pop(name, "") for name in names}, pid=os.getpid())


def _secrets_from_files() -> dict[str, Any]:
    read = environment.read_secrets(_named_files())
    return {name.removeprefix(PREFIX).lower(): secret for name, secret in read.items()}
