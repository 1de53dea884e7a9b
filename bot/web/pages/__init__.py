"""The pages: every module with one is named here, and nowhere else."""

from types import ModuleType

from bot.web.pages import audit, budget, build, builds, deliveries, delivery, explain, job, repository, subscribers

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
