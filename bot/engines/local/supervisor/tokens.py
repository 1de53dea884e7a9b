"""What looks like a credential, whoever's it is: GitHub's tokens, keys of AWS, private keys. Pure, without `re`.

https://docs.github.com/en/authentication/keeping-your-account-and-data-secure/about-authentication-to-github#githubs-token-formats
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html#identifiers-unique-ids
https://www.rfc-editor.org/rfc/rfc7468#section-10
"""

from __future__ import annotations

_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
#: The newer installation tokens are `ghs_<id>_<jwt>`, which has dots and any length.
_TOKEN = _LETTERS + b"_.-"
#: Base64, line ends as they are or escaped, and the header lines of old formats.
_PEM = _LETTERS + b"+/=\r\n\t \\:,-"
_GITHUB = (b"ghp_", b"gho_", b"ghu_", b"ghs_", b"ghr_")
_FINE_GRAINED = b"github_pat_"
_AWS = (b"AKIA", b"ASIA")
_BEGIN, _KEY_END = b"-----BEGIN ", b"PRIVATE KEY-----"
_MIN_TOKEN, _MIN_UNMARKED, _MIN_FINE_GRAINED, _AWS_REST = 16, 30, 20, 16
_LOOK_BYTES = 64
#: A key that never ends is none.
MAX_PEM_BYTES = 64 * 1024
#: Each of these is in whatever is found here. So few, because each costs a look at all output.
_SIGNS = (b"gh", _FINE_GRAINED, b"IA", _BEGIN)
_BEGINNINGS = frozenset(mark[:end] for mark in (*_GITHUB, _FINE_GRAINED, *_AWS, _BEGIN) for end in range(1, len(mark)))
_LONGEST = max(map(len, _BEGINNINGS))
_KEY_ENDINGS = frozenset(_KEY_END[:end] for end in range(1, len(_KEY_END)))


class Found:
    """What is in some output."""

    def __init__(self) -> None:
        #: Start and end of each, in no order.
        self.spans: list[tuple[int, int]] = []
        #: From where on something may have begun that is not yet decided; None where nothing may have.
        self.undecided: int | None = None
        #: What goes on beyond the end of the output: `token`, `pem`, or nothing.
        self.inside = ""

    def doubt(self, at: int) -> None:
        """Something may have begun here."""
        self.undecided = at if self.undecided is None else min(at, self.undecided)


def look(data: bytes, *, before: bytes) -> Found:
    """Find all of them.

    :param before: the byte before `data`, or nothing.
    """
    found = Found()
    for length in range(min(_LONGEST, len(data)), 0, -1):
        if data[-length:] in _BEGINNINGS:
            found.doubt(len(data) - length)
            break
    gh, fine, aws, pem = (sign in data for sign in _SIGNS)
    if gh:
        for mark in _GITHUB:
            _github(data, mark, before, found)
    if fine:
        _fine_grained(data, found)
    if aws:
        for mark in _AWS:
            _aws(data, mark, found)
    if pem:
        _pem(data, found)
    return found


def go_on(data: bytes, *, at: int, inside: str) -> tuple[int, str]:
    """Where something ends that began before `at`, and what it is if it goes on."""
    end = run(data, at, _TOKEN) if inside == "token" else _pem_end(data, at, look_from=max(0, at - len(_KEY_END) + 1))
    return end, inside if end == len(data) and not (inside == "pem" and data.endswith(_KEY_END)) else ""


def keep_of_key(data: bytes) -> int:
    """How many of the last bytes may be the beginning of a private key's end."""
    return next((n for n in range(min(len(_KEY_END) - 1, len(data)), 0, -1) if data[-n:] in _KEY_ENDINGS), 0)


def run(data: bytes, at: int, allowed: bytes) -> int:
    """One past the last of the allowed bytes that follow each other from `at` on."""
    while part := data[at : at + 4096]:
        left = len(part.lstrip(allowed))
        at += len(part) - left
        if left:
            break
    return at


def _positions(data: bytes, mark: bytes) -> list[int]:
    found, at = [], data.find(mark)
    while at >= 0:
        found.append(at)
        at = data.find(mark, at + 1)
    return found


def _github(data: bytes, mark: bytes, before: bytes, found: Found) -> None:
    for at in _positions(data, mark):
        body = at + len(mark)
        shown = data[body : body + _LOOK_BYTES]
        end = run(shown, 0, _TOKEN)
        is_open = body + end == len(data)
        # `weighs_more_than_it_should` is a name that people give.
        is_word = (data[at - 1 : at] if at else before) not in _SINGLE_LETTERS
        verdict = _is_github(shown[:end], is_word=is_word, is_open=is_open)
        if verdict:
            _take(data, at, run(data, body, _TOKEN), found)
        elif verdict is None:
            found.doubt(at)


_SINGLE_LETTERS = frozenset(bytes((one,)) for one in _LETTERS)


def _is_github(body: bytes, *, is_word: bool, is_open: bool) -> bool | None:
    """Whether it is a token; None where more has to be seen."""
    if is_word and len(body) >= _MIN_TOKEN:
        return True
    letters = run(body, 0, _LETTERS)
    if letters >= _MIN_UNMARKED:
        return True
    rest = body[letters:]
    is_numbered = body[:letters].isdigit()
    if is_numbered and rest.startswith(b"_ey"):
        return True
    may_become = is_word or not rest or (is_numbered and b"_ey".startswith(rest))
    return None if is_open and may_become else False


def _fine_grained(data: bytes, found: Found) -> None:
    for at in _positions(data, _FINE_GRAINED):
        body = at + len(_FINE_GRAINED)
        end = run(data, body, _LETTERS + b"_")
        if end - body >= _MIN_FINE_GRAINED:
            _take(data, at, run(data, end, _TOKEN), found)
        elif end == len(data):
            found.doubt(at)


def _aws(data: bytes, mark: bytes, found: Found) -> None:
    for at in _positions(data, mark):
        body = at + len(mark)
        end = run(data[body : body + _AWS_REST], 0, _UPPER)
        if end == _AWS_REST:
            found.spans.append((at, body + _AWS_REST))
        elif body + end == len(data):
            found.doubt(at)


def _pem(data: bytes, found: Found) -> None:
    for at in _positions(data, _BEGIN):
        shown = data[at + len(_BEGIN) : at + len(_BEGIN) + _LOOK_BYTES]
        kind = run(shown, 0, _UPPER + b" ")
        # The word itself was taken for the kind, its dashes were not.
        head = shown[: kind + 5]
        if head.endswith(_KEY_END):
            body = at + len(_BEGIN) + len(head)
            end = _pem_end(data, body, look_from=body)
            found.spans.append((at, end))
            if end == len(data) and not data[body:].endswith(_KEY_END):
                found.inside = "pem"
        elif at + len(_BEGIN) + len(head) == len(data) and len(shown) < _LOOK_BYTES:
            found.doubt(at)


def _pem_end(data: bytes, at: int, *, look_from: int) -> int:
    end = run(data, at, _PEM)
    last = data.find(_KEY_END, look_from, end)
    return end if last < 0 else max(at, last + len(_KEY_END))


def _take(data: bytes, at: int, end: int, found: Found) -> None:
    found.spans.append((at, end))
    if end == len(data):
        found.inside = "token"
