"""The claim: a token and a state that are good once."""

from __future__ import annotations

import hmac

import pytest

from bot.onboarding import claim, wish

WISH = wish.Wish(organization=None, name="a", public_url=None, webhook_url="https://a.example/webhook")


def test_t100_the_token_is_good_once_and_what_it_gives_is_another_secret() -> None:
    its = claim.Claim()
    assert its.is_open_to(its.token)
    kept = its.take(its.token)
    assert kept is not None
    assert kept != its.token
    assert its.take(its.token) is None
    assert not its.is_open_to(its.token)
    assert its.is_holder(kept)
    assert not its.is_holder(its.token)


@pytest.mark.parametrize("given", ["", "wrong", "\udcff", "x" * 100_000])
def test_t100_whatever_else_is_shown_claims_nothing(given: str) -> None:
    its = claim.Claim()
    assert (its.take(given), its.is_open_to(given), its.is_holder(given)) == (None, False, False)
    assert its.take(its.token) is not None
    assert (its.take(given), its.is_open_to(given), its.is_holder(given)) == (None, False, False)


def test_t100_every_comparison_takes_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return one == other

    its = claim.Claim()
    monkeypatch.setattr(hmac, "compare_digest", compare)
    for given in ("", "a", its.token, its.token):
        its.is_open_to(given)
        its.is_holder(given)
        its.take(given)
    assert set(compared) == {(32, 32)}
    assert len(compared) == 12


def test_a_state_is_good_once_for_an_hour_and_only_the_newest() -> None:
    now = [0.0]
    its = claim.Claim(clock=lambda: now[0])
    assert its.finish("") is None
    first, second = its.begin(WISH), its.begin(WISH)
    assert its.finish(first) is None
    assert its.finish(second) is WISH
    assert its.finish(second) is None
    late = its.begin(WISH)
    now[0] = claim.STATE_SECONDS
    assert its.finish(late) is None
    its.give_back(WISH, late)
    assert its.finish(late) is WISH
