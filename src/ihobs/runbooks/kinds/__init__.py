"""The kinds of steps that ihobs brings."""
