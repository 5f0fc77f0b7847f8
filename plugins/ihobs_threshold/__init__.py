"""The standard rules from `thresholds:`, and those of one's own from `rules:`."""

from ihobs_threshold.rules import ihobs_rules

__all__ = ["ihobs_rules"]
