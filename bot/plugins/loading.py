"""Loads users' own handlers: files and installed packages that the settings name, and nothing that they do not.

What cannot be loaded stops the start with a line for it, which says where and what to do.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import inspect
import itertools
import traceback
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
from gidgethub import abc, routing, sansio

from bot import errors, telemetry

#: Of entry points: https://packaging.python.org/en/latest/specifications/entry-points/
GROUP = "buildhook.handlers"
_SETTING = "BUILDHOOK_HANDLERS"
#: Each load of a file makes a module of its own, so that reading it again never finds the old one.
_numbers = itertools.count(1)
_ROUTER = "`router = gidgethub.routing.Router()`, and `@router.register(...)` over each handler"

Function = Callable[[sansio.Event, abc.GitHubAPI], Coroutine[Any, Any, None]]


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """One of the users' own handlers."""

    #: `handlers:greet` for `greet` in `handlers.py`: the database knows it by this name.
    name: str
    function: Function
    #: Where it is written; None where that is not known.
    file: str | None


class Handlers(msgspec.Struct, frozen=True, kw_only=True):
    """All handlers that the settings name."""

    by_name: Mapping[str, Handler] = msgspec.field(default_factory=dict)
    router: routing.Router = msgspec.field(default_factory=routing.Router)

    def candidates(self, event: str, action: str | None) -> tuple[str, ...]:
        """The names of those that may take an event with this action, without looking into it."""
        functions = set(self.router._shallow_routes.get(event, ()))
        for key, values in self.router._deep_routes.get(event, {}).items():
            for value, registered in values.items():
                # What other keys say is only known once the payload is read.
                if key != "action" or value == action:
                    functions.update(registered)
        return tuple(sorted(name for name, one in self.by_name.items() if one.function in functions))

    def takes(self, name: str, event: sansio.Event) -> bool:
        """Whether a handler is registered for an event as it is."""
        try:
            found = self.router.fetch(event)
        except TypeError:
            # A value that the library would look up in a dictionary, which a list or an object cannot be.
            found = frozenset(self.router._shallow_routes.get(event.event, ()))
        return self.by_name[name].function in found


def load(names: Sequence[str]) -> Handlers:
    """Load what `BUILDHOOK_HANDLERS` names: paths of Python files, and names of entry points.

    :raises errors.SettingsError: with a line for each that cannot be loaded.
    """
    found: dict[str, Handler] = {}
    routers: list[routing.Router] = []
    wrong: list[str] = []
    for name in names:
        try:
            label, router = _from_file(Path(name)) if _is_path(name) else _from_package(name)
            for one in _handlers(label, router):
                if one.name in found:
                    raise errors.SettingsError(f"{name}: two handlers are called {one.name}: give each its own name")
                found[one.name] = one
            routers.append(router)
        except errors.SettingsError as error:
            wrong.append(f"{_SETTING}: {telemetry.one_line(str(error))}")
    if wrong:
        raise errors.SettingsError("\n".join(wrong))
    return Handlers(by_name=found, router=routing.Router(*routers))


def _is_path(name: str) -> bool:
    return name.endswith(".py") or "/" in name


def _from_file(given: Path) -> tuple[str, routing.Router]:
    path = given.expanduser().absolute()
    if not path.is_file():
        raise errors.SettingsError(f"{given}: there is no such file")
    spec = importlib.util.spec_from_file_location(f"_buildhook_handlers_{next(_numbers)}_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise errors.SettingsError(f"{given}: this is no Python file: its name has to end with .py")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise errors.SettingsError(_why(error, str(path), shown=str(given))) from error
    except SystemExit as error:
        raise errors.SettingsError(f"{given}: it ends the process ({error.code}) instead of being loaded") from error
    return path.stem, _router(module, shown=str(given))


def _from_package(name: str) -> tuple[str, routing.Router]:
    found = list(importlib.metadata.entry_points(group=GROUP, name=name))
    if len(found) != 1:
        count = "no installed package has" if not found else f"{len(found)} installed packages have"
        raise errors.SettingsError(
            f"{name}: {count} an entry point of that name in the group `{GROUP}`; write ./{name}.py for a file"
        )
    try:
        loaded = found[0].load()
    except Exception as error:
        raise errors.SettingsError(_why(error, "", shown=f"{name} ({found[0].value})")) from error
    except SystemExit as error:
        raise errors.SettingsError(f"{name}: it ends the process ({error.code}) instead of being loaded") from error
    return name, _router(loaded, shown=f"{name} ({found[0].value})")


def _why(error: Exception, file: str, *, shown: str) -> str:
    """What went wrong in a file, and in which of its lines."""
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == file else _line(error, file)
    said = (error.msg if isinstance(error, SyntaxError) else str(error)) or "no reason given"
    at = f", line {line}" if line is not None else ""
    return f"{shown}{at}: {type(error).__name__}: {telemetry.redact(said)}"


def _line(error: BaseException, file: str) -> int | None:
    frames = traceback.extract_tb(error.__traceback__)
    return next((one.lineno for one in reversed(frames) if one.filename == file), None)


def _router(loaded: ModuleType | Any, *, shown: str) -> routing.Router:
    router = loaded if isinstance(loaded, routing.Router) else getattr(loaded, "router", None)
    if router is None:
        raise errors.SettingsError(f"{shown}: it has no `router`: write {_ROUTER}")
    if not isinstance(router, routing.Router):
        raise errors.SettingsError(f"{shown}: its `router` is a {type(router).__name__}: write {_ROUTER}")
    return router


def _handlers(label: str, router: routing.Router) -> Iterator[Handler]:
    functions = [*itertools.chain.from_iterable(router._shallow_routes.values())]
    for values in router._deep_routes.values():
        for registered in values.values():
            functions += itertools.chain.from_iterable(registered.values())
    for function in dict.fromkeys(functions):
        yield _handler(label, function)


def _handler(label: str, function: Any) -> Handler:
    called = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(inspect.unwrap(function), "__code__", None)
    where = f"{label}:{called}" + (f" (line {code.co_firstlineno})" if code is not None else "")
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(type(function).__call__)
    if not is_async:
        raise errors.SettingsError(f"{where} is no `async def` function: write `async def {called}(event, gh): ...`")
    try:
        inspect.signature(function).bind(object(), object())
    except TypeError as error:
        raise errors.SettingsError(
            f"{where} is called as {called}(event, gh), which it does not take: {error}"
        ) from None
    return Handler(name=f"{label}:{called}"[:255], function=function, file=code.co_filename if code else None)
