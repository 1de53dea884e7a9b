"""The relay's client: for a machine without a public address, takes what a relay of webhooks passes on to our door."""
