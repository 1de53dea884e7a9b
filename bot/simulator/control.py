"""The world's operations for another process, as JSON over HTTP, for callers on this machine only.

`POST /_simulator/{operation}` with a JSON object of arguments (`Content-Type: application/json`); the answer is JSON,
400 with `{"error": ...}` where the world cannot do it. `repo` is a name such as `octo/hello`; `number` a pull request.

| operation | arguments | answer |
|---|---|---|
| `app` | | ids, secrets, addresses: `app_id`, `private_key`, `webhook_secret`, `client_id`, `client_secret`, `url`… |
| `webhook` | `url` | |
| `create_repository` | `full_name`, `files`, `private`, `default_branch` | the repository |
| `push` | `repo`, `branch`, `files`, `message`, `author`, `start`, `force` | `sha` |
| `push_many` | `repo`, `branches` | `deliveries` |
| `push_tags` | `repo`, `tags`, `target`, `message`, `author` | |
| `delete_branch` | `repo`, `branch`, `author` | |
| `delete_tag` | `repo`, `tag`, `author` | |
| `fork` | `repo`, `owner` | the repository |
| `rename` | `repo`, `new_name` | |
| `transfer` | `repo`, `new_owner` | |
| `delete_repository` | `repo` | |
| `set_permission` | `repo`, `login`, `level` | |
| `set_visibility` | `repo`, `private` | |
| `install`, `uninstall`, `suspend`, `unsuspend` | `login` | |
| `open_pull_request` | `repo`, `head_branch`, `base`, `author`, `from_fork`, `title`, `draft` | the pull request |
| `close`, `reopen`, `ready_for_review`, `convert_to_draft` | `repo`, `number`, `sender` | the pull request |
| `retarget`, `edit_title`, `edit_body` | `repo`, `number`, `sender` and `base`, `title`, `body` | the pull request |
| `label`, `unlabel` | `repo`, `number`, `name`, `sender` | the pull request |
| `merge` | `repo`, `number`, `method`, `sender`, `force` | the pull request |
| `comment` | `repo`, `number`, `body`, `author` | the comment |
| `comments` | `repo`, `number` | a list |
| `edit_comment`, `delete_comment` | `repo`, `comment_id`, `sender` and `body` | the comment |
| `react` | `repo`, `comment_id`, `content`, `login` | the comment |
| `required_checks`, `ruleset` | `repo`, `branch`, `checks`: names, or names with the id of an App or null | |
| `merge_state` | `repo`, `number` | `may_merge`, `state`, `checks`, `reasons` |
| `enable_merge_queue` | `repo`, `branch`, `checks`, `method` | |
| `enqueue` | `repo`, `number`, `sender`, `force` | the merge group |
| `dequeue`, `invalidate` | `repo`, `number` | the pull request |
| `merge_groups` | `repo` | a list |
| `rerequest_check_run` | `repo`, `run_id`, `sender` | |
| `rerequest_check_suite` | `repo`, `suite_id`, `sender` | |
| `press_action` | `repo`, `run_id`, `identifier`, `sender` | |
| `create_foreign_check_run` | `repo`, `sha`, `name` and what the API takes | the check run, of another App |
| `check_runs` | `repo`, `sha` | a list |
| `wait_for_check` | `repo`, `sha`, `name`, `conclusion`, `timeout_seconds` | the check run; 504 if it does not come |
| `requests` | | every call of the API |
| `deliveries` | | every attempt to deliver an event |
| `ping` | | the delivery |
| `redeliver` | `delivery_id` | the new attempt |
| `age_deliveries` | `days` | |
| `hooks` | of `is_down`, `timeout_seconds`, `unsigned_redeliveries`, `content_type`, `is_insecure` the new ones | |
| `add_fault` | as `Faults.add` | |
| `clear_faults` | | |
| `seed_faults` | `number` | |
| `lag_reads` | `seconds` | |
| `rates` | of `limit`, `graphql_limit`, `window_seconds` those that change | |
| `graphql` | `is_there` | |
| `use_up_rate` | `login`, `resource`: `core` or `graphql` | |
| `secondary_limit` | as `Secondary`: what is not given is as on GitHub | |
| `no_secondary_limit` | | |
| `calls_inside_waits` | | every call that came although its account had been told to wait |
| `advance_clock` | `seconds` | |
| `user_token` | `login` | `token` |
| `callback_urls` | `urls`: where people who sign in may be sent back to | |
| `sign_in` | `login`, `authorize_url` | `url`: where the browser goes next |
| `signed_in_token` | `login` | `token`, of somebody who signed in through the App |
| `revoke_sign_in` | `login` | |
"""

from __future__ import annotations

import inspect
import re
from typing import Any

import msgspec
from aiohttp import web

from bot.simulator import git, github, operations, origin, world


class Control:
    """Serves the operations."""

    def __init__(self, its_world: github.GitHub) -> None:
        self._world = its_world

    def add_to(self, router: web.UrlDispatcher) -> None:
        router.add_post("/_simulator/{operation}", self.serve)

    async def serve(self, request: web.Request) -> web.Response:
        host = origin.host_name(request.host)
        if not (origin.is_loopback(request.remote or "") and origin.is_loopback(host)) or "Origin" in request.headers:
            return _json(403, {"error": "only processes of this machine may do that"})
        if request.content_type != "application/json":
            return _json(415, {"error": "send a JSON object as application/json"})
        operation = operations.OPERATIONS.get(request.match_info["operation"])
        if operation is None:
            return _json(404, {"error": f"there is no operation {request.match_info['operation']!r}"})
        try:
            arguments = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
            result = operation(self._world, arguments)
            return _json(200, await result if inspect.isawaitable(result) else result)
        except TimeoutError as error:
            return _json(504, {"error": str(error)})
        except (world.SimulatorError, git.GitError, msgspec.MsgspecError, re.error) as error:
            return _json(400, {"error": str(error)})
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            return _json(400, {"error": f"wrong arguments: {type(error).__name__}: {error}"})


def _json(status: int, body: Any) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(body), content_type="application/json")
