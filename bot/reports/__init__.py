"""Reports: the result files of a job, from bytes of a stranger to frozen values. Pure, bounded in time and memory.

Nothing here raises for what a file holds: what cannot be read becomes a sentence that says what and where.
"""
