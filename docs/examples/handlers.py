"""An own handler: thanks whoever opens a pull request.

BUILDHOOK_HANDLERS=./handlers.py buildhook serve
"""

import gidgethub.abc
import gidgethub.routing
import gidgethub.sansio

router = gidgethub.routing.Router()


@router.register("pull_request", action="opened")
async def greet(event: gidgethub.sansio.Event, gh: gidgethub.abc.GitHubAPI) -> None:
    """Thank for a pull request, once: a handler may run twice, so it looks first."""
    pull = event.data["pull_request"]
    mark = f"<!-- greeting for #{pull['number']} -->"
    async for comment in gh.getiter(pull["comments_url"]):
        if mark in comment["body"]:
            return
    await gh.post(pull["comments_url"], data={"body": f"Thank you, @{pull['user']['login']}! {mark}"})
