"""Sealing: secrets as they lie in the database; one that was copied to another place or name does not open.

AES-256-GCM with a random nonce for each. What a secret belongs to is authenticated with it, so whoever can write the
database cannot give one repository's secret to another: https://www.rfc-editor.org/rfc/rfc5116#section-2.1
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
_NONCE_BYTES = 12
_VERSION = b"\x01"
_ID_DIGITS = 16


class CannotOpen(Exception):
    """A sealed value does not open: another key, another place, or bytes that were changed."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key."""

    #: Tells keys apart and nothing about them; stored beside what the key sealed.
    id: str
    secret: bytes = field(repr=False)


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What a secret belongs to."""

    repository_id: int
    #: None for the repository as a whole.
    environment: str | None
    name: str


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """The person on whose behalf a token of GitHub's speaks."""

    user_id: int
    #: `access` or `refresh`.
    kind: str


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A value that only its key opens, and only for its place."""

    key_id: str
    data: bytes


def parse(text: str) -> Key:
    """A key as people write it: 32 bytes as base64, with either alphabet, or as 64 hexadecimal digits.

    :raises ValueError: if it is none; the text does not show it.
    """
    given = text.strip()
    try:
        if len(given) == 2 * KEY_BYTES:
            raw = binascii.unhexlify(given)
        else:
            letters = given.translate(str.maketrans("-_", "+/")).rstrip("=")
            raw = base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (ValueError, binascii.Error):
        raw = b""
    if len(raw) != KEY_BYTES:
        raise ValueError("write 32 random bytes as base64, e.g. what `openssl rand -base64 32` prints")
    digest = hashlib.sha256(b"buildhook: id of an encryption key\0" + raw).hexdigest()
    return Key(digest[:_ID_DIGITS], raw)


def new_key() -> str:
    """A new key, as `parse` reads it."""
    return base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()


class Ring:
    """Keys: the first seals, all of them open."""

    def __init__(self, keys: Iterable[Key]) -> None:
        self._keys: dict[str, Key] = {}
        for key in keys:
            self._keys.setdefault(key.id, key)
        #: The id of the key that seals, or None where there is no key at all.
        self.current_id = next(iter(self._keys), None)

    @property
    def ids(self) -> frozenset[str]:
        """The ids of all of them."""
        return frozenset(self._keys)

    def seal(self, value: bytes, place: Place | Grant) -> Sealed:
        """Seal a value for its place.

        :raises CannotOpen: if there is no key.
        """
        if self.current_id is None:
            raise CannotOpen("there is no key")
        nonce = secrets.token_bytes(_NONCE_BYTES)
        data = AESGCM(self._keys[self.current_id].secret).encrypt(nonce, value, _about(place))
        return Sealed(key_id=self.current_id, data=_VERSION + nonce + data)

    def open(self, sealed: Sealed, place: Place | Grant) -> bytes:
        """The value.

        :raises CannotOpen: if its key is not here, or it was not sealed for this place.
        """
        key = self._keys.get(sealed.key_id)
        if key is None:
            raise CannotOpen(f"it was sealed with the key {sealed.key_id}, which is not here")
        nonce, data = sealed.data[1 : 1 + _NONCE_BYTES], sealed.data[1 + _NONCE_BYTES :]
        try:
            if sealed.data[:1] != _VERSION:
                raise InvalidTag
            return AESGCM(key.secret).decrypt(nonce, data, _about(place))
        except (InvalidTag, ValueError):
            raise CannotOpen("it was changed, or copied from somewhere else") from None


def _about(place: Place | Grant) -> bytes:
    # JSON has one reading only, whatever the names hold.
    if isinstance(place, Grant):
        return b"buildhook grant\0" + json.dumps([place.user_id, place.kind]).encode()
    return b"buildhook secret\0" + json.dumps([place.repository_id, place.environment, place.name]).encode()
