"""The settings, typed, and the one table that says where each comes from and what it is when nobody says."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from ihobs.incident_settings import (
    RESPOND_WITHIN,
    CalendarSettings,
    IncidentSettings,
    bridge_of,
    chain_of,
    days_of,
    holidays_of,
    hours_of,
    open_from_of,
    resolve_within_of,
    respond_within_of,
)
from ihobs.quantities import seconds, size_bytes
from ihobs.routes import DeadmanSettings, DeliverySettings, InhibitSettings, RouteSettings, inhibitions_of, routes_of
from ihobs.rule_settings import rules_of
from ihobs.runbook_settings import RunbookSettings


@dataclass(frozen=True, slots=True)
class InstrumentSettings:
    """What is recorded in the orchestrator's process.

    Attributes:
        targets: functions and methods to trace, "package.module:Class.method"; * matches names.
        content: what happens to the texts of prompts and answers.
        logs: keep log records of this level and above; None: none.
        arguments: record the arguments of traced functions.
    """

    targets: tuple[str, ...] = ()
    content: Literal["keep", "mask"] = "mask"
    logs: str | None = None
    arguments: bool = False


Mode = Literal["drop", "mask", "hash"]
"""What becomes of something that must go: its attribute goes, a mask stands for it, or a keyed hash does."""


@dataclass(frozen=True, slots=True)
class RedactSettings:
    """What is taken out of spans before they are stored, beside what is always taken.

    Attributes:
        secrets, personal, contents: how keys, personal data, and the texts that `instrument.content` masks go.
        content_keys: further attributes that hold such texts; * at the end stands for everything below.
        keep: attributes that stay although they may hold such texts.
        allow: texts that are no personal data and no secret; * stands for any characters.
        patterns: further kinds of personal data -> the regular expression that finds them.
    """

    secrets: Mode = "mask"
    personal: Mode = "mask"
    contents: Mode = "mask"
    content_keys: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    allow: tuple[str, ...] = ()
    patterns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RetentionSettings:
    """How long data is kept, counted from its receipt, and how large the databases may become.

    Attributes:
        logs_s: None: as long as spans.
    """

    payload_s: float
    spans_s: float
    max_bytes: int
    logs_s: float | None = None


@dataclass(frozen=True, slots=True)
class DestinationSettings:
    """Where spans go beside the home.

    Attributes:
        type: what speaks there. endpoint: its base URL; None: LangSmith's, as its variables say.
        protocol: of OTLP.
        project: LangSmith's; None: as its variables say.
        headers: what requests carry, with `${env:NAME}` not yet resolved.
        content: what happens to the texts of prompts and answers on the way out; None: they go as they are stored.
        sample: the part of the traces that goes there, whole traces.
        start: where a new destination begins: with what comes in from then on, or with all that is stored.
    """

    type: Literal["otlp", "langsmith"]
    endpoint: str | None = None
    protocol: Literal["http", "grpc"] = "http"
    project: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: Literal["keep", "mask"] | None = None
    sample: float = 1.0
    start: Literal["now", "beginning"] = "now"


@dataclass(frozen=True, slots=True)
class PriceSettings:
    """What calls to some models cost, in US dollars a million tokens.

    Attributes:
        provider, model: whose calls, as `ihobs metrics --by provider,model` shows them; * matches names.
        input_usd_per_mtok, output_usd_per_mtok: for all tokens that are not named otherwise.
        cached_input_usd_per_mtok, cache_write_usd_per_mtok: for input tokens read from, or written to, the
            provider's cache; None: as other input.
        from_day: for calls that began on this day (UTC) or later; None: for all.
    """

    provider: str
    model: str
    input_usd_per_mtok: float
    output_usd_per_mtok: float
    cached_input_usd_per_mtok: float | None = None
    cache_write_usd_per_mtok: float | None = None
    from_day: date | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set.

    Attributes:
        home: directory of the databases, absolute.
        service: name of the orchestrator; None: what its spans say.
        timezone: IANA name; None: the machine's.
        disabled: do nothing at all, `IHOBS_DISABLED`.
        endpoint: URL of the `ihobs serve` that gets the spans, `IHOBS_ENDPOINT`; None: they go into the home.
        destinations: name -> where spans go beside the home.
        thresholds: metric -> level -> value; a metric with no level never fires.
        rules: further rules, each with the field names and units of `ihobs.model.Rule`; those of `rule_files` too.
        rule_files: names of files with rules, relative to the configuration; * matches names.
        quotas: provider -> limit -> value.
        prices: the user's own, in the order of the file; they go over those of genai-prices.
        dialects: what goes over the table of `ihobs.spans.dialects`, in its shape.
        channels: level -> receivers, for what fits no route. receivers: reference -> address, or the fields of a
            webhook, with `${env:NAME}` not yet resolved.
        delivery, routes, inhibit, deadman: see `ihobs.routes`.
        incidents, calendar: see `ihobs.incident_settings`. runbooks: see `ihobs.runbook_settings`.
    """

    home: Path
    service: str | None
    timezone: str | None
    disabled: bool
    endpoint: str | None
    instrument: InstrumentSettings
    redact: RedactSettings
    destinations: Mapping[str, DestinationSettings]
    thresholds: Mapping[str, Mapping[str, float]]
    rules: tuple[Mapping[str, object], ...]
    rule_files: tuple[str, ...]
    quotas: Mapping[str, Mapping[str, float]]
    prices: tuple[PriceSettings, ...]
    dialects: Mapping[str, Any]
    channels: Mapping[str, tuple[str, ...]]
    receivers: Mapping[str, str | Mapping[str, object]]
    delivery: DeliverySettings
    routes: tuple[RouteSettings, ...]
    inhibit: tuple[InhibitSettings, ...]
    deadman: DeadmanSettings
    incidents: IncidentSettings
    calendar: CalendarSettings
    runbooks: RunbookSettings
    retention: RetentionSettings


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table.

    Attributes:
        key: its name in the file.
        default: its value when nobody says, as it would stand in the file.
        convert: turns the value of a file, a variable or an argument into that of `Settings`; raises ValueError.
        field: its name in `Settings` when that is not `key`.
        variable: the environment variable that sets it.
    """

    key: str
    default: object
    convert: Callable[[Any], object]
    field: str = ""
    variable: str = ""


def build(values: Mapping[str, object]) -> Settings:
    """Return the settings of `values`: one converted value for each key of the table."""
    nested: dict[str, Any] = {}
    for setting in TABLE:
        section, _, name = (setting.field or setting.key).partition(".")
        if name:
            nested.setdefault(section, {})[name] = values[setting.key]
        else:
            nested[section] = values[setting.key]
    nested["instrument"] = InstrumentSettings(**nested["instrument"])
    nested["redact"] = RedactSettings(**nested["redact"])
    nested["retention"] = RetentionSettings(**nested["retention"])
    nested["delivery"] = DeliverySettings(**nested["delivery"])
    nested["deadman"] = DeadmanSettings(**nested["deadman"])
    nested["incidents"] = IncidentSettings(**nested["incidents"])
    nested["runbooks"] = RunbookSettings(**nested["runbooks"])
    nested["calendar"] = CalendarSettings(**nested["calendar"])
    return Settings(**nested)


def _same(value: object) -> object:
    return value


def _flag(value: object) -> bool:
    """Read a switch; in a variable 1, true, yes and on switch it on, and 0, false, no and off switch it off."""
    word = str(value).strip().lower()
    if word in {"1", "true", "yes", "on"}:
        return True
    if word in {"0", "false", "no", "off"}:
        return False
    raise ValueError(f"must be 1 or 0, not {value!r}")


def endpoint_of(value: object) -> str | None:
    """Read the URL of a server. A password in it would be shown by `config show`, and is refused.

    Raises:
        ValueError: it is not such a URL.
    """
    if value is None:
        return None
    url = urlsplit(str(value))
    if url.username is not None or url.password is not None:
        raise ValueError("must hold no password; put the token into IHOBS_TOKEN, or into a header")
    try:
        is_usable = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:  # the port is no number
        is_usable = False
    if not is_usable or url.query or url.fragment:
        raise ValueError(f"must be a URL such as http://host:8081, not {value!r}")
    return str(value).rstrip("/")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ValueError(f"must be a list of texts, not {value!r}")  # noqa: TRY004 - shown to the user as his own
    return tuple(value)


def _seconds_if_any(value: Any) -> float | None:
    return None if value is None else seconds(value)


def _one_of(*allowed: str | None) -> Callable[[object], object]:
    def convert(value: object) -> object:
        if value not in allowed:
            raise ValueError(f"{value!r} is not one of {', '.join(str(one) for one in allowed if one)}")
        return value

    return convert


def _channels(value: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {level: _texts(receivers) for level, receivers in value.items()}


def _destinations(value: Mapping[str, Mapping[str, Any]]) -> dict[str, DestinationSettings]:
    return {name: _destination(given) for name, given in value.items()}


def _destination(given: Mapping[str, Any]) -> DestinationSettings:
    named = {name: value for name, value in given.items() if name not in {"endpoint", "from"}}
    return DestinationSettings(**named, endpoint=endpoint_of(given.get("endpoint")), start=given.get("from", "now"))


def _prices(value: Mapping[str, Any]) -> tuple[PriceSettings, ...]:
    """Read "provider/model" -> rates, or a list of rates that hold from different days on."""
    return tuple(
        _price(key, rates)
        for key, given in value.items()
        for rates in ([given] if isinstance(given, Mapping) else given)
    )


def _price(key: str, rates: Mapping[str, Any]) -> PriceSettings:
    provider, _, model = key.partition("/")
    named = {name: rate for name, rate in rates.items() if name != "from"}
    return PriceSettings(provider, model, **named, from_day=_day(rates.get("from")))


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)


def _patterns(value: Mapping[str, str]) -> Mapping[str, str]:
    for kind, pattern in value.items():
        try:
            compiled = re.compile(pattern)
        except re.error as error:
            raise ValueError(f"redact.patterns: {kind}: {pattern!r} is no regular expression: {error}") from error
        if compiled.search(""):
            raise ValueError(
                f"redact.patterns: {kind}: {pattern!r} matches the empty text, so it is found in every text"
            )
    return value


_MODES = ("drop", "mask", "hash")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL", None)

TABLE = (
    Setting("home", ".ihobs", Path, variable="IHOBS_HOME"),
    Setting("service", None, _same, variable="OTEL_SERVICE_NAME"),
    Setting("timezone", None, _same),
    Setting("disabled", default=False, convert=_flag, variable="IHOBS_DISABLED"),
    Setting("endpoint", None, endpoint_of, variable="IHOBS_ENDPOINT"),
    Setting("instrument.targets", (), _texts),
    Setting("instrument.content", "mask", _one_of("keep", "mask")),
    Setting("instrument.logs", None, _one_of(*_LEVELS)),
    Setting("instrument.arguments", default=False, convert=_flag),
    Setting("redact.secrets", "mask", _one_of(*_MODES)),
    Setting("redact.personal", "mask", _one_of(*_MODES)),
    Setting("redact.contents", "mask", _one_of(*_MODES)),
    Setting("redact.content_keys", (), _texts),
    Setting("redact.keep", (), _texts),
    Setting("redact.allow", (), _texts),
    Setting("redact.patterns", {}, _patterns),
    Setting("destinations", {}, _destinations),
    Setting("thresholds.error_rate", {"warning": 0.05, "critical": 0.15}, _same),
    Setting("thresholds.response_time", {"warning": 30, "critical": 60}, _same),
    Setting("thresholds.api_quota", {"warning": 0.80, "critical": 0.95}, _same),
    Setting("thresholds.cost_per_hour", {"warning": 10.0, "critical": 25.0}, _same),
    Setting("thresholds.total_tokens_per_hour", {"warning": 100_000, "critical": 500_000}, _same),
    Setting("thresholds.clock_skew", {"warning": 60}, _same),  # a minute: the window of the shortest standard rule
    Setting("thresholds.spans_dropped", {"warning": 0}, _same),
    Setting("thresholds.forward_lag", {"warning": 900}, _same),
    Setting("thresholds.forward_paused", {"warning": 0}, _same),
    Setting("thresholds.rule_health", {"warning": 0}, _same),
    Setting("rules", (), rules_of),
    Setting("rule_files", (), _texts),
    Setting("quotas", {}, _same),
    Setting("prices", {}, _prices),
    Setting("dialects", {}, _same),
    Setting("channels", {}, _channels),
    Setting("receivers", {}, _same),
    Setting("delivery.group_by", ["rule"], _texts),
    Setting("delivery.group_wait", "300ms", seconds, field="delivery.group_wait_s"),
    Setting("delivery.group_interval", "1m", seconds, field="delivery.group_interval_s"),
    Setting("delivery.repeat_interval", "4h", seconds, field="delivery.repeat_interval_s"),
    Setting("delivery.fallback", (), _texts),
    Setting("routes", (), routes_of),
    Setting("inhibit", (), inhibitions_of),
    Setting("deadman.url", None, _same),
    Setting("deadman.every", "1m", seconds, field="deadman.every_s"),
    Setting("incidents.bridge", None, bridge_of),
    Setting("incidents.leadership", (), _texts),
    Setting("incidents.open_from", "P3", open_from_of),
    Setting("incidents.join_by", ["rule", "service", "workflow"], _texts),
    Setting("incidents.reopen_within", "2h", seconds, field="incidents.reopen_within_s"),
    Setting("incidents.settle", "5m", seconds, field="incidents.settle_s"),
    Setting("incidents.respond_within", RESPOND_WITHIN, respond_within_of, field="incidents.respond_within_s"),
    Setting("incidents.resolve_within", {}, resolve_within_of, field="incidents.resolve_within_s"),
    Setting("incidents.chain", (), chain_of),
    Setting("calendar.hours", "09:00-17:00", hours_of),
    Setting("calendar.days", "mon-fri", days_of),
    Setting("calendar.holidays", (), holidays_of),
    Setting("runbooks.paths", (), _texts),
    Setting("runbooks.allow.commands", (), _texts, field="runbooks.commands"),
    Setting("runbooks.allow.hosts", (), _texts, field="runbooks.hosts"),
    Setting("runbooks.allow.python", (), _texts, field="runbooks.python"),
    Setting("retention.payload", "7d", seconds, field="retention.payload_s"),
    Setting("retention.spans", "30d", seconds, field="retention.spans_s"),
    Setting("retention.logs", None, _seconds_if_any, field="retention.logs_s"),
    Setting("retention.max_bytes", "20GB", size_bytes),
)
"""Every setting that this version reads; the standard thresholds are those of the operators' procedures."""
