"""Makes the engine as the operator wants it."""

from __future__ import annotations

from pathlib import Path

from bot.engines import contract
from bot.engines.local import engine


def made(data_dir: Path, setup: contract.Setup) -> engine.Local:
    """The engine of this set-up, still to be opened."""
    return engine.Local(
        data_dir,
        sandbox=setup.sandbox,
        image=setup.sandbox_image,
        images_dir=setup.images_dir,
        network=setup.network,
        egress=setup.egress,
        job_limits=setup.job_limits,
        checkout=setup.checkout,
    )
