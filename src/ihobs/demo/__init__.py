"""InsightHub, the reference orchestrator, and its faults."""
