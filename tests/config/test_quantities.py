"""Durations and sizes as people write them."""

import pytest

from ihobs.quantities import seconds, size_bytes


@pytest.mark.parametrize(
    ("written", "expected_s"),
    [
        ("500ms", 0.5),
        ("30s", 30),
        ("2m", 120),
        ("1.5h", 5400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        (90, 90),
        (0.5, 0.5),
    ],
)
def test_a_duration_is_read_in_seconds(written, expected_s):
    assert seconds(written) == pytest.approx(expected_s)


@pytest.mark.parametrize("written", ["", "7", "7 days", "d", "-1s", "1e3s", "7D", "1h30m"])
def test_what_is_no_duration_is_refused(written):
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(written)


@pytest.mark.parametrize(
    ("written", "expected_bytes"),
    [("1B", 1), ("20GB", 20 * 10**9), ("1.5KiB", 1536), ("2TiB", 2 * 2**40), ("3kB", 3000), ("3KB", 3000), (17, 17)],
)
def test_a_size_is_read_in_bytes(written, expected_bytes):
    assert size_bytes(written) == expected_bytes


@pytest.mark.parametrize("written", ["", "20", "20G", "20gb", "GB", "-1GB"])
def test_what_is_no_size_is_refused(written):
    with pytest.raises(ValueError, match="is not a size"):
        size_bytes(written)
