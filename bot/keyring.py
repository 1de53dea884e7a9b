"""The keys that secrets are sealed with: those of the settings, and the one that lies in the data folder."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from bot import errors, sealing
from bot.settings import PREFIX, Settings

#: In the data folder; made when the first secret is set and the settings give no key.
FILE_NAME = "encryption.key"


def load(settings: Settings) -> sealing.Ring:
    """All keys that are there. It blocks: it reads a file.

    :raises errors.SettingsError: if the file cannot be read or holds no key.
    """
    path = settings.data_dir / FILE_NAME
    try:
        text = path.read_text(encoding="ascii")
    except FileNotFoundError:
        return sealing.Ring(settings.encryption_keys)
    except (OSError, UnicodeDecodeError) as error:
        raise errors.SettingsError(f"The encryption key in {path} cannot be read: {error}") from None
    try:
        written = sealing.parse(text)
    except ValueError:
        raise errors.SettingsError(
            f"The encryption key in {path} is broken: bring it back from where it was kept,"
            f" or set {PREFIX}ENCRYPTION_KEY and set the secrets again."
        ) from None
    # It goes on opening what it sealed, where the settings give another one since.
    return sealing.Ring((*settings.encryption_keys, written))


def make(settings: Settings, *, is_shared: bool) -> sealing.Ring:
    """All keys, with a new one in the data folder where there is none. It blocks.

    :param is_shared: whether several services share the database, each with a data folder of its own.
    :raises errors.SettingsError: if the key has to be set, or cannot be written.
    """
    ring = load(settings)
    if ring.current_id is not None:
        return ring
    if is_shared:
        raise errors.SettingsError(
            f"{PREFIX}ENCRYPTION_KEY: set it to what `openssl rand -base64 32` prints, the same for all services that"
            " share the database: secrets are sealed with it."
        )
    _write(settings.data_dir / FILE_NAME)
    return load(settings)


def _write(path: Path) -> None:
    made = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    try:
        fd = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with open(fd, "w", encoding="ascii") as file:
            file.write(f"{sealing.new_key()}\n")
            file.flush()
            os.fsync(fd)
        try:
            # Of two that make one at the same time the first counts: a key that sealed something is never replaced.
            os.link(made, path)
        except FileExistsError:
            return
        finally:
            made.unlink()
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise errors.SettingsError(f"The encryption key cannot be written to {path}: {error.strerror}") from error
