"""The database: the only room that writes SQL, with one module of queries for each noun.

A function takes a `sqlalchemy.Connection` and values and gives values; `Store.write` and `Store.read` run one such
function (or one made of several) as one transaction.
"""

from bot.store.transaction import Store

__all__ = ["Store"]
