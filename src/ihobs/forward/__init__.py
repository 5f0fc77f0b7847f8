"""Spans elsewhere: each destination gets what is stored, at least once, and what it cannot take now waits."""
