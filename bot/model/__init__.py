"""The nouns: one frozen value and its enum each; no rules and no I/O live here."""
