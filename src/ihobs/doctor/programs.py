"""Programs: what instruments them, and twice; samplers that make rates wrong; who else exports.

A program may run in another environment than this examination. What it noticed of its own stands in the home.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from ihobs.clock import DAY_NS, isoformat
from ihobs.doctor.finding import Finding, ok, warning
from ihobs.langsmith.access import accesses
from ihobs.langsmith.tracing import exports_to_langsmith, own_tracing
from ihobs.spans.doubles import RIVALS
from ihobs.store.notices import read_notices
from ihobs.store.observing import scopes

if TYPE_CHECKING:
    from ihobs.doctor.examined import Examined

GROUP = "opentelemetry_instrumentor"
OURS = "ihobs"
SAMPLER = "OTEL_TRACES_SAMPLER"
ALL_SPANS = frozenset({"", "always_on", "parentbased_always_on"})
"""Samplers that keep everything."""

NOTICED_WITHIN_NS = 7 * DAY_NS
"""What a program noticed longer ago is not told any more: it may be gone."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def instrumentations(examined: Examined) -> Iterator[Finding]:  # noqa: ARG001 - every check is given the same
    """Which instrumentations are installed here, and which of them tell of the same calls."""
    points = [point for point in entry_points(group=GROUP) if point.name != OURS]
    yield ok(
        "instrumentation", f"installed here: {', '.join(sorted({_distribution(one) for one in points})) or 'none'}"
    )
    by_name: dict[str, set[str]] = defaultdict(set)
    for point in points:
        by_name[point.name].add(_distribution(point))
    for name, distributions in by_name.items():
        if len(distributions) > 1:
            yield warning(
                "instrumentation", f"{' and '.join(sorted(distributions))} are both called '{name}'",
                "both record every call, and OTEL_PYTHON_DISABLED_INSTRUMENTATIONS switches off both or none; ihobs "
                "counts one, but everything else that gets the spans sees each call twice",
                "uninstall one of them",
            )  # fmt: skip
    yield from _rivals_installed(points, {name for name, found in by_name.items() if len(found) > 1})


def _rivals_installed(points: list[EntryPoint], told: set[str]) -> Iterator[Finding]:
    modules = {point.value.partition(":")[0]: point for point in points if point.name not in told}
    for rivals in RIVALS:
        present = [scope for scope in rivals if scope in modules]
        if len(present) > 1:
            yield warning(
                "instrumentation", f"{' and '.join(present)} record the same calls",
                f"ihobs counts those of {present[0]}; everything else that gets the spans sees each call twice",
                f"uninstall the others, or name them in OTEL_PYTHON_DISABLED_INSTRUMENTATIONS: "
                f"{','.join(modules[scope].name for scope in present[1:])}",
            )  # fmt: skip


def recorded(examined: Examined) -> Iterator[Finding]:
    """Which instrumentations have been recorded, and which of them told of the same calls."""
    if examined.telemetry is None:
        return
    by_service: dict[str, list[str]] = defaultdict(list)
    for service, scope in scopes(examined.telemetry):
        by_service[service].append(scope)
    for service, found in by_service.items():
        doubled = [present for rivals in RIVALS if len(present := [one for one in rivals if one in found]) > 1]
        for present in doubled:
            yield warning(
                "instrumentation", f"'{service}' was recorded by {' and '.join(present)}",
                f"in a trace that both tell of, {present[0]} counts; in traces of their own runs count twice",
                f"let the program use {present[0]} alone",
            )  # fmt: skip
        if not doubled:
            yield ok("instrumentation", f"'{service}' was recorded by {', '.join(one or '(no name)' for one in found)}")


def samplers(examined: Examined) -> Iterator[Finding]:
    """Whether programs started from here would keep all spans."""
    name = examined.environ.get(SAMPLER, "").strip().lower()
    if name in ALL_SPANS:
        yield ok("sampling", "programs started from here keep all spans")
    else:
        yield warning("sampling", f"{SAMPLER}={name}", *_OF_SAMPLER)


_OF_SAMPLER = (
    (
        "runs that are not sampled are in no number: runs, tokens and cost are too small, and alerts with a minimum of "
        "traffic may never fire"
    ),
    "let the program keep all spans, and thin out what goes elsewhere by 'sample' of the destination",
)


def exporters(examined: Examined) -> Iterator[Finding]:
    """Whether programs started from here export elsewhere, too."""
    for name in _ENDPOINTS:
        if examined.environ.get(name):
            yield ok("exporters", f"{name} is set: programs started from here also send there, past redaction")
            return
    yield ok("exporters", "no OTEL_EXPORTER_OTLP_* is set here")


def double_export(examined: Examined) -> Iterator[Finding]:
    """Whether LangSmith gets runs from its SDK, or from OpenTelemetry's exporter, beside those that ihobs forwards."""
    ways = [way for way in accesses(examined.settings, examined.environ) if way.is_configured]
    tracing = own_tracing(examined.environ)
    for way in ways:
        if tracing is not None and tracing.sends and tracing.endpoint == way.endpoint:
            yield warning(
                "double export", f"{tracing.variable} here: programs trace to LangSmith themselves, as does the "
                f"destination '{way.name}'",
                "ihobs does not forward the spans of such programs there, so that no run is there twice; what they "
                "send is neither redacted by ihobs nor kept while LangSmith is down",
                f"unset {tracing.variable.partition('=')[0]} and let ihobs forward, or remove the destination",
            )  # fmt: skip
        variable = exports_to_langsmith(examined.environ, way.endpoint)
        if variable:
            yield warning(
                "double export", f"{variable} leads to LangSmith, and so does the destination '{way.name}'",
                "every span is there twice", f"unset {variable}, or remove the destination",
            )  # fmt: skip


def noticed(examined: Examined) -> Iterator[Finding]:
    """What programs noticed of themselves when they ran last."""
    if examined.telemetry is None:
        return
    for notices in read_notices(examined.telemetry):
        if examined.clock() - notices.seen_ns > NOTICED_WITHIN_NS:
            continue
        for subject, text in notices.texts.items():
            meaning, advice = _NOTICED.get(subject, ("see the log of the program", "see the log of the program"))
            yield warning(subject, f"'{notices.service}' ({isoformat(notices.seen_ns)[:16]}): {text}", meaning, advice)


_NOTICED = {
    "sampling": _OF_SAMPLER,
    "double export": (
        "ihobs does not forward the spans of this program there, so that no run is there twice",
        "unset LANGSMITH_TRACING for it and let ihobs forward, or remove the destination",
    ),
}


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value.partition(":")[0]
