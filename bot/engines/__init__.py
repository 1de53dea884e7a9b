"""Engines: the places where jobs run, by name; each is loaded when it is first asked for."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from bot import errors
from bot.engines import contract, fleet

#: Name -> class that is made with `(data_dir, setup)`. A stranger's engine comes by the entry point group
#: `buildhook.engines`.
ENGINES = {
    "local": "bot.engines.local.making:made",
}
_GROUP = "buildhook.engines"


def load(name: str, *, data_dir: Path, setup: contract.Setup) -> contract.Engine:
    """Make the engine of that name, still to be opened.

    :raises errors.SettingsError: if there is no such engine, or a part that it needs is not installed.
    """
    # To look for strangers' is to read what every package of this installation says of itself.
    strangers = {} if name in ENGINES else {point.name: point.value for point in metadata.entry_points(group=_GROUP)}
    path = {**strangers, **ENGINES}.get(name)
    if path is None:
        known = ", ".join(sorted({**strangers, **ENGINES}))
        raise errors.SettingsError(
            f"There is no engine {name!r}, as `BUILDHOOK_ENGINE` or the policy's `engines` name it; there are: {known}."
        )
    module, _, attribute = path.partition(":")
    try:
        made: contract.Engine = getattr(importlib.import_module(module), attribute)(data_dir, setup)
    except ImportError as error:
        raise errors.SettingsError(f"The engine {name!r} cannot be loaded: {error}.") from error
    return made


def load_all(names: Sequence[str], *, data_dir: Path, setup: contract.Setup) -> contract.Engine:
    """Make these engines, still to be opened, and give them as one.

    :raises errors.SettingsError: as `load`.
    """
    made = {name: load(name, data_dir=data_dir, setup=setup) for name in names}
    return fleet.Fleet(made) if len(made) > 1 else made[names[0]]
