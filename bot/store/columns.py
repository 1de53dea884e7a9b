"""Column types: instants as microseconds, values as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Dialect, String, Text
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant, kept as whole microseconds since 1970: the same order and arithmetic on every database."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """:raises ValueError: if the instant has no time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone")
        return (value - _EPOCH) // _MICROSECOND

    def process_result_value(self, value: int | None, dialect: Dialect) -> datetime | None:
        """Microseconds back to an instant."""
        return None if value is None else _EPOCH + value * _MICROSECOND


class Value(TypeDecorator[Any]):
    """A frozen value (or a container of values) of one type, kept as JSON text."""

    impl = Text
    cache_ok = True

    def __init__(self, kind: Any) -> None:
        super().__init__()
        self.kind = kind
        self._decoder = msgspec.json.Decoder(kind)

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """The value as JSON text."""
        # A NUL is escaped in JSON already, so PostgreSQL keeps it.
        return None if value is None else msgspec.json.encode(value).decode()

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any | None:
        """:raises msgspec.ValidationError: if the text is not of the type."""
        return None if value is None else self._decoder.decode(value)


class Words(TypeDecorator[str]):
    """Text from outside, cut to what the column holds. A NUL, which PostgreSQL cannot keep, becomes U+FFFD."""

    impl = String
    cache_ok = True

    def __init__(self, length: int | None = None) -> None:
        super().__init__(length)
        self.length = length

    def load_dialect_impl(self, dialect: Dialect) -> Any:
        """`VARCHAR` with a length, `TEXT` without."""
        # Not the dialect's own form of it, which no longer knows of `TEXT`.
        return Text() if self.length is None else String(self.length)

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """The text as it can be kept; what is compared with the column is cut in the same way."""
        if value is None:
            return None
        return value.replace("\x00", "\ufffd")[: self.length]
