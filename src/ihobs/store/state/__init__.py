"""State that must survive: one module for each table group."""
