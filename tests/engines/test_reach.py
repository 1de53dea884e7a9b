"""T55: what a job reaches of the network with each setting, target by target, in a world of its own."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

import pytest

from bot import egress
from bot.choices import Network
from bot.engines import contract
from bot.engines.local import reach
from tests.engines import jobs, probed, world

Found = dict[str, dict[str, list[str]]]
#: What `none` and `full` reach is looked at in short by `test_sandbox` and `test_network`.
SETTINGS = {"none": [pytest.mark.long], "list": [], "full": [pytest.mark.long]}


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Callable[[str], Found]:
    """What jobs reached with a setting; its world is made once, for all processes of the tests."""

    @functools.cache
    def find(setting: str) -> Found:
        found: Found = world.once(tmp_path_factory, worker_id, "tests.engines.probed", setting)
        return found

    return find


def each(targets: Iterable[str]) -> pytest.MarkDecorator:
    """Each target with each setting."""
    given = [pytest.param(setting, target, marks=marks) for setting, marks in SETTINGS.items() for target in targets]
    return pytest.mark.parametrize(("setting", "target"), given)


@each(probed.TARGETS)
def test_t55_no_job_reaches_metadata_this_host_or_us(
    reached: Callable[[str], Found], setting: str, target: str
) -> None:
    found = reached(setting)
    assert not found["unanswered"]
    # A name that changes its mind may lead to where it may lead; never to where it may not.
    where = {one.partition(" ")[2] for one in found["trusted"][target]}
    assert where <= ({world.PUBLIC} if target == "a name that changes its mind" else set())
    assert found["untrusted"][target] == []


@pytest.mark.parametrize("host", probed.TARGETS.values())
def test_t55_what_is_never_reached_cannot_be_listed_by_its_address(host: str) -> None:
    assert len(probed.TARGETS) >= 30
    listed = f"[{host}]" if ":" in host else host
    names = {one for one in probed.TARGETS.values() if not one[0].isdigit() and ":" not in one}
    may_be = names | {"192.0.2.1", "203.0.113.9", "8.8.4.4", "2001:db8::1", "::ffff:192.0.2.1", "10.0.2.2"}
    if host in may_be | {world.INTERNAL_6}:
        assert egress.entry(listed).host
    else:
        with pytest.raises(ValueError, match=r"no build reaches it|four decimal numbers"):
            egress.entry(listed)


EXPECTED: dict[str, dict[str, list[str]]] = {
    "none": {},
    "list": {
        "what is listed": ["plain 93.184.216.34", "tunnel 93.184.216.34"],
        "what is below a listed domain": ["plain 93.184.216.34", "tunnel 93.184.216.34"],
        "what is listed, IPv6": [f"plain {world.PUBLIC_6}", f"tunnel {world.PUBLIC_6}"],
        "what the list calls private": [f"plain {world.MIRROR}", f"tunnel {world.MIRROR}"],
    },
    "full": {
        "a service of this network": [f"directly {world.INTERNAL}"],
        "the same by its name": [f"directly {world.INTERNAL}"],
        "what is listed": ["directly 93.184.216.34"],
        "what is below a listed domain": ["directly 93.184.216.34"],
        "what the list calls private": [f"directly {world.MIRROR}"],
    },
}


@each(probed.INTERNAL | probed.LISTED)
def test_t55_trusted_code_reaches_what_the_setting_says_and_nobody_else_does(
    reached: Callable[[str], Found], setting: str, target: str
) -> None:
    found = reached(setting)
    assert found["trusted"][target] == EXPECTED[setting].get(target, [])
    assert found["untrusted"][target] == []


@pytest.mark.parametrize("setting", Network)
@pytest.mark.parametrize("strangers", [False, True])
def test_t55_untrusted_code_reaches_the_list_by_a_word_of_the_policy_and_never_more(
    setting: Network, strangers: bool
) -> None:
    egress = contract.Egress(allow=("pypi.org",), strangers=strangers)
    assert reach.of(jobs.TRUSTED, setting=setting, egress=egress) is setting
    theirs = reach.of(jobs.UNTRUSTED, setting=setting, egress=egress)
    assert theirs is (Network.LIST if strangers and setting is Network.LIST else Network.NONE)
