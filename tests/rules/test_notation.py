"""promtool's notation of series, from its documentation (docs/configuration/unit_testing_rules.md)."""

from __future__ import annotations

import pytest

from ihobs.alerts.notation import MAX_VALUES, STALE, values_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-2+4x3", [-2, 2, 6, 10]),
        ("1-2x4", [1, -1, -3, -5, -7]),
        ("1x4", [1, 1, 1, 1, 1]),
        ("4 9 1x2", [4, 9, 1, 1, 1]),
        ("_ _x3", [None, None, None, None]),
        ("1 _x2 stale", [1, None, None, STALE]),
        ("0.5+.25x2", [0.5, 0.75, 1.0]),
        ("1e-3x1", [0.001, 0.001]),
        ("7x0", [7]),
        ("", []),
    ],
)
def test_values_are_read_as_promtool_reads_them(text, expected):
    assert values_of(text) == expected


@pytest.mark.parametrize("text", ["x", "1+x2", "5xx", "1x-2", "nan", "stalex2", "1,2", "--1"])
def test_what_is_no_value_is_refused_and_named(text):
    with pytest.raises(ValueError, match="is not a value such as") as caught:
        values_of(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize("text", ["1x999999999999", f"1x{MAX_VALUES} 1", f"_x{MAX_VALUES + 1}"])
def test_endless_series_are_refused(text):
    with pytest.raises(ValueError, match=f"more than {MAX_VALUES} values"):
        values_of(text)
