"""Where a demo lives: a home of its own, with a configuration that suits half a minute."""

from __future__ import annotations

import shutil
from pathlib import Path

from ihobs.errors import StoreRefusedError
from ihobs.store.home import Home

DEFAULT_HOME = Path(".ihobs-demo")
MARK = "this-is-a-demo"
"""A file that only demos write: a directory with it may be replaced by the next demo."""

CONFIG = Path("ihobs.yaml")
"""The demo's configuration, in its home."""

PROGRAM_LOG = Path("logs", "insighthub.log")
"""Where in the home the stderr of the watched program goes, and with it that of `ihobs exec`."""

WATCHED_RULE = {"errors": "error-rate", "slow": "slow-runs", "cost": "cost-per-hour", "quota": "api-quota"}
"""The alert that each fault must raise."""

_CONFIG = """\
# Written by 'ihobs demo'. What differs from a real one: windows of ten seconds instead of five minutes.
home: .
service: insighthub
instrument:
  targets: ["ihobs.demo.orchestrator:Orchestrator.process_content"]
  content: keep
quotas: {openai: {requests_per_min: 1700}}
incidents: {open_from: P4, settle: 1s}
thresholds: {error_rate: {}, response_time: {}, api_quota: {}, cost_per_hour: {}, total_tokens_per_hour: {},
  clock_skew: {}, spans_dropped: {}}
rules:
  - {id: error-rate, metric: error_rate, window: 10s, warning: 0.05, critical: 0.15}
  - {id: slow-runs, metric: response_time, stat: p95, window: 10s, warning: 1.5, critical: 2.5}
  - {id: cost-per-hour, metric: cost_per_hour, window: 10s, warning: 100, critical: 400}
  - {id: api-quota, metric: api_quota, window: 10s, warning: 0.80, critical: 0.95}
"""


def prepare(path: Path) -> tuple[Home, Path]:
    """Make a fresh demo home at `path`, in place of an earlier one; return it and its configuration file.

    Raises:
        StoreRefusedError: there is something else at `path`, or a demo is running there.
        StoreUnavailableError: it cannot be made.
    """
    if path.exists():
        _check_replaceable(path)
        shutil.rmtree(path)
    home = Home.open(path, create=True)
    (home.path / MARK).touch()
    (home.path / ".gitignore").write_text("*\n", encoding="utf-8")
    config = home.path / CONFIG
    config.write_text(_CONFIG, encoding="utf-8")
    return home, config


def _check_replaceable(path: Path) -> None:
    if path.is_dir() and not any(path.iterdir()):
        return
    if not (path / MARK).is_file():
        raise StoreRefusedError(path, "is not the home of a demo", "choose another directory with --home")
    owner = Home(path.absolute()).lock_owner("duties")
    if owner is not None:
        raise StoreRefusedError(path, f"is in use by process {owner}", "wait for it, or choose another with --home")
