"""Signatures after Standard Webhooks: what is made can be proved, and nothing else can."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest

from bot import signing
from tests import forgeries
from tests.forgeries import BODY, EPOCH, ID, KEY, OTHER_KEY


def test_the_specifications_own_example_is_signed_and_proved() -> None:
    """The vector that the libraries of the specification are tested with."""
    key = signing.key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    at = datetime.fromtimestamp(1614265330, UTC)
    body = b'{"test": 2432232314}'
    made = signing.headers(body, id="msg_p5jXN8AQM9LWM0D4loKWxJek", at=at, keys=[key])
    assert made == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
    assert signing.verify(made, body, keys=[key], now=at) == signing.Proof(id=made["webhook-id"], key=0)


@pytest.mark.parametrize("name", forgeries.UNPROVED)
def test_what_proves_nothing_is_refused(name: str) -> None:
    make, label, status = forgeries.UNPROVED[name]
    sent = make(EPOCH)
    if name == "the parts cut elsewhere":
        # The bytes are the ones that were signed: that its body is then no JSON is for the door to see.
        assert signing.verify(sent.headers, sent.body, keys=[KEY], now=EPOCH).id == "a"
        return
    if status == 400:
        with pytest.raises(signing.HeaderInvalid):
            signing.verify(sent.headers, sent.body, keys=[KEY], now=EPOCH)
        return
    if label == "missing" and signing.SIGNATURE in sent.headers:
        label = "malformed"
    with pytest.raises(signing.SignatureInvalid) as refused:
        signing.verify(sent.headers, sent.body, keys=[KEY], now=EPOCH)
    assert refused.value.label == label


@pytest.mark.parametrize("seconds", [-300, -1, 0, 1, 300])
def test_five_minutes_either_way_are_tolerated(seconds: int) -> None:
    sent = forgeries.right(EPOCH + timedelta(seconds=seconds))
    assert signing.verify(sent.headers, BODY, keys=[KEY], now=EPOCH).id == ID


def test_either_side_may_change_its_secret_first() -> None:
    both = signing.headers(BODY, id=ID, at=EPOCH, keys=[KEY, OTHER_KEY])
    assert signing.verify(both, BODY, keys=[OTHER_KEY], now=EPOCH).key == 0
    one = forgeries.right(EPOCH, key=OTHER_KEY)
    assert signing.verify(one.headers, BODY, keys=[KEY, OTHER_KEY], now=EPOCH).key == 1


def test_signatures_of_other_versions_beside_ours_are_left_alone() -> None:
    headers = forgeries.right(EPOCH).headers
    headers[signing.SIGNATURE] = f"v1a,hello v2,x v1,short {headers[signing.SIGNATURE]}"
    assert signing.verify(headers, BODY, keys=[KEY], now=EPOCH).id == ID


@pytest.mark.parametrize(
    ("secret", "says"),
    [
        ("whsec_", "has 0 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 23).decode(), "has 23 bytes"),
        ("whsec_" + base64.b64encode(b"x" * 65).decode(), "has 65 bytes"),
        ("correct horse battery staple", "not whsec_ followed by base64"),
        ("whsec_****", "not whsec_ followed by base64"),
        ("whsec_ü", "not whsec_ followed by base64"),
    ],
)
def test_a_secret_that_cannot_be_one_says_why_and_not_what_it_is(secret: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as wrong:
        signing.key(secret)
    assert secret == "whsec_" or secret not in str(wrong.value)


def test_a_secret_is_taken_with_and_without_its_prefix_and_a_last_line_break() -> None:
    bare = forgeries.SECRET.removeprefix("whsec_")
    assert signing.key(bare) == signing.key(f"{forgeries.SECRET}\n") == KEY


@pytest.mark.parametrize("keys", [[], [b""], [KEY, b""]])
def test_an_open_door_is_never_meant(keys: list[bytes]) -> None:
    with pytest.raises(ValueError, match="not empty"):
        signing.verify(forgeries.right(EPOCH).headers, BODY, keys=keys, now=EPOCH)
