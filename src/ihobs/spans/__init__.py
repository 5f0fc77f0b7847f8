"""Turn spans of any dialect into facts."""
