"""The `price` table in memory: what a call costs by the rates that were in force when it began."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ihobs.spans.price import Price
    from ihobs.spans.span import Span

_MODEL_KINDS = frozenset({"llm", "embedding"})
_COLUMNS = (
    "provider, model, from_ns, above_input_tokens, input_pico_usd, cached_input_pico_usd, cache_write_pico_usd, "
    "output_pico_usd, source"
)


class PriceBook:
    """Prices by (provider, model), kept in step with the table by the version in `meta`."""

    def __init__(self) -> None:
        self._version: str | None = None
        self._prices: dict[tuple[str, str], list[Price]] = {}

    def forget(self) -> None:
        """Read the table again at the next refresh."""
        self._version = None

    def refresh(self, connection: sqlite3.Connection, version: str) -> None:
        """Read the table when its version is another."""
        if version == self._version:
            return
        self._prices = {}
        rows = connection.execute(f"SELECT {_COLUMNS} FROM price ORDER BY from_ns").fetchall()  # noqa: S608 - our own names
        if rows:
            from ihobs.spans.price import Price
        for row in rows:
            price = Price(*row)
            self._prices.setdefault((price.provider, price.model), []).append(price)
        self._version = version

    def add(self, connection: sqlite3.Connection, prices: Sequence[Price]) -> None:
        """Write prices to the table, inside the running transaction, and use them from now on."""
        connection.executemany(
            f"INSERT OR REPLACE INTO price ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own names
            [
                (
                    price.provider,
                    price.model,
                    price.from_ns,
                    price.above_input_tokens,
                    price.input_pico_usd,
                    price.cached_input_pico_usd,
                    price.cache_write_pico_usd,
                    price.output_pico_usd,
                    price.source,
                )
                for price in prices
            ],
        )
        connection.execute(
            "INSERT INTO meta VALUES ('prices', '1') ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        )
        version = connection.execute("SELECT value FROM meta WHERE key = 'prices'").fetchone()[0]
        self.refresh(connection, str(version))

    def priced(self, span: Span) -> Span:
        """Return `span` with the cost by our prices; as it is when its usage or its model's price is unknown."""
        if span.shape.kind not in _MODEL_KINDS or (span.input_tokens is None and span.output_tokens is None):
            return span
        tiers = self._in_force(span.shape.provider, span.shape.model, span.start_ns)
        if not tiers:
            return span
        from ihobs.spans.price import cost_nano_usd

        cost = cost_nano_usd(
            tiers,
            input_tokens=span.input_tokens or 0,
            output_tokens=span.output_tokens or 0,
            cached_input_tokens=span.cached_input_tokens or 0,
            cache_write_tokens=span.cache_write_tokens or 0,
        )
        return span._replace(cost_nano_usd=cost)

    def _in_force(self, provider: str, model: str, at_ns: int) -> tuple[Price, ...]:
        """Return the tiers of the newest price that is not younger than the call."""
        prices = self._prices.get((provider, model), ())
        newest = max((price.from_ns for price in prices if price.from_ns <= at_ns), default=None)
        return tuple(price for price in prices if price.from_ns == newest)
