"""Users' own handlers: loaded by name, run behind the same inbox, apart from the service's own work."""
