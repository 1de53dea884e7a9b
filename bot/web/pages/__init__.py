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
    job_tests,
    login,
    queue,
    repository,
    repository_artifacts,
    subscribers,
    test_history,
)

#: Each has a `PAGE`, its `Context` and the pure `make_context`.
PAGES: tuple[ModuleType, ...] = (
    home,
    queue,
    engines,
    repository,
    repository_artifacts,
    test_history,
    build,
    job,
    job_tests,
    deliveries,
    delivery,
    subscribers,
    budget,
    explain,
    audit,
)
#: Those that there are where people sign in.
SIGN_IN_PAGES: tuple[ModuleType, ...] = (login, account)
