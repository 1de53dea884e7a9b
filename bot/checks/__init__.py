"""Checks: what GitHub should show, rendered purely, and the reporter that brings GitHub to it."""
