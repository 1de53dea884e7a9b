"""The proof of a delivery: SHA-256 only, one exact form, constant time."""

from __future__ import annotations

import ast
import hmac
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import pytest
from gidgethub import sansio
from hypothesis import given
from hypothesis import strategies as st

import bot
from bot.webhooks import signature
from tests import recorded
from tests.webhooks import forgeries


def test_the_digest_of_githubs_own_example_is_taken() -> None:
    """https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries"""
    header = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    assert signature.verify(b"Hello, World!", header=header, secrets=[b"It's a Secret to Everybody"]) == 0


@pytest.mark.parametrize("name", forgeries.UNPROVED)
def test_t1_a_signature_that_proves_nothing_is_invalid(name: str) -> None:
    header, label = forgeries.UNPROVED[name]
    with pytest.raises(signature.SignatureInvalid) as caught:
        signature.verify(forgeries.BODY, header=header, secrets=[recorded.SECRET])
    assert caught.value.label == label


def test_t1_sha1_alone_is_told_apart_in_metrics() -> None:
    with pytest.raises(signature.SignatureInvalid) as caught:
        signature.verify(forgeries.BODY, header=None, secrets=[recorded.SECRET], has_sha1=True)
    assert caught.value.label == "sha1_only"


@given(header=st.text() | st.from_regex(r"sha256=[0-9a-fA-F]{60,68}", fullmatch=True), body=st.binary())
def test_t1_no_header_text_breaks_the_check(header: str, body: bytes) -> None:
    with pytest.raises(signature.SignatureInvalid):
        signature.verify(body, header=header, secrets=[recorded.SECRET])


@given(body=st.binary(), secret=st.binary(min_size=1), other=st.binary(min_size=1))
def test_only_the_secret_that_signed_proves(body: bytes, secret: bytes, other: bytes) -> None:
    header = recorded.sign(body, secret)
    assert signature.verify(body, header=header, secrets=[secret]) == 0
    # HMAC pads a key with zero bytes to the block, so keys that differ only there are one key.
    if len(secret) <= 64 and len(other) <= 64 and secret.ljust(64, b"\0") != other.ljust(64, b"\0"):
        assert signature.verify(body, header=header, secrets=[other, secret]) == 1
        with pytest.raises(signature.SignatureInvalid):
            signature.verify(body, header=header, secrets=[other])


@pytest.mark.parametrize("secrets", [[], [b""], [b"", recorded.SECRET], [recorded.SECRET, b""]])
def test_t1_without_a_secret_nothing_is_ever_proved(secrets: list[bytes]) -> None:
    with pytest.raises(ValueError, match="secret"):
        signature.verify(forgeries.BODY, header=forgeries.RIGHT, secrets=secrets)


class _Watched(Sequence[bytes]):
    """Secrets that remember which of them were used."""

    def __init__(self, *secrets: bytes) -> None:
        self._secrets = secrets
        self.used: list[int] = []

    def __len__(self) -> int:
        return len(self._secrets)

    @overload
    def __getitem__(self, position: int) -> bytes: ...
    @overload
    def __getitem__(self, position: slice) -> Sequence[bytes]: ...
    def __getitem__(self, position: int | slice) -> bytes | Sequence[bytes]:
        if isinstance(position, int) and position < len(self._secrets):
            self.used.append(position)
        return self._secrets[position]


def test_t2_every_secret_is_tried_whatever_the_first_one_says() -> None:
    right_first, right_last = _Watched(recorded.SECRET, b"octo"), _Watched(b"octo", recorded.SECRET)
    assert signature.verify(forgeries.BODY, header=forgeries.RIGHT, secrets=right_first) == 0
    assert signature.verify(forgeries.BODY, header=forgeries.RIGHT, secrets=right_last) == 1
    assert right_first.used == right_last.used


def test_t2_no_comparison_but_the_constant_time_one_touches_a_signature() -> None:
    found = []
    for file in sorted(Path(bot.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Compare) and any(isinstance(how, ast.Eq | ast.NotEq) for how in node.ops):
                text = ast.unparse(node).lower()
                if file.name == "signature.py" or any(word in text for word in ("signature", "hmac", "sha256=")):
                    found.append(f"{file.name}:{node.lineno}: {text}")
    assert found == []
    assert Path(signature.__file__).read_text().count("hmac.compare_digest(") == 1


@pytest.mark.parametrize("name", ["X-Hub-Signature", "X-Hub-Signature-256"])
def test_t123_the_library_takes_a_weaker_proof_than_we_do(name: str) -> None:
    body = b'{"zen":"?"}'
    weak = "sha1=" + hmac.digest(recorded.SECRET, body, "sha1").hex()
    headers = {name: weak, "x-github-event": "ping", "x-github-delivery": "1", "content-type": "application/json"}
    lower = {key.lower(): value for key, value in headers.items()}
    assert sansio.Event.from_http(lower, body, secret=recorded.SECRET.decode()).event == "ping"
    with pytest.raises(signature.SignatureInvalid):
        signature.verify(
            body,
            header=lower.get("x-hub-signature-256"),
            secrets=(recorded.SECRET,),
            has_sha1="x-hub-signature" in lower,
        )
