"""`ihobs.instrument()`: watch this process. Nothing here raises into the program, whatever is wrong with ours."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ihobs.errors import IhobsError
from ihobs.guard import guard, log
from ihobs.telemetry.arguments import argument_recording
from ihobs.telemetry.instrumentors import LANGCHAIN, Instrumentors, is_disabled
from ihobs.telemetry.langchain import instrument_langchain
from ihobs.telemetry.lifecycle import flush_at_exit, flush_on_sigterm
from ihobs.telemetry.logs import LogQueue, LogTap
from ihobs.telemetry.processor import IhobsSpanProcessor
from ihobs.telemetry.provider import Attachment
from ihobs.telemetry.sinks import Sinks
from ihobs.telemetry.targets import TargetPatches

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from ihobs.settings import Settings

__all__ = ["Instrumentation", "instrument", "instrument_program"]


class Instrumentation:
    """What `instrument()` returns.

    Attributes:
        enabled: False when `IHOBS_DISABLED` is set, something of ours is wrong and was logged, or after `shutdown`.
    """

    def __init__(self, running: _Running | None = None) -> None:
        self._running = running
        self.enabled = running is not None

    @property
    def problems(self) -> tuple[str, ...]:
        """Targets that could not be found, in words."""
        return () if self._running is None else tuple(self._running.targets.problems)

    @property
    def instrumentors(self) -> tuple[str, ...]:
        """Instrumentations of LLM libraries that are used once the program imports the library, in words."""
        return () if self._running is None else tuple(map(str, self._running.instrumentors.chosen))

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until the spans that have ended, and the records that were logged, are in the home or its spool.

        Returns:
            False when it took longer.
        """
        with guard:
            if self._running is not None:
                return self._running.processor.force_flush(int(timeout_s * 1000))
        return not self.enabled

    def shutdown(self) -> None:
        """Flush and stop recording. `instrument()` may be called again."""
        with guard:
            if self._running is not None:
                self._running.shutdown()
        self.enabled = False


def instrument(  # noqa: PLR0913 - keywords, each for one setting
    *,
    home: str | Path | None = None,
    service: str | None = None,
    targets: Sequence[str] | None = None,
    content: str | None = None,
    arguments: bool | None = None,
    logs: str | None = None,
    config: str | Path | None = None,
) -> Instrumentation:
    """Record the spans of this process in a home.

    Call it once, after setting up OpenTelemetry if the program does that: an SDK TracerProvider that is there is
    joined, and stays in charge; else one is made and set for everybody. A second call returns the first's result;
    under `ihobs exec` the program's first call counts. Arguments go over the environment, which goes over `ihobs.yaml`.

    Args:
        home: the directory of the databases; made when it does not exist.
        service: the name that the spans carry, when ihobs makes the provider.
        targets: functions and methods to trace, "package.module:Class.method".
        content: "keep" or "mask" the texts of prompts and answers.
        arguments: record the arguments of traced functions.
        logs: keep what is logged by `logging` at this level or above, "WARNING"; None: what `ihobs.yaml` says.
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
        "instrument.logs": logs,
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
        self._running: _Running | None = None
        self._handle = Instrumentation()

    def start(
        self, config: str | Path | None, overrides: Mapping[str, object], *, whole_program: bool
    ) -> Instrumentation:
        with guard, self._lock:
            if self._running is None or not self._handle.enabled:
                self._running = _set_up(config, overrides, whole_program=whole_program)
                self._handle = Instrumentation(self._running)
            elif self._running.is_provisional and not whole_program:
                self._running.take_over(_load(config, overrides))
            return self._handle
        return Instrumentation()


class _Running:
    """The parts of a running instrumentation.

    Attributes:
        is_provisional: started for the whole program, which may still ask for something else.
    """

    def __init__(self, settings: Settings, *, whole_program: bool) -> None:
        self.settings, self.is_provisional = settings, whole_program
        queue = LogQueue()
        sinks = Sinks(lambda: self.settings, lambda: self.attachment)
        self.processor = IhobsSpanProcessor(sinks.make(queue))
        self.attachment = Attachment(self.processor, settings.service)
        self.logs = LogTap(queue, self.processor)
        self.targets = TargetPatches()
        flush_at_exit(self.processor)
        if whole_program:
            flush_on_sigterm(self.processor)
            self.attachment.attach_when_known()
        else:
            self.attachment.attach()
        argument_recording.enabled = settings.instrument.arguments
        self._take_logs()
        if not is_disabled(LANGCHAIN):
            instrument_langchain(mask_content=self._masks)
        self.instrumentors = Instrumentors(mask_content=self._masks)
        self.instrumentors.watch()
        self.targets.watch(settings.instrument.targets)

    def take_over(self, settings: Settings | None) -> None:
        """Follow what a program under `ihobs exec` asks for itself, as far as nothing has been recorded yet."""
        self.is_provisional = False
        if settings is not None and not settings.disabled:
            self.settings = settings
            self.attachment.rename(settings.service)
            argument_recording.enabled = settings.instrument.arguments
            self.targets.watch(settings.instrument.targets)
            self._take_logs()
        self.attachment.attach()

    def _masks(self) -> bool:
        return self.settings.instrument.content == "mask"

    def _take_logs(self) -> None:
        """Take the program's log records, if the settings say from which level on."""
        if self.settings.instrument.logs is not None:
            self.logs.open(self.settings.instrument.logs)

    def shutdown(self) -> None:
        """Take no more, and flush."""
        self.logs.close()
        self.processor.shutdown()


def _set_up(config: str | Path | None, overrides: Mapping[str, object], *, whole_program: bool) -> _Running | None:
    settings = _load(config, overrides)
    if settings is None or settings.disabled:
        return None
    return _Running(settings, whole_program=whole_program)


def _load(config: str | Path | None, overrides: Mapping[str, object]) -> Settings | None:
    """Return the settings; None when they cannot be used, which is logged."""
    from pathlib import Path

    from ihobs.config import load

    try:
        return load(None if config is None else Path(config), overrides=overrides).settings
    except IhobsError as error:
        log.error("ihobs records nothing: %s", error)
        return None


_active = _Active()
