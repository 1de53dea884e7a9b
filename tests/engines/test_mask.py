"""Secret values are taken out of output in every usual form, wherever it is cut, and nothing else is."""

from __future__ import annotations

import base64
import binascii
import html
import itertools
import json
import random
import shlex
import string
import time
import timeit
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.engines.local.supervisor import mask

#: What people and programs do to a value, by the standard library and not by our own code.
FORMS: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda value: value,
    "base64": base64.b64encode,
    "base64, one byte before": lambda value: base64.b64encode(b":" + value + b":"),
    "base64, two bytes before": lambda value: base64.b64encode(b"a:" + value + b"::"),
    "base64 without padding": lambda value: base64.b64encode(value).rstrip(b"="),
    "base64 for URLs": lambda value: base64.urlsafe_b64encode(b"u:" + value),
    "base64 twice": lambda value: base64.b64encode(base64.b64encode(value)),
    "base64 twice, amid others": lambda value: base64.b64encode(b"x" + base64.b64encode(b"y" + value + b"z") + b"w"),
    "hex": binascii.hexlify,
    "upper hex": lambda value: binascii.hexlify(value).upper(),
    "URL": lambda value: quote(value, safe="").encode(),
    "URL path": lambda value: quote(value).encode(),
    "form": lambda value: quote_plus(value).encode(),
    "JSON": lambda value: json.dumps(value.decode()).encode(),
    "JSON, all letters": lambda value: json.dumps(value.decode(), ensure_ascii=False).encode(),
    "JSON in JSON": lambda value: json.dumps(
        json.dumps(value.decode(), ensure_ascii=False), ensure_ascii=False
    ).encode(),
    "shell": lambda value: shlex.quote(value.decode()).encode(),
    "HTML": lambda value: html.escape(value.decode()).replace("&#x27;", "&#39;").encode(),
    "reversed": lambda value: value[::-1],
    "reversed letters": lambda value: value.decode()[::-1].encode(),
}
LETTERS = string.ascii_letters + string.digits
ALPHABETS = (LETTERS, LETTERS + string.punctuation, LETTERS + " /+=&'\"\\$", LETTERS + "äöü€\N{ROCKET}")


def make(*values: bytes) -> mask.Mask:
    return mask.Mask(mask.Patterns(list(values)))


def through(one: mask.Mask, data: bytes, *cuts: int) -> bytes:
    """What comes out of data that is cut here."""
    borders = [0, *sorted(cuts), len(data)]
    parts = [one.feed(data[start:end]) for start, end in itertools.pairwise(borders)]
    return b"".join(parts) + one.flush()


def tells(told: bytes, form: bytes) -> bool:
    """Whether more than single letters at its edges is left of a form."""
    return form[4:-4] in told if len(form) > 12 else form in told


def test_t71_a_thousand_random_secrets_in_every_form_cut_anywhere() -> None:
    chance = random.Random(71)
    for _ in range(1000):
        alphabet = chance.choice(ALPHABETS)
        value = "".join(chance.choice(alphabet) for _ in range(chance.randint(8, 40))).strip().rjust(8, "k").encode()
        patterns = mask.Patterns([value])
        for name, form in FORMS.items():
            printed = form(value)
            data = b"a line before\ntoken: " + printed + b" and more\n"
            whole = through(mask.Mask(patterns), data)
            cuts = [chance.randint(0, len(data)) for _ in range(chance.randint(1, 6))]
            assert through(mask.Mask(patterns), data, *cuts) == whole, (name, value, cuts)
            assert not tells(whole, printed), (name, value, whole)
            assert mask.STARS in whole
            assert whole.startswith(b"a line before\ntoken: ")
            assert whole.endswith(b" and more\n")


@given(
    st.lists(
        st.text("ab+/'\n", min_size=4, max_size=9).map(str.encode).filter(lambda one: len(one.strip(b"\n")) > 3),
        min_size=1,
        max_size=3,
    ),
    st.data(),
)
def test_t71_wherever_output_is_cut_the_same_is_told(values: list[bytes], data: st.DataObject) -> None:
    part = st.sampled_from([*values, *(one[:3] for one in values), b"a", b"\n", *(one[-3:] for one in values)])
    text = b"".join(data.draw(st.lists(part | st.binary(max_size=3), max_size=12)))
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=5))
    whole = through(make(*values), text)
    assert through(make(*values), text, *cuts) == whole
    for left in whole.split(mask.STARS):
        assert not any(value.strip(b"\r\n") in left for value in values)
    if not any(form in text for form in mask.Patterns(values).all):
        assert whole == text


@given(st.data())
def test_t71_a_pause_in_the_middle_of_a_secret_hides_the_rest_of_it(data: st.DataObject) -> None:
    value = b"correct-horse-battery"
    text = b"say " + value + b"!\n"
    cuts = data.draw(st.lists(st.integers(0, len(text)), min_size=1, max_size=4))
    one = make(value)
    told, at = b"", 0
    for cut in [*sorted(cuts), len(text)]:
        told += one.feed(text[at:cut]) + one.flush()
        at = cut
    assert value not in told
    assert told.startswith(b"say ")
    assert told.endswith(b"***!\n")


def test_t71_each_line_of_a_value_of_several_lines_is_hidden() -> None:
    value = b"first line of it\r\n  second: line\nab\n"
    told = through(make(value), b"> first line of it <\n> second: line <\n> ab <\n")
    assert told == b"> *** <\n> *** <\n> ab <\n"


def test_t71_base64_that_is_wrapped_into_lines_is_hidden() -> None:
    value = bytes(random.Random(7).choices(LETTERS.encode(), k=200))
    wrapped = base64.encodebytes(value)
    narrow = b"\n".join(base64.b64encode(value)[at : at + 64] for at in range(0, 268, 64))
    for text in (wrapped, narrow):
        told = through(make(value), text)
        assert all(line not in told for line in text.splitlines())


def test_t71_what_is_held_back_is_bounded_and_let_go() -> None:
    one = make(b"abcdefgh")
    assert one.feed(b"so far abcd") == b"so far "
    assert one.held_bytes == 4
    assert one.flush() == b"abcd"
    assert one.feed(b"e") == b""
    assert one.feed(b"x\n") == b"ex\n"
    longest = mask.Patterns([b"abcdefgh"]).longest
    for letter in b"abcdefgh" * 50:
        one.feed(bytes((letter,)))
        assert one.held_bytes < longest


def test_t71_secrets_that_overlap_are_hidden_as_a_whole() -> None:
    one = make(b"abcdefgh", b"efghijkl", b"gh--")
    assert through(one, b"x abcdefghijkl y abcdefgh-- z abcdefghabcdefgh") == b"x *** y *** z ***"


def test_t72_a_value_of_fewer_than_four_bytes_is_not_looked_for() -> None:
    assert through(make(b"abc", b"a"), b"abc a b c") == b"abc a b c"


def test_t72_a_value_of_one_letter_over_and_over_costs_no_more_than_others() -> None:
    begun_at = time.perf_counter()
    told = through(make(b"a" * 40), b"a" * 100_000 + b"\n")
    assert told == b"***\n"
    assert time.perf_counter() - begun_at < 10


def letters(count: int) -> str:
    return "".join(random.Random(count).choices(LETTERS, k=count))


JWT = f"eyJ{letters(120)}.eyJ{letters(200)}.{letters(86)}"
PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n"
    f"{letters(64)}\n{letters(30)}=\n-----END RSA PRIVATE KEY-----"
)
CORPUS = {
    **{f"{kind}_": f"{kind}_{letters(36)}" for kind in ("ghp", "gho", "ghu", "ghs", "ghr")},
    "ghs_ with a JWT": f"ghs_1234567_{JWT}",
    "github_pat_": f"github_pat_{letters(22)}_{letters(59)}",
    "AWS key": "AKIAIOSFODNN7EXAMPLE",
    "AWS session key": "ASIAIOSFODNN7EXAMPLE",
    "private key": PEM,
    "private key in JSON": PEM.replace("\n", "\\n"),
    "private key of OpenSSH": PEM.replace("RSA", "OPENSSH").replace("Proc-Type: 4,ENCRYPTED\n\n", ""),
}


@pytest.mark.parametrize("name", CORPUS)
@pytest.mark.parametrize("before", ["", "x", "token=", "\x1b[32m", "%3D", '"', "_", "\n"])
def test_t73_whatever_looks_like_a_credential_is_hidden_without_being_set(name: str, before: str) -> None:
    text = f"said: {before}{CORPUS[name]}\x1b[0m, and more\n".encode()
    whole = through(mask.Mask(), text)
    assert whole == f"said: {before}***\x1b[0m, and more\n".encode()
    for cut in range(len(text)):
        assert through(mask.Mask(), text, cut) == whole
    assert through(mask.Mask(), text, *range(len(text))) == whole
    assert len(CORPUS["ghs_ with a JWT"]) > 400


@pytest.mark.parametrize(
    "text",
    [
        "test_weighs_many_items_correctly_in_all_of_the_cases_that_there_are",
        "through ghp_ and ghs_short ghr_, github_pat_ alone, AKIA and ASIA, AKIAISSHORT",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "----- BEGIN -----BEGIN PRIVATE -----BEGIN ",
        "the end is a g",
        "ghs_123",
        "gh",
    ],
)
def test_t73_nothing_else_is_touched(text: str) -> None:
    data = text.encode()
    for cut in range(len(data)):
        assert through(mask.Mask(), data, cut) == data


def test_t73_a_private_key_that_never_ends_does_not_hide_all_that_follows() -> None:
    text = b"grep says: -----BEGIN PRIVATE KEY-----\nsrc/main.py (12) says more\n"
    assert through(mask.Mask(), text) == b"grep says: ***.py (12) says more\n"
    one = mask.Mask()
    told = one.feed(b"-----BEGIN PRIVATE KEY-----\n")
    for _ in range(100):
        told += one.feed(b"A" * 4096)
    assert 0 < told.count(b"A") < 100 * 4096


def test_t73_a_secret_that_is_a_private_key_is_hidden_wherever_it_is_cut() -> None:
    value = PEM.encode()
    text = b"<" + value + b">\n"
    for cut in range(len(text)):
        one = make(value)
        told = one.feed(text[:cut]) + one.flush() + one.feed(text[cut:]) + one.flush()
        assert not any(line in told for line in value.splitlines() if len(line) > 20)
        assert through(make(value), text, cut) == b"<***>\n"


def test_a_text_that_leaves_another_way_is_masked_by_itself() -> None:
    one = make(b"hunter22")
    one.feed(b"hunt")
    assert one.once("exit: hunter22 \udcff") == "exit: *** \udcff"
    assert one.feed(b"er22!") == b"***!"


@given(st.lists(st.text("ab+/", min_size=4, max_size=9).map(str.encode), min_size=1, max_size=4), st.data())
def test_t71_both_ways_of_searching_find_the_same(values: list[bytes], data: st.DataObject) -> None:
    patterns = mask.Patterns(values)
    part = st.sampled_from(patterns.all) | st.text("ab+/", max_size=5).map(str.encode)
    text = b"".join(data.draw(st.lists(part, max_size=8)))
    text = text[: data.draw(st.integers(0, len(text)))]
    since = data.draw(st.integers(0, len(text)))
    spans, begun = patterns.slide(text, since=since)
    assert (sorted(spans), begun) == (sorted(patterns.search(text, since=since)), patterns.begun(text))


def test_output_without_anything_suspicious_passes_at_the_speed_of_a_few_searches() -> None:
    line = b"2026-01-01 12:00:00 INFO some.module building target //foo/bar:baz with 120 objects in the pipeline\n"
    chunk = (line * 2700)[: 256 * 1024]
    one = mask.Mask()
    assert one.feed(chunk) is chunk
    # 300 MB/s and more on a quiet machine; on a busy one both are slower.
    masking = min(timeit.repeat(lambda: one.feed(chunk), number=5, repeat=10))
    words = (b"gh", b"github_pat_", b"IA", b"-----BEGIN ")
    searching = min(timeit.repeat(lambda: [word in chunk for word in words], number=5, repeat=10))
    assert masking < searching * 3


def test_many_forms_cost_no_more_than_a_look_at_each_place() -> None:
    value = b"\n".join(bytes(random.Random(number).choices(LETTERS.encode(), k=64)) for number in range(200))
    one, few = make(value), make(b"correct-horse-battery")
    line = b"building target //foo/bar:baz with 120 objects in the pipeline\n"
    many_seconds = min(timeit.repeat(lambda: one.feed(line), number=20, repeat=10))
    few_seconds = min(timeit.repeat(lambda: few.feed(line), number=20, repeat=10))
    assert many_seconds < few_seconds * 20
