"""Installs Probot from npm into the cache of the benchmarks, and says how it is started."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from benchmarks import servers

VERSION = "14"
_FOLDER = servers.CACHE / "probot"


async def install() -> None:
    """Install it where it is not.

    :raises servers.Missing: if node or npm is not there, or npm fails.
    """
    if shutil.which("node") is None:
        raise servers.Missing("Probot is missing here: node is not installed.")
    if not (_FOLDER / "node_modules/probot/package.json").exists():
        _FOLDER.mkdir(parents=True, exist_ok=True)
        (_FOLDER / "package.json").write_text(json.dumps({"private": True}))
        await servers.install(
            ["npm", "install", "--no-audit", "--no-fund", f"probot@{VERSION}"], folder=_FOLDER, what="Probot"
        )
    key = _FOLDER / "key.pem"
    if not key.exists():
        made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        encoding, form = serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL
        key.write_bytes(made.private_bytes(encoding, form, serialization.NoEncryption()))


def version() -> str:
    """The version that is installed."""
    found: str = json.loads((_FOLDER / "node_modules/probot/package.json").read_text())["version"]
    return found


def command(port: int, secret: str) -> list[str | Path]:
    """How it is started."""
    return ["node", Path(__file__).with_suffix(".mjs"), _FOLDER, str(port), secret, _FOLDER / "key.pem"]
