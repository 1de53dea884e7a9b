"""The doctor: looks for the usual mistakes of an installation: what is wrong, where, and how to mend it.

First everything is asked (`asking`, and the `ask_...` modules); what cannot be asked is written down with its reason.
Then each check judges: a small pure function from these facts to findings, so that one that breaks spoils no other. A
new check is one more function with `@CHECKS.check` in one of the `judge_...` modules; what it needs to know and nobody
asks yet is one more fact.
"""

from bot.doctor import judge_database, judge_github, judge_machine, judge_required, judge_settings, judge_webhook
from bot.doctor.asking import ask
from bot.doctor.checks import Check, Finding, Line, State, judge

#: The modules with checks, in the order in which they are told.
MODULES = (judge_settings, judge_machine, judge_database, judge_github, judge_webhook, judge_required)
#: Every check, in order.
CHECKS: tuple[Check, ...] = tuple(one for module in MODULES for one in module.CHECKS)

__all__ = ["CHECKS", "Check", "Finding", "Line", "State", "ask", "judge"]
