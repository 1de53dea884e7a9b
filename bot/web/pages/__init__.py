"""The pages: every module with one is named here, and nowhere else."""

from types import ModuleType

from bot.web.pages import (
    account,
    audit,
    budget,
    build,
    builds,
    deliveries,
    delivery,
    explain,
    job,
    login,
    repository,
    subscribers,
)

#: Each has a `PAGE`, its `Context` and the pure `make_context`.
PAGES: tuple[ModuleType, ...] = (
    builds,
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
