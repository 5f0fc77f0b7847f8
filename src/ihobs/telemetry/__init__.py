"""Instrument the orchestrator and hand its spans to the store."""
