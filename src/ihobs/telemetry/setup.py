"""`ihobs.instrument()`: watch this process. Nothing here raises into the program, whatever is wrong with ours."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ihobs.errors import IhobsError
from ihobs.guard import guard, log
from ihobs.telemetry.arguments import argument_recording
from ihobs.telemetry.exporter import StoreExporter
from ihobs.telemetry.langchain import instrument_langchain
from ihobs.telemetry.lifecycle import flush_at_exit, flush_on_sigterm
from ihobs.telemetry.processor import IhobsSpanProcessor
from ihobs.telemetry.provider import Attachment
from ihobs.telemetry.targets import TargetPatches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ihobs.settings import Settings
    from ihobs.store.telemetry import TelemetryStore

__all__ = ["Instrumentation", "instrument", "instrument_program"]


class Instrumentation:
    """What `instrument()` returns.

    Attributes:
        enabled: False when `IHOBS_DISABLED` is set, or something of ours is wrong and was logged.
        targets: what became of the targets.
    """

    def __init__(self, processor: IhobsSpanProcessor | None = None, targets: TargetPatches | None = None) -> None:
        self._processor = processor
        self.targets = targets or TargetPatches()
        self.enabled = processor is not None

    @property
    def problems(self) -> tuple[str, ...]:
        """Targets that could not be found, in words."""
        return tuple(self.targets.problems)

    def flush(self, timeout_s: float = 5.0) -> bool:
        """Wait until the spans that have ended are handed to the home; False when it took longer."""
        with guard:
            if self._processor is not None:
                return self._processor.force_flush(int(timeout_s * 1000))
        return not self.enabled

    def shutdown(self) -> None:
        """Flush and stop recording. `instrument()` may be called again."""
        with guard:
            if self._processor is not None:
                self._processor.shutdown()
        self.enabled = False


def instrument(
    *,
    home: str | Path | None = None,
    service: str | None = None,
    targets: Sequence[str] | None = None,
    content: str | None = None,
    arguments: bool | None = None,
    config: str | Path | None = None,
) -> Instrumentation:
    """Record the spans of this process in a home.

    Call it once, after setting up OpenTelemetry if the program does that: an SDK TracerProvider that is there is
    joined, and stays in charge; else one is made and set for everybody. A second call returns the first's result.
    Arguments go over the environment, which goes over `ihobs.yaml`.

    Args:
        home: the directory of the databases; made when it does not exist.
        service: the name that the spans carry, when ihobs makes the provider.
        targets: functions and methods to trace, "package.module:Class.method".
        content: "keep" or "mask" the texts of prompts and answers.
        arguments: record the arguments of traced functions.
        config: the configuration file.

    Returns:
        A handle. This function never raises: what is wrong is logged, and the handle is not enabled.
    """
    overrides = {
        "home": home,
        "service": service,
        "instrument.targets": None if targets is None else tuple(targets),
        "instrument.content": content,
        "instrument.arguments": arguments,
    }
    return _active.start(config, overrides, whole_program=False)


def instrument_program() -> Instrumentation:
    """Record the program that is about to start in this process: what OpenTelemetry's instrumentor calls.

    The provider is the one that the program will set, and ours only when a span starts before that.
    """
    return _active.start(None, {}, whole_program=True)


class _Active:
    """The one instrumentation of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._current: Instrumentation | None = None

    def start(
        self, config: str | Path | None, overrides: Mapping[str, object], *, whole_program: bool
    ) -> Instrumentation:
        with guard, self._lock:
            if self._current is None or not self._current.enabled:
                self._current = self._set_up(config, overrides, whole_program=whole_program)
            return self._current
        return Instrumentation()

    def _set_up(
        self, config: str | Path | None, overrides: Mapping[str, object], *, whole_program: bool
    ) -> Instrumentation:
        from pathlib import Path

        from ihobs.config import load

        try:
            settings = load(None if config is None else Path(config), overrides=overrides).settings
        except IhobsError as error:
            log.error("ihobs records nothing: %s", error)
            return Instrumentation()
        if settings.disabled:
            return Instrumentation()
        return _instrument(settings, whole_program=whole_program)


def _instrument(settings: Settings, *, whole_program: bool) -> Instrumentation:
    def service() -> str:
        return attachment.service()

    processor = IhobsSpanProcessor(StoreExporter(lambda: _open_store(settings), service=service))
    attachment = Attachment(processor, settings.service)
    flush_at_exit(processor)
    if whole_program:
        flush_on_sigterm(processor)
        attachment.attach_when_known()
    else:
        attachment.attach()
    argument_recording.enabled = settings.instrument.arguments
    instrument_langchain(mask_content=settings.instrument.content == "mask")
    patches = TargetPatches()
    patches.watch(settings.instrument.targets)
    return Instrumentation(processor, patches)


def _open_store(settings: Settings) -> TelemetryStore:
    """Open the store, making the home. Called on the worker thread, when the first spans are there."""
    from ihobs.spans.dialects import dialects_of
    from ihobs.store.home import Home
    from ihobs.store.telemetry import TelemetryStore

    return TelemetryStore(Home.open(settings.home, create=True), dialects=dialects_of(settings.dialects))


_active = _Active()
