"""The door and the durable inbox: a request becomes a stored delivery, or is refused, before anything else happens."""
