"""The head of a request to the proxy: what is asked for, and what is passed on of it. Pure.

Strict where readers of HTTP differ, so that whoever reads what is passed on sees the one request that was judged.

https://www.rfc-editor.org/rfc/rfc9112 and, for CONNECT, https://www.rfc-editor.org/rfc/rfc9110#section-9.3.6
"""

from __future__ import annotations

import re

from bot import egress

MAX_BYTES = 16 * 1024
_MAX_FIELDS = 100
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: Printable ASCII: none of the bytes that some readers take for an end.
_TARGET = re.compile(rb"[\x21-\x7e]+")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")
_VERSIONS = (b"HTTP/1.0", b"HTTP/1.1")
_SCHEME = b"http://"
#: They are about one connection, and what follows here is another one.
_OF_ONE_CONNECTION = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer upgrade host"
    b" content-length transfer-encoding".split()
)


class Malformed(ValueError):
    """It is no request that a proxy takes; the text says why."""


class Request:
    """A request as the proxy takes it."""

    def __init__(self, *, host: str, port: int, is_tunnel: bool = False) -> None:
        #: As `egress.normal` writes it.
        self.host = host
        self.port = port
        #: Whether bytes are only passed on both ways.
        self.is_tunnel = is_tunnel
        #: The head as it is sent on; empty for a tunnel.
        self.head = b""
        #: How long the body is; None where it comes in chunks.
        self.length: int | None = 0


def parse(head: bytes) -> Request:
    """Read a head with the empty line at its end.

    :raises Malformed: if it is none.
    """
    lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    words = lines[0].split(b" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]) or not _TARGET.fullmatch(words[1]):
        raise Malformed("it has no request line of a proxy")
    method, target, version = words
    if version not in _VERSIONS:
        raise Malformed("it is of another version than HTTP/1.1")
    fields = [_field(line) for line in lines[1:]]
    if len(fields) > _MAX_FIELDS:
        raise Malformed(f"it has more than {_MAX_FIELDS} header fields")
    if method == b"CONNECT":
        host, port = _authority(target, default_port=None)
        return Request(host=host, port=port, is_tunnel=True)
    if target[: len(_SCHEME)].lower() != _SCHEME:
        raise Malformed("a proxy is asked by CONNECT, or for a whole address that begins with `http://`")
    at = min((at for mark in (b"/", b"?") if (at := target.find(mark, len(_SCHEME))) > 0), default=len(target))
    host, port = _authority(target[len(_SCHEME) : at], default_port=80)
    if b"#" in target:
        raise Malformed("an address ends before its `#`")
    path = target[at:] if target[at : at + 1] == b"/" else b"/" + target[at:]
    made = Request(host=host, port=port)
    made.length = _length(fields, is_old=version == _VERSIONS[0])
    made.head = b"\r\n".join([b"%b %b %b" % (method, path, version), *_passed_on(made, fields), b"", b""])
    return made


def _field(line: bytes) -> tuple[bytes, bytes]:
    name, colon, value = line.partition(b":")
    # A line that begins with a blank would go on with the one before, for some.
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise Malformed("it has a header field that is none")
    return name, value.strip(b" \t")


def _authority(text: bytes, *, default_port: int | None) -> tuple[str, int]:
    try:
        host, port = egress.split(text.decode("ascii"), default_port=default_port)
        return egress.normal(host), port
    except ValueError as error:
        raise Malformed(f"its host is none: {error}") from None


def _length(fields: list[tuple[bytes, bytes]], *, is_old: bool) -> int | None:
    lengths = [value for name, value in fields if name.lower() == b"content-length"]
    codings = [value for name, value in fields if name.lower() == b"transfer-encoding"]
    if codings:
        if lengths or is_old or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise Malformed("it does not say in one way where its body ends")
        return None
    if len(lengths) > 1 or not all(_LENGTH.fullmatch(one) for one in lengths):
        raise Malformed("it does not say in one way where its body ends")
    return int(lengths[0]) if lengths else 0


def _passed_on(made: Request, fields: list[tuple[bytes, bytes]]) -> list[bytes]:
    host = f"[{made.host}]" if ":" in made.host else made.host
    found = [b"Host: " + (host if made.port == 80 else f"{host}:{made.port}").encode("ascii")]
    named = b",".join(value for name, value in fields if name.lower() == b"connection")
    left_out = _OF_ONE_CONNECTION | {one.strip().lower() for one in named.split(b",")}
    found += [name + b": " + value for name, value in fields if name.lower() not in left_out]
    if made.length is None:
        found.append(b"Transfer-Encoding: chunked")
    elif made.length or any(name.lower() == b"content-length" for name, _ in fields):
        found.append(b"Content-Length: %d" % made.length)
    return [*found, b"Connection: close"]


def chunk_size(line: bytes) -> int:
    """The size that a chunk's first line says, without what may follow it.

    :raises Malformed: if it says none.
    """
    digits, _, more = line.removesuffix(b"\r\n").partition(b";")
    digits = digits.strip(b" \t")
    if not re.fullmatch(rb"[0-9A-Fa-f]{1,15}", digits) or not _VALUE.fullmatch(more):
        raise Malformed("its body has a chunk without a size")
    return int(digits, 16)


def answer(status: int, text: str) -> bytes:
    """An answer of our own. Its sentence is the reason as well: many programs show nothing else of a refusal."""
    body = f"buildhook: {text}\n".encode("ascii", "replace")
    reason = f"HTTP/1.1 {status} {text}".encode("ascii", "replace")
    fields = b"Content-Type: text/plain\r\nContent-Length: %d\r\nConnection: close" % len(body)
    return reason + b"\r\n" + fields + b"\r\n\r\n" + body
