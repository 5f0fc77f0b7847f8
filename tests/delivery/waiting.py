"""Wait for threads and processes."""

import time

BOUND_S = 30.0
"""A bound, not a duration: what is waited for comes long before."""


def until(condition):
    """Wait until `condition` holds, and return what it gave."""
    end = time.monotonic() + BOUND_S
    while not (found := condition()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
    return found
