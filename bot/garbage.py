"""How often this process looks for garbage that holds itself: seldom, for what a request makes goes by itself."""

from __future__ import annotations

import gc

#: So many more objects made than freed before the youngest are looked through; Python's own 700 are two requests.
_YOUNG = 20_000
#: So many of those before the older ones are, and so many of these before all are.
_OLDER, _ALL = 20, 20


def settle() -> None:
    """Call it once what a service needs is imported: that stays, and is not looked through any more.

    https://docs.python.org/3/library/gc.html#gc.freeze
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, _OLDER, _ALL)
