"""Server-sent events: the same ones however the bytes are cut, and never more than fit."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.relay.stream import Event, Parser, TooLarge

STREAM = (
    b"\xef\xbb\xbfid: 0\nevent: ready\ndata: {}\n\n"
    b": a comment\r\ndata: one\r\ndata:two\r\ndata\r\n\r\n"
    b"event: ping\rdata: {}\r\r"
    b"event: nothing\n\nretry: 5\nnonsense\ndata: last\n\ndata: cut off"
)
EVENTS = [
    Event(name="ready", data=b"{}"),
    Event(name="message", data=b"one\ntwo\n"),
    Event(name="ping", data=b"{}"),
    Event(name="message", data=b"last"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_events_are_the_same_however_the_stream_is_cut(cuts: list[int]) -> None:
    parser, found = Parser(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in itertools.pairwise(edges):
        found += parser.feed(STREAM[start:end])
    assert found == EVENTS


def test_each_byte_alone() -> None:
    parser = Parser()
    assert [one for byte in STREAM for one in parser.feed(bytes([byte]))] == EVENTS


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_whatever_comes_is_read_without_an_error(chunks: list[bytes]) -> None:
    parser = Parser()
    for one in chunks:
        parser.feed(one)


@pytest.mark.parametrize("text", [b"data: " + b"x" * 200, b"x" * 200, (b"data: " + b"x" * 20 + b"\n") * 10])
def test_what_is_too_large_is_refused_before_it_is_whole(text: bytes) -> None:
    parser = Parser(max_bytes=100)
    pieces = [text[start : start + 7] for start in range(0, len(text), 7)]
    with pytest.raises(TooLarge):
        _feed(parser, pieces)


def _feed(parser: Parser, pieces: list[bytes]) -> None:
    for one in pieces:
        parser.feed(one)


def test_many_events_in_one_piece_are_not_too_large() -> None:
    assert len(Parser(max_bytes=100).feed(b"data: 0123456789\n\n" * 1000)) == 1000
