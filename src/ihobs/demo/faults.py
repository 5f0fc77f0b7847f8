"""What can go wrong outside the orchestrator: the model's provider and the search service, as they behave now.

A fault acts at the boundary to them, where it would in production; the orchestrator does not know of it.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

FAULTS = ("errors", "slow", "cost", "quota")
HEALTHY = "none"


class ServiceError(Exception):
    """An answer of a service that is not a success.

    Attributes:
        status_code: as in HTTP, and named as the clients of OpenAI and Anthropic name it.
    """

    status_code: ClassVar[int]


class ServiceUnavailableError(ServiceError):
    """The service is overloaded or broken."""

    status_code = 503


class RateLimitedError(ServiceError):
    """The service has had too many requests of this key."""

    status_code = 429


@dataclass(frozen=True, slots=True)
class Conditions:
    """How the services behave.

    Attributes:
        failing_ratio: share of the requests that are refused.
        error: how they are refused. refusal: in words.
        latency_s: what each request waits in addition.
        expensive: the usual model is gone, and requests go to one that costs a hundred times as much.
        demand_ratio: traffic in relation to the usual.
        summary: what this is, in words.
    """

    failing_ratio: float = 0.0
    error: type[ServiceError] = ServiceUnavailableError
    refusal: str = "503 the server is overloaded"
    latency_s: float = 0.0
    expensive: bool = False
    demand_ratio: float = 1.0
    summary: str = "all services are well"


CONDITIONS: Mapping[str, Conditions] = {
    HEALTHY: Conditions(),
    "errors": Conditions(
        failing_ratio=0.4,  # with three attempts a node, about one run in three fails for good
        summary="model and search answer 40 % of the requests with 503",
    ),
    "slow": Conditions(latency_s=0.5, summary="model and search take half a second longer"),
    "cost": Conditions(expensive=True, summary="the usual model is gone, requests go to the most expensive one"),
    "quota": Conditions(
        failing_ratio=0.2,
        error=RateLimitedError,
        refusal="429 rate limit reached for requests",
        demand_ratio=2.2,
        summary="more than twice as many documents arrive, and 20 % of the requests are answered with 429",
    ),
}


class Services:
    """The services that InsightHub calls, in the conditions of the moment.

    Args:
        seed: which requests are refused; the same seed refuses the same ones.
        sleep: waits that many seconds.

    Attributes:
        conditions: may be replaced at any time, from any thread.
    """

    def __init__(self, *, seed: int = 0, sleep: Callable[[float], None] = time.sleep) -> None:
        self.conditions = CONDITIONS[HEALTHY]
        self.sleep = sleep
        self._seed = seed
        self._requests = itertools.count()

    def request(self) -> Conditions:
        """Stand for one request: wait, or be refused, as the conditions are; return them.

        Raises:
            ServiceError: the request is refused.
        """
        conditions = self.conditions
        if conditions.latency_s:
            self.sleep(conditions.latency_s)
        draw = random.Random(f"{self._seed}:{next(self._requests)}").random()  # noqa: S311 - a simulation
        if draw < conditions.failing_ratio:
            raise conditions.error(conditions.refusal)
        return conditions


def is_transient(error: Exception) -> bool:
    """Return whether the same request may succeed later: 429 and 5xx, of any client that has `status_code`."""
    status = getattr(error, "status_code", None)
    return isinstance(status, int) and (status == RateLimitedError.status_code or status >= 500)  # noqa: PLR2004 - HTTP
