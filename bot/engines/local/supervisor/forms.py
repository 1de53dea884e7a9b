"""The forms in which a secret value may be printed: what a log is searched for. Pure, and quick to import.

They are what people and programs do to a value without thinking of it as a secret. Whoever wants to get a value past
them can (one letter a line is enough), so nothing rests on this alone.
"""

from __future__ import annotations

from binascii import b2a_base64, hexlify

#: Nothing shorter is looked for: it would be found everywhere, and what is left would tell it.
MIN_BYTES = 4
_URL_SAFE = bytes.maketrans(b"+/", b"-_")
_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
#: What is left as it is: by RFC 3986, the same in paths, by JavaScript's encodeURIComponent and its encodeURI.
#: https://www.rfc-editor.org/rfc/rfc3986#section-2.3
#: https://tc39.es/ecma262/#sec-uri-handling-functions
_URL_PLAIN = tuple(_LETTERS + more for more in (b"-._~", b"-._~/", b"-_.!~*'()", b"-_.!~*'();/?:@&=+$,#"))
_JSON = {8: b"\\b", 9: b"\\t", 10: b"\\n", 12: b"\\f", 13: b"\\r", 34: b'\\"', 92: b"\\\\"}
#: As Go's encoder writes these beside. https://pkg.go.dev/encoding/json#Marshal
_JSON_OF_GO = {**_JSON, 38: b"\\u0026", 60: b"\\u003c", 62: b"\\u003e"}
_SHELL_QUOTES = (b"'\"'\"'", b"'\\''")
#: What bash's `printf %q` and `set -x` put a backslash before, and what double quotes do.
_SHELL_SPECIAL = b"\t !\"#$&'()*,;<>?[\\]^`{|}~"
_SHELL_DOUBLE = b'"$\\`'
_SHELL_ANSI = {7: b"\\a", 8: b"\\b", 9: b"\\t", 10: b"\\n", 11: b"\\v", 12: b"\\f", 13: b"\\r", 39: b"\\'", 92: b"\\\\"}
_MARKUP = {34: b"&quot;", 38: b"&amp;", 39: b"&#39;", 60: b"&lt;", 62: b"&gt;"}
#: Bytes of a value in a line of wrapped base64, as `base64` (76 letters) and `openssl base64` (64) write it.
_WRAPPED = (57, 48)


def of(value: bytes) -> set[bytes]:
    """All forms of a value, each at least `MIN_BYTES` long.

    :param value: as it was set; line ends around it do not count.
    """
    core = value.strip(b"\r\n")
    found = {core, *_hex(core), *_base64(core), *_reversed(core), *_escaped(core)}
    for inner in _base64(core):
        found |= _base64(inner)
    for length in _WRAPPED:
        found |= (
            {_plain64(core[at : at + length]) for at in range(0, len(core), length)} if len(core) > length else set()
        )
    lines = core.splitlines()
    for line in {part.strip() for part in lines} if len(lines) > 1 else ():
        if len(line) >= MIN_BYTES:
            found |= {line, *_reversed(line), *_escaped(line)}
    return {one for one in found if len(one) >= MIN_BYTES}


def _hex(value: bytes) -> set[bytes]:
    lower = hexlify(value)
    return {lower, lower.upper()}


def _plain64(value: bytes) -> bytes:
    return b2a_base64(value, newline=False).rstrip(b"=")


def _base64(value: bytes) -> set[bytes]:
    """The value in base64, alone and amid other bytes: of each alignment the letters that it alone decides.

    https://www.rfc-editor.org/rfc/rfc4648#section-4
    """
    alone = b2a_base64(value, newline=False)
    found = {alone, alone.rstrip(b"=")}
    for before in range(3):
        letters = b2a_base64(bytes(before) + value + b"\0\0", newline=False)
        # Six bits are a letter: those on either side hold bits of others.
        found.add(letters[-(-before * 8 // 6) : (before + len(value)) * 8 // 6])
    return {form for one in found for form in (one, one.translate(_URL_SAFE)) if len(form) >= MIN_BYTES}


def _reversed(value: bytes) -> set[bytes]:
    # `rev` turns letters round, and a letter may be several bytes.
    return {value[::-1], value.decode("utf-8", "replace")[::-1].encode()}


def _escaped(value: bytes) -> set[bytes]:
    json, go = _mapped(value, _JSON), _mapped(value, _JSON_OF_GO)
    found = {json, go, json.replace(b"/", b"\\/"), _mapped(json, _JSON), _unicode(json), _unicode(go)}
    found |= {value.replace(b"'", quote) for quote in _SHELL_QUOTES}
    found |= {_backslashed(value, special) for special in (_SHELL_SPECIAL, _SHELL_DOUBLE)}
    found |= {_mapped(value, _SHELL_ANSI), _mapped(value, _MARKUP)}
    for plain in _URL_PLAIN:
        upper = b"".join(bytes((one,)) if one in plain else b"%%%02X" % one for one in value)
        lower = b"".join(bytes((one,)) if one in plain else b"%%%02x" % one for one in value)
        found |= {upper, lower, upper.replace(b"%20", b"+"), lower.replace(b"%20", b"+")}
    return found


def _mapped(value: bytes, table: dict[int, bytes]) -> bytes:
    return b"".join(table.get(one) or bytes((one,)) for one in value)


def _backslashed(value: bytes, special: bytes) -> bytes:
    return b"".join(b"\\" + bytes((one,)) if one in special else bytes((one,)) for one in value)


def _unicode(value: bytes) -> bytes:
    """What is not ASCII as JSON's `\\uXXXX`, beyond the basic plane as a pair."""
    text = value.decode("utf-8", "replace")
    if text.isascii():
        return value
    units = text.encode("utf-16-be")
    found = b""
    for at in range(0, len(units), 2):
        unit = units[at] << 8 | units[at + 1]
        found += bytes((unit,)) if unit < 128 else b"\\u%04x" % unit
    return found
