"""Runbooks: read, checked, run with a durable journal, and undone."""
