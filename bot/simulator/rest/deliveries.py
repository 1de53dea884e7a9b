"""The App's webhook, and what was delivered to it: https://docs.github.com/en/rest/apps/webhooks."""

from __future__ import annotations

import re

from bot.simulator import values
from bot.simulator.rest import call

#: For this long a delivery is listed, shown, and sent again for whoever asks.
#: https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
OLDEST_DAYS = 3


async def get_config(this: call.Call) -> call.Answer:
    """Where deliveries go, and how."""
    return call.Answer(body=this.world.hooks.config())


def _is_old(this: call.Call, delivery: values.Delivery) -> bool:
    return (this.world.clock.instant() - delivery.created_at).days >= OLDEST_DAYS


async def list_deliveries(this: call.Call) -> call.Answer:
    """Newest first, in pages that are linked by `cursor`; only attempts that are over."""
    done = [
        item
        for item in reversed(this.world.hooks.deliveries)
        if item.url is not None and item.done.is_set() and not _is_old(this, item)
    ]
    status = this.query.get("status")
    if status in ("success", "failure"):
        done = [item for item in done if (200 <= item.status_code < 400) == (status == "success")]
    if cursor := this.query.get("cursor"):
        match = re.fullmatch(r"v1_([0-9]{1,18})", cursor)
        if match is None:
            raise call.ApiError(422, "Validation Failed", errors=[{"code": "invalid", "field": "cursor"}])
        done = [item for item in done if item.id <= int(match[1])]
    size = this.query.get("per_page", "30")
    count = min(max(int(size) if size.isdigit() else 30, 1), 100)
    headers = {}
    if len(done) > count:
        headers["Link"] = f'<{this.link(cursor=f"v1_{done[count].id}")}>; rel="next"'
    return call.Answer(body=[this.world.shapes.delivery(item) for item in done[:count]], headers=headers)


def _delivery(this: call.Call) -> values.Delivery:
    found = this.world.hooks.find(this.number("delivery_id"))
    if found is None:
        raise call.ApiError(404, "Not Found")
    return found


async def get_delivery(this: call.Call) -> call.Answer:
    found = _delivery(this)
    if _is_old(this, found):
        raise call.ApiError(404, "Not Found")
    return call.Answer(body=this.world.shapes.full_delivery(found))


async def redeliver(this: call.Call) -> call.Answer:
    found = _delivery(this)
    if _is_old(this, found):
        raise call.ApiError(422, "The delivery is too old to be sent again.")
    this.world.hooks.again(found)
    return call.Answer(status=202, body={})


_DELIVERIES = "/app/hook/deliveries"

ROUTES = (
    call.Route(method="GET", template="/app/hook/config", handler=get_config, needs="app"),
    call.Route(method="GET", template=_DELIVERIES, handler=list_deliveries, needs="app"),
    call.Route(method="GET", template=_DELIVERIES + "/{delivery_id}", handler=get_delivery, needs="app"),
    call.Route(method="POST", template=_DELIVERIES + "/{delivery_id}/attempts", handler=redeliver, needs="app"),
)
