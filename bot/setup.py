"""How jobs run, as the settings and the policy say it: one value, which every engine is made with."""

from __future__ import annotations

from bot import policy
from bot.engines import contract
from bot.model import engine
from bot.settings import Settings


def of(settings: Settings, rules: policy.Policy) -> contract.Setup:
    """The set-up of the engines."""
    listed = rules.network
    return contract.Setup(
        sandbox=settings.sandbox,
        sandbox_image=settings.sandbox_image or "",
        network=settings.network,
        egress=contract.Egress(allow=listed.allow, allow_private=listed.allow_private, strangers=listed.strangers),
        job_limits=contract.JobLimits(
            memory_bytes=settings.effective_job_memory_bytes,
            processes=settings.job_processes,
            cpus=settings.job_cpus,
            disk_bytes=settings.job_disk,
        ),
        checkout=contract.Checkout(submodules=settings.submodules, has_lfs=settings.lfs, lfs_bytes=settings.lfs_max),
    )


def engines(settings: Settings, rules: policy.Policy, *, is_working: bool) -> engine.Engines:
    """The engines that jobs come to.

    :param is_working: whether the App's credentials are there.
    """
    return engine.Engines(
        all=tuple(
            engine.Engine(
                name=name,
                is_default=name == settings.engine,
                labels=tuple(sorted(rules.engines[name].labels)) if name in rules.engines else (),
            )
            for name in dict.fromkeys((settings.engine, *rules.engines))
        ),
        max_jobs=settings.max_jobs,
        trouble=None if is_working else "The App's credentials are not set, so no job starts.",
    )
