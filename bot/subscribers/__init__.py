"""Subscribers: who is sent signed webhooks about builds; durable, within a network that the policy bounds."""
