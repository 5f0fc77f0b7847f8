"""A ping out, as long as alerts are evaluated and delivered: when it stays away, a service outside raises the alarm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ihobs.errors import InvalidInputError

if TYPE_CHECKING:
    from ihobs.delivery.addresses import Addresses

TIMEOUTS_S = (3.0, 5.0)
"""To connect, and for the answer."""

DEADMAN = "deadman"
"""The name under which `Addresses` knows the URL."""

_TAKEN = range(200, 300)


@dataclass(frozen=True, slots=True)
class Deadman:
    """Pings a URL, which may hold a secret: no error tells it.

    Attributes:
        addresses: knows the URL as the receiver "deadman".
        every_s: how often it is to be pinged.
    """

    addresses: Addresses
    every_s: float

    def ping(self) -> None:
        """Ping once.

        Raises:
            InvalidInputError: the URL is not known, or does not take it.
        """
        import requests

        url = self.addresses.of(DEADMAN)
        if url is None:
            raise InvalidInputError("deadman.url", f"the variable {self.addresses.missing(DEADMAN)[0]} is not set")
        try:
            status = requests.get(url, timeout=TIMEOUTS_S, auth=lambda request: request).status_code
        except (requests.RequestException, ValueError) as error:
            raise InvalidInputError("deadman.url", f"no answer ({type(error).__name__})") from None
        if status not in _TAKEN:
            raise InvalidInputError("deadman.url", f"the answer is HTTP {status}")
