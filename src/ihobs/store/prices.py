"""Fill the `price` table: rates for the models that the stored spans name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ihobs.spans.price import lookup

if TYPE_CHECKING:
    from ihobs.store.telemetry import TelemetryStore


def fill(store: TelemetryStore) -> int:
    """Look up the models that have no price yet, and apply what is found to their stored calls.

    For the duties process and the command line: the look-up imports genai-prices. A model that is unknown stays
    unpriced, and is not looked up again by this process.

    Returns:
        How many calls got a price.

    Raises:
        StoreUnavailableError: the store cannot be read or written.
    """
    found = [prices for provider, model in store.unpriced_models() if (prices := lookup(provider, model))]
    return store.add_prices([price for prices in found for price in prices])
