"""The text of OpenMetrics 1.0: github.com/prometheus/OpenMetrics, specification/OpenMetrics.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Sample:
    """A number of a family.

    Attributes:
        value: None is unknown, and left out.
        labels: what tells it from the others.
        suffix: behind the family's name, as its kind asks; "_total" of a counter is added by itself.
    """

    value: float | None
    labels: Mapping[str, str | None] = field(default_factory=dict)
    suffix: str = ""


@dataclass(frozen=True, slots=True)
class Family:
    """Samples of one name.

    Attributes:
        name: without the suffix; ends with the unit, when there is one.
        kind: of OpenMetrics. A counter only grows, until the process starts anew.
        help: one line for people.
        unit: e.g. "seconds", or an empty string.
    """

    name: str
    kind: Literal["gauge", "counter", "summary", "info"]
    help: str
    samples: Sequence[Sample]
    unit: str = ""


def gauge(name: str, text: str, value: float | None, unit: str = "") -> Family:
    """Return a family of one number that goes up and down."""
    return Family(name, "gauge", text, [Sample(value)], unit)


def counter(name: str, text: str, values: Mapping[str, float], label: str) -> Family:
    """Return a family of numbers that only grow, told apart by one label."""
    return Family(name, "counter", text, [Sample(value, {label: key}) for key, value in values.items()])


def render(families: Iterable[Family]) -> str:
    """Return the exposition of `families`; those without a sample are left out."""
    lines: list[str] = []
    for family in families:
        known = [sample for sample in family.samples if sample.value is not None]
        if not known:
            continue
        lines.append(f"# TYPE {family.name} {family.kind}")
        if family.unit:
            lines.append(f"# UNIT {family.name} {family.unit}")
        lines.append(f"# HELP {family.name} {_escaped(family.help)}")
        lines += [_line(family, sample) for sample in known]
    return "\n".join([*lines, "# EOF\n"])


def _line(family: Family, sample: Sample) -> str:
    suffix = {"counter": "_total", "info": "_info"}.get(family.kind, sample.suffix)
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sample.labels.items() if value)
    return f"{family.name}{suffix}{f'{{{labels}}}' if labels else ''} {sample.value}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
