"""buildhook: one GitHub App in front of whatever runs your builds."""

__version__ = "0.1.0"
