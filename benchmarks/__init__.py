"""What ihobs costs, each number beside its limit, measured in the same run: `python -m benchmarks`."""
