"""What is shown as proof cannot be guessed, and what is kept of it does not show it."""

from __future__ import annotations

import re

from bot.people import proof


def test_proofs_are_long_and_never_the_same() -> None:
    made = {proof.new() for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{43}", one) for one in made)


def test_only_a_digest_is_kept() -> None:
    secret = proof.new()
    assert len(proof.digest(secret)) == 32
    assert secret.encode() not in proof.digest(secret)
    assert proof.digest(secret) == proof.digest(secret) != proof.digest(secret + "x")
    # Whatever bytes a cookie brings.
    assert len(proof.digest("\udcff")) == 32


def test_t93_the_challenge_is_the_one_of_the_rfc() -> None:
    """https://www.rfc-editor.org/rfc/rfc7636#appendix-B"""
    verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
    assert proof.challenge(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_t97_a_form_fits_one_cookie() -> None:
    one, other = proof.new(), proof.new()
    assert proof.is_form_token(proof.form_token(one), one)
    assert not proof.is_form_token(proof.form_token(other), one)
    assert not proof.is_form_token("", one)
    assert not proof.is_form_token("\udcff", one)
    assert one not in proof.form_token(one)
