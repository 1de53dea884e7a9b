"""Builds: the life of jobs, what an engine is told, and the loops that start and follow them."""
