"""What every shape is, and how one is made of a thing of ours."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, TypeVar

import msgspec

#: An instant, as RFC 3339 writes it.
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
S = TypeVar("S", bound="Shape")


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What programs read: its fields are written in their order, and described by their types."""


def taken(kind: type[S], one: object, **more: Any) -> S:
    """The shape of a thing: every field that is not given is the thing's own of that name."""
    own = {name: getattr(one, name) for name in kind.__struct_fields__ if name not in more}
    return kind(**own, **more)
