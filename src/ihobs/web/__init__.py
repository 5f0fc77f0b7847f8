"""HTTP: the OTLP receiver, health and metrics, on the event loop of one thread that never waits for the disk."""
