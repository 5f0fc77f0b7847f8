"""The text of a new ihobs.yaml."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.resources import shipped
from ihobs.settings import TABLE

if TYPE_CHECKING:
    from ihobs.cli.carry_over import Carried

_TEXT = """\
# yaml-language-server: $schema={schema}
# Everything here is optional. See what is in force with: ihobs config show

home: {home}                       # directory of the databases, relative to this file
{service}

instrument:
  # functions and methods to trace without touching them; * matches names
  # targets: ["myapp.orchestrator:Orchestrator.process_content", "myapp.nodes:*"]
  content: {content}                      # keep | mask: the texts of prompts and answers
  # arguments: true                  # record the arguments of traced functions

# Where else the spans go; what a backend cannot take now waits in the home.
{destinations}

# When the standard alerts fire: strictly greater; window 5 min unless the name says hour.
# A metric named here replaces its default; {{}} switches it off.
thresholds:
{thresholds}

# Further alerts.
# rules:
#   - {{id: slow-nodes, metric: response_time, stat: p95, of: node, by: [node], warning: 8, for: 2m, min_count: 20}}

# What each provider allows: feeds the alert api_quota.
# quotas: {{openai: {{requests_per_min: 500, tokens_per_min: 200000, usd_per_month: 800}}}}

# What models cost that ihobs does not know, or where you pay something else; US dollars a million tokens.
# prices: {{"azure.ai.openai/my-gpt4o-*": {{input_usd_per_mtok: 2.5, output_usd_per_mtok: 10}}}}

# Who hears of which level. Names only; how they are reached stands in receivers, secrets by ${{env:NAME}}.
{channels}
# receivers:
#   "slack://team-alerts": "${{env:SLACK_ALERTS_URL}}"

# retention: {{payload: 7d, spans: 30d, max_bytes: 20GB}}
"""

_DESTINATIONS_EXAMPLE = """\
# destinations:
#   langsmith: {type: langsmith, project: InsightHub, content: mask}   # the key: LANGSMITH_API_KEY
#   collector: {type: otlp, endpoint: "http://127.0.0.1:4318"}"""

_CHANNELS_EXAMPLE = """\
# channels:
#   critical: ["console:", "file:alerts.log"]
#   warning: ["console:"]"""


def starter_text(
    *, home: Path, content: str, service: str | None, carried: Carried, langsmith_project: str | None = None
) -> str:
    """Return the text of a commented file, with what was carried over from another configuration."""
    return _TEXT.format(
        schema=_schema_path(),
        home=_flow(str(home)),
        service=f"service: {_flow(service)}" if service else "# service: my-orchestrator",
        content=content,
        destinations=_destinations(langsmith_project),
        thresholds="\n".join(f"  {name}: {_flow(levels)}" for name, levels in _thresholds(carried).items()),
        channels=_channels(carried),
    )


def _destinations(langsmith_project: str | None) -> str:
    if langsmith_project is None:
        return _DESTINATIONS_EXAMPLE
    fields = {"type": "langsmith", "project": langsmith_project}
    return f"destinations:\n  langsmith: {_flow(fields)}   # the key: LANGSMITH_API_KEY"


def _thresholds(carried: Carried) -> dict[str, object]:
    """Return the standard thresholds, with those that were carried over in their place."""
    prefix = "thresholds."
    standard = {row.key.removeprefix(prefix): row.default for row in TABLE if row.key.startswith(prefix)}
    return {**standard, **carried.thresholds}


def _channels(carried: Carried) -> str:
    if not carried.channels:
        return _CHANNELS_EXAMPLE
    return "channels:\n" + "\n".join(f"  {level}: {_flow(list(names))}" for level, names in carried.channels.items())


def _flow(value: object) -> str:
    """Return a value in YAML's flow style; texts are quoted, so that none is read as something else."""
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _schema_path() -> Path:
    """Return where the schema is, for editors."""
    return Path(str(shipped("schemas") / "config.schema.json"))
