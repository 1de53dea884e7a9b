"""Settings: every one with its name, default, unit and environment variable; the only room that reads the environment.

Read in this order: the environment (`BUILDHOOK_...`), `.env` in the working folder, `DATA_DIR/settings.env`. Each
secret can also be given as a file, by the same name with `_FILE` behind it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

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
from bot.environment import Secret

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

_DATA_DIR = Path("~/.local/share/buildhook")


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All settings, as `load` reads them."""

    github_api_url: Annotated[str, Meta(description="GitHub's API; for an Enterprise Server its `/api/v3` URL.")] = (
        "https://api.github.com"
    )
    github_url: Annotated[
        str | None, Meta(description="Where git and the web pages are; derived from the API's URL when not given.")
    ] = None
    app_id: Annotated[Annotated[int, Meta(gt=0)] | None, Meta(description="The App's id.")] = None
    private_key: Annotated[Secret | None, Meta(description="The App's private key, PEM.")] = None
    webhook_secret: Annotated[Secret | None, Meta(description="Proves that a delivery is GitHub's.")] = None
    webhook_secret_previous: Annotated[
        Secret | None, Meta(description="Still accepted while the secret is being changed.")
    ] = None
    client_id: Annotated[
        str | None, Meta(description="The App's client id, for people who sign in; see [signing in](sign-in.md).")
    ] = None
    client_secret: Annotated[Secret | None, Meta(description="The App's client secret, of the same page.")] = None
    server: Annotated[
        str | None, Meta(description="The service that the command line asks by [its API](api.md); not in `.env`.")
    ] = None
    token: Annotated[Secret | None, Meta(description="The API token that the command line shows there.")] = None
    encryption_key: Annotated[
        Secret | None,
        Meta(
            description="Seals the secrets of repositories in the database: 32 random bytes, e.g. of"
            " `openssl rand -base64 32`. When not given, `encryption.key` in the data folder, which is made when the"
            " first secret is set; on PostgreSQL it has to be given."
        ),
    ] = None
    encryption_key_previous: Annotated[
        Secret | None,
        Meta(description="Still opens secrets, until `buildhook secrets rotate` seals them anew."),
    ] = None
    data_dir: Annotated[Path, Meta(description="Where the database, logs, mirrors and workspaces are kept.")] = (
        _DATA_DIR
    )
    database_url: Annotated[
        Secret | None,
        Meta(
            description="The database: `sqlite:////path/file.db`, or `postgresql://user:password@host/name` for several"
            " replicas. When not given, `buildhook.db` in the data folder."
        ),
    ] = None
    storage_url: Annotated[
        str | None,
        Meta(
            description="Where finished logs and artifacts go: `s3://bucket/prefix`, `gs://bucket/prefix`,"
            " `az://container/prefix` or `file:///path`. When not given, the data folder. See [logs](logs.md)."
        ),
    ] = None
    host: Annotated[str, Meta(description="The address to listen on.")] = "127.0.0.1"
    port: Annotated[int, Meta(description="The port to listen on; 0 takes a free one.", ge=0, le=65535)] = 8080
    public_url: Annotated[str | None, Meta(description="How people reach this service; used in links on GitHub.")] = (
        None
    )
    trusted_proxies: Annotated[
        str | None,
        Meta(
            description="The reverse proxies in front, addresses and networks with commas between: only their"
            " forwarding headers are believed. See [running it](running.md#behind-a-reverse-proxy)."
        ),
    ] = None
    access: Annotated[
        Access, Meta(description="Who may see the pages: `local`, this machine; `github`, [who signs in](access.md).")
    ] = Access.LOCAL
    engine: Annotated[str, Meta(description="Where jobs run: `local`.")] = "local"
    sandbox: Annotated[Sandbox, Meta(description="`auto`, `bubblewrap`, `podman` or `none` (trusted code only).")] = (
        Sandbox.AUTO
    )
    sandbox_image: Annotated[
        str | None,
        Meta(description="With `SANDBOX=podman`: the image of jobs that name none; it has git, sh and tar."),
    ] = None
    network: Annotated[
        Network, Meta(description="What trusted builds may reach: `none`, `list` (the policy's hosts) or `full`.")
    ] = Network.NONE
    submodules: Annotated[
        Submodules, Meta(description="Which submodules are checked out: `none`, `top` or `recursive`.")
    ] = Submodules.NONE
    lfs: Annotated[bool, Meta(description="Whether files kept by Git LFS are downloaded; else pointers stay.")] = False
    lfs_max: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(
            description="How much the LFS files of one checkout may have together, e.g. `5GiB`; what a job may write"
            " when not given."
        ),
    ] = None
    max_jobs: Annotated[int, Meta(description="How many jobs run at once.", ge=1, le=10_000)] = max(
        2, os.cpu_count() or 2
    )
    job_memory: Annotated[
        Annotated[int, Meta(ge=16 << 20)] | None,
        Meta(
            description="How much memory a job may use, e.g. `4GiB`; three quarters of this machine's when not given."
        ),
    ] = None
    job_processes: Annotated[int, Meta(description="How many processes and threads a job may have.", ge=16)] = 4096
    job_disk: Annotated[
        Annotated[int, Meta(ge=1 << 20)] | None,
        Meta(description="How much a job may write, e.g. `20GiB`; half of what is free then when not given."),
    ] = None
    job_cpus: Annotated[
        Annotated[float, Meta(ge=0.1)] | None,
        Meta(description="How many processors' time a job may use; all when not given."),
    ] = None
    policy_file: Annotated[
        Path | None,
        Meta(description="The operator's policy, TOML: whose code runs where, which webhooks start builds, who hears."),
    ] = None
    handlers: Annotated[
        str | None,
        Meta(
            description="Your own handlers, with commas between: `./handlers.py`, or the name of an entry point of the"
            " group `buildhook.handlers`."
        ),
    ] = None
    retention_days: Annotated[
        int, Meta(description="How many days deliveries, builds and logs are kept.", ge=1, le=36_500)
    ] = 90
    log_level: Annotated[LogLevel, Meta(description="`debug`, `info`, `warning` or `error`.")] = LogLevel.INFO
    failpoint: Annotated[
        str | None, Meta(description="For tests of crashes: where the service ends, fails or waits; see below.")
    ] = None

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
    """Read all settings; what is given stands before everything else.

    :raises errors.SettingsError: with one line for each wrong setting, and what to write instead.
    """
    words = {**_written(given), **_secrets_from_files(), **given}
    values: dict[str, Any] = {}
    wrong: list[str] = []
    for field in msgspec.structs.fields(Settings):
        name = field.name
        try:
            word = words.get(name, field.default)
            made = (environment.size if name in _SIZES else environment.value)(word, field.type)
            values[name] = _CHECKS[name](made) if name in _CHECKS and made is not None else made
        except ValueError as error:
            wrong.append(f"{PREFIX}{name.upper()}: {error}")
    if wrong:
        raise errors.SettingsError("\n".join(wrong))
    made = Settings(**values)
    if (problem := _why_not_whole(made)) is not None:
        raise errors.SettingsError(f"{PREFIX.rstrip('_')}: {problem}")
    return made


def _written(given: Mapping[str, Any]) -> dict[str, str]:
    """What the environment, `.env` and `DATA_DIR/settings.env` say, by the names of settings."""
    # It may be a stranger's, in what was checked out: it does not say where our token goes.
    beside = environment.read_file(environment.DOTENV)
    beside.pop(f"{PREFIX}SERVER", None)
    found = _words(beside) | _words({name.upper(): word for name, word in os.environ.items()})
    data_dir = Path(given.get("data_dir") or found.get("data_dir") or _DATA_DIR).expanduser()
    return _words(environment.read_file(data_dir / "settings.env")) | found


def _words(variables: Mapping[str, str]) -> dict[str, str]:
    ours = {name.removeprefix(PREFIX).lower(): word for name, word in variables.items() if name.startswith(PREFIX)}
    # An empty line of `.env` says nothing: what the set-up wrote counts.
    return {name: word for name, word in ours.items() if word}


def _secrets_from_files() -> dict[str, Any]:
    read = environment.read_secrets(_named_files())
    return {name.removeprefix(PREFIX).lower(): secret for name, secret in read.items()}


def _secret(value: Secret) -> Secret | None:
    return value if value.get_secret_value().strip() else None


def _sealing_key(value: Secret) -> Secret | None:
    if (found := _secret(value)) is not None:
        sealing.parse(found.get_secret_value())
    return found


def _private_key(value: Secret) -> Secret | None:
    # One-line forms of a PEM, as env files and secret stores keep it.
    text = value.get_secret_value().replace("\\n", "\n").strip()
    return Secret(text + "\n") if text else None


def _proxies(value: str) -> str | None:
    proxies.parse(value)
    return value or None


def _failpoint(value: str) -> str | None:
    failpoint.parse(value)
    return value or None


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


#: Settings that are sizes, such as `4GiB`.
_SIZES = frozenset({"lfs_max", "job_memory", "job_disk"})
#: What is looked at beside the type, and how it is kept.
_CHECKS: Mapping[str, Callable[[Any], Any]] = {
    "github_api_url": setting_values.url,
    "github_url": setting_values.url,
    "public_url": setting_values.url,
    "trusted_proxies": _proxies,
    "private_key": _private_key,
    "webhook_secret": _secret,
    "webhook_secret_previous": _secret,
    "client_id": lambda value: value.strip() or None,
    "client_secret": _secret,
    "token": _secret,
    "encryption_key": _sealing_key,
    "encryption_key_previous": _sealing_key,
    "data_dir": _absolute,
    "storage_url": lambda value: setting_values.storage(value) if value else None,
    "policy_file": lambda value: None if value == Path() else _absolute(value),
    "failpoint": _failpoint,
}


def _why_not_whole(made: Settings) -> str | None:
    """What is missing beside what is given, if anything is."""
    given = {
        "APP_ID": made.app_id is not None,
        "PRIVATE_KEY": made.private_key is not None,
        "WEBHOOK_SECRET": made.webhook_secret is not None,
    }
    if any(given.values()) and not all(given.values()):
        missing = ", ".join(PREFIX + name for name, is_given in given.items() if not is_given)
        return f"the App's credentials are incomplete: set {missing} as well"
    if (made.client_id is None) != (made.client_secret is None):
        missing = "CLIENT_ID" if made.client_id is None else "CLIENT_SECRET"
        return f"people sign in with both the client id and its secret: set {PREFIX}{missing} as well"
    if made.encryption_key_previous is not None and made.encryption_key is None:
        return f"set {PREFIX}ENCRYPTION_KEY as well: the previous one only opens what it sealed"
    return None


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
    known = {PREFIX + name.upper() for name in Settings.__struct_fields__}
    known |= {f"{PREFIX}{name}_FILE" for name in SECRETS}
    wrong = sorted(
        name for name in {*os.environ, *environment.dotenv()} if name.startswith(PREFIX) and name not in known
    )
    if not wrong:
        return {}
    # Only where there is one: it is a good part of a second for each start to load what nobody misspells.
    import difflib

    close = {name: difflib.get_close_matches(name, known, n=1) for name in wrong}
    return {name: f"Did you mean {close[name][0]}?" if close[name] else "See docs/settings.md." for name in wrong}


def _named_files() -> dict[str, str]:
    return environment.named_files([PREFIX + name for name in SECRETS])


def take_manager() -> systemd.Manager:
    """Whoever started this process and wants to hear of it; nobody else that we start is told of it."""
    names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    return systemd.named({name: os.environ.pop(name, "") for name in names}, pid=os.getpid())
