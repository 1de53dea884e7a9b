"""The pages: every module with one is named here, and nowhere else."""

from types import ModuleType

from bot.web.pages import (
    account,
    audit,
    budget,
    build,
    deliveries,
    delivery,
    engines,
    explain,
    home,
    job,
    login,
    queue,
    repository,
    subscribers,
)

#: Each has a `PAGE`, its `Context` and the pure `make_context`.
PAGES: tuple[ModuleType, ...] = (
    home,
    queue,
    engines,
    repository,
    build,
    job,
    deliveries,
    delivery,
    subscribers,
    budget,
    explain,
    audit,
)
#: Those that there are where people sign in.
SIGN_IN_PAGES: tuple[ModuleType, ...] = (login, account)
