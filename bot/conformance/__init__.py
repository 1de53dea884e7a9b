"""The promises of the engine contract as a kit: whoever writes an engine runs all of them on it.

A test of an engine gives a bench, which is the engine at work and a way to give it jobs, and runs each promise:

    @pytest.mark.parametrize("promise", conformance.PROMISES, ids=conformance.name)
    async def test_the_engine_keeps(promise, bench):
        await promise(bench)

The kit needs no test framework: a promise that is not kept raises `Broken`, which says what was seen instead.
"""

from bot.conformance.bench import BABBLED, COUNTED, SCRIPTS, Bench, Way
from bot.conformance.following import Broken, Told, Untried, follow, run, until, until_output
from bot.conformance.promises import CANCELLING, ENDING, PROMISES, RUNNING, STARTING, Promise, name

__all__ = [
    "BABBLED",
    "CANCELLING",
    "COUNTED",
    "ENDING",
    "PROMISES",
    "RUNNING",
    "SCRIPTS",
    "STARTING",
    "Bench",
    "Broken",
    "Promise",
    "Told",
    "Untried",
    "Way",
    "follow",
    "name",
    "run",
    "until",
    "until_output",
]
