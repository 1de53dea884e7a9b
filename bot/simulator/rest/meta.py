"""The API about itself: https://docs.github.com/en/rest/meta."""

from __future__ import annotations

from bot.simulator.rest import call


async def get_rate_limit(this: call.Call) -> call.Answer:
    """What is left for whoever asks; asking costs nothing."""
    this.world.rates.give_back(this.principal)
    rate = this.world.rates.state(this.principal)
    search = {**rate, "limit": 30, "remaining": 30, "used": 0}
    return call.Answer(body={"resources": {"core": rate, "search": search}, "rate": rate})


async def get_meta(this: call.Call) -> call.Answer:
    return call.Answer(
        body={
            "verifiable_password_authentication": False,
            "hooks": ["127.0.0.0/8", "::1/128"],
            "web": ["127.0.0.0/8", "::1/128"],
            "api": ["127.0.0.0/8", "::1/128"],
            "git": ["127.0.0.0/8", "::1/128"],
        }
    )


ROUTES = (
    call.Route(method="GET", template="/rate_limit", handler=get_rate_limit),
    call.Route(method="GET", template="/meta", handler=get_meta),
)
