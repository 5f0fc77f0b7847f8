"""LangSmith: how it is reached, what a key may do there, who else traces to it, and history brought in from it."""
