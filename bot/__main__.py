"""`python -m bot` is `buildhook`."""

from bot.cli import main

main()
