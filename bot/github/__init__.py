"""The GitHub client: the only room that talks to GitHub, with typed calls and an error class for each thing to do."""

from bot.github.api import GitHub
from bot.github.client import Patience
from bot.github.clock import Clock
from bot.github.limits import Ledger
from bot.github.pulls import Pull
from bot.github.repository import Repository
from bot.github.users import Grant, Users

__all__ = ["Clock", "GitHub", "Grant", "Ledger", "Patience", "Pull", "Repository", "Users"]
