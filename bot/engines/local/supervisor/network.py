"""The network of a job: which one its supervisor moves into, before it starts anything."""

from __future__ import annotations

import os

from . import orders, spaces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from . import egress


def enter(launch: orders.Launch, *, doors: list[int]) -> egress.Refusals | None:
    """Move into the job's network; gives what its egress list refused, where it has one.

    :param doors: of the control groups that a proxy comes into.
    :raises OSError: if it cannot be made; the text says which part.
    """
    if launch.network is not None:
        given = launch.network
        forbidden = [*given["forbidden"], *spaces.own_addresses()]
        spaces.connect(slirp=given["slirp"][0], ip=given["ip"][0], forbidden=forbidden, uid=os.getuid())
    elif launch.egress is not None:
        from . import egress  # only jobs that have a list pay for it

        return egress.connect(launch.egress, library=launch.library, uid=launch.uid, doors=doors)
    elif launch.containers is not None and launch.containers["is_in_ours"]:
        spaces.be_alone()
    return None
