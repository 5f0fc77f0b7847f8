"""Incidents: how bad it is, who takes care of it, until when, and what was seen when it began."""
