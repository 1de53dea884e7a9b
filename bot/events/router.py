"""gidgethub's router, with the type of our handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from gidgethub import routing, sansio

from bot.events.context import Handler


class Router(routing.Router):
    """Looks up the handlers of an event; it never calls them, so that each has a record of its own.

    An event and its action alone say which: so it is known which deliveries nobody handles without reading them.

    https://gidgethub.readthedocs.io/en/latest/routing.html
    """

    def register(self, event_type: str, **data_detail: Any) -> Callable[[Handler], Handler]:  # type: ignore[override]
        """Register a handler for an event, or for one `action` of it.

        :raises ValueError: if it is for a value of another key.
        """
        if set(data_detail) - {"action"}:
            raise ValueError("an event and its action alone say who handles it")

        def decorator(handler: Handler) -> Handler:
            self.add(cast(Any, handler), event_type, **data_detail)
            return handler

        return decorator

    def handlers(self, event: sansio.Event) -> list[Handler]:
        """The handlers of an event, in a stable order."""
        action = event.data.get("action")
        if action is not None and not isinstance(action, str):
            # The library would look it up in a dictionary, which a list or an object cannot be.
            return []
        return sorted(cast(Any, self.fetch(event)), key=lambda handler: (handler.__module__, handler.__qualname__))

    def is_idle(self, event: str, action: str | None) -> bool:
        """Whether no handler takes this event, or none takes it with this action."""
        named = sansio.Event({"action": action} if action is not None else {}, event=event, delivery_id="")
        return not self.fetch(named)
