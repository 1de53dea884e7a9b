"""A simulator, a receiver of its webhooks and a client, each new for each test."""
