"""What is sealed opens for its own place and under its own key only."""

from __future__ import annotations

import base64

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import sealing

KEY, OTHER = sealing.parse("00" * 31 + "01"), sealing.parse("00" * 31 + "02")
PLACE = sealing.Place(repository_id=1001, environment=None, name="TOKEN")
PLACES = st.builds(
    sealing.Place,
    repository_id=st.integers(1, 99),
    environment=st.none() | st.text(max_size=4),
    name=st.text(max_size=4),
)


@given(st.binary(max_size=200), PLACES, PLACES)
def test_t75_a_value_opens_for_its_own_place_and_no_other(
    value: bytes, place: sealing.Place, to: sealing.Place
) -> None:
    ring = sealing.Ring([KEY])
    sealed = ring.seal(value, place)
    assert ring.open(sealed, place) == value
    assert len(value) < 8 or value not in sealed.data
    if to != place:
        with pytest.raises(sealing.CannotOpen, match="copied from somewhere else"):
            ring.open(sealed, to)


@pytest.mark.parametrize("to", [{"repository_id": 1002}, {"name": "TOKEN2"}, {"environment": ""}, {"environment": "e"}])
def test_t75_a_row_that_is_copied_to_another_repository_name_or_environment_does_not_open(
    to: dict[str, object],
) -> None:
    ring = sealing.Ring([KEY])
    with pytest.raises(sealing.CannotOpen):
        ring.open(ring.seal(b"value", PLACE), msgspec.structs.replace(PLACE, **to))


def test_t75_a_changed_byte_does_not_open() -> None:
    ring = sealing.Ring([KEY])
    sealed = ring.seal(b"value", PLACE)
    for at in range(len(sealed.data)):
        changed = bytearray(sealed.data)
        changed[at] ^= 1
        with pytest.raises(sealing.CannotOpen):
            ring.open(sealing.Sealed(key_id=KEY.id, data=bytes(changed)), PLACE)
    for length in range(len(sealed.data)):
        with pytest.raises(sealing.CannotOpen):
            ring.open(sealing.Sealed(key_id=KEY.id, data=sealed.data[:length]), PLACE)


def test_t75_the_previous_key_opens_and_the_current_one_seals() -> None:
    old = sealing.Ring([OTHER]).seal(b"value", PLACE)
    ring = sealing.Ring([KEY, OTHER, KEY])
    assert ring.current_id == ring.seal(b"value", PLACE).key_id == KEY.id
    assert ring.open(old, PLACE) == b"value"
    with pytest.raises(sealing.CannotOpen, match=f"the key {OTHER.id}, which is not here"):
        sealing.Ring([KEY]).open(old, PLACE)
    with pytest.raises(sealing.CannotOpen, match="no key"):
        sealing.Ring([]).seal(b"value", PLACE)


def test_the_same_value_is_never_sealed_to_the_same_bytes() -> None:
    ring = sealing.Ring([KEY])
    assert len({ring.seal(b"value", PLACE).data for _ in range(100)}) == 100


def test_a_key_is_read_as_people_write_it() -> None:
    raw = bytes(range(224, 256))
    standard = base64.b64encode(raw).decode()
    forms = [standard, standard.rstrip("="), base64.urlsafe_b64encode(raw).decode(), raw.hex(), f" {standard}\n"]
    assert {sealing.parse(form).secret for form in forms} == {raw}
    assert sealing.parse(sealing.new_key()).secret != sealing.parse(sealing.new_key()).secret


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 44, "00" * 31, "zz" * 32, base64.b64encode(bytes(33)).decode(), "ä" * 44]
)
def test_what_is_no_key_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32") as caught:
        sealing.parse(text)
    assert not text or text not in str(caught.value)


def test_t74_a_key_is_in_no_representation() -> None:
    assert repr(KEY) == f"Key(id='{KEY.id}')"
