"""The `price` table in memory: what a call costs by the rates that were in force when it began."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, replace
from typing import TYPE_CHECKING

from ihobs.spans.tree import MODEL_KINDS, has_usage

if TYPE_CHECKING:
    from ihobs.spans.price import Price
    from ihobs.spans.span import Span

Model = tuple[str, str]
"""A provider and a model, as the spans name them."""

Rates = Mapping[Model, Sequence["Price"]]
"""All prices of some models; an empty list: the model has no price."""

_COLUMNS = (
    "provider, model, from_ns, above_input_tokens, input_pico_usd, cached_input_pico_usd, cache_write_pico_usd, "
    "output_pico_usd, source"
)


class PriceBook:
    """Prices by model, kept in step with the table by the version in `meta`."""

    def __init__(self, rates: Rates | None = None) -> None:
        self._version: str | None = None
        self._prices: dict[Model, tuple[Price, ...]] = {model: tuple(prices) for model, prices in (rates or {}).items()}

    def forget(self) -> None:
        """Read the table again at the next refresh."""
        self._version = None

    def refresh(self, connection: sqlite3.Connection, version: str) -> None:
        """Read the table when its version is another."""
        if version != self._version:
            self._prices = read_prices(connection)
            self._version = version

    def replace(self, connection: sqlite3.Connection, rates: Rates, since_ns: int) -> set[Model]:
        """From `since_ns` on let these models cost that, inside the running transaction.

        Returns:
            Which of the models had a price before.
        """
        before = self._prices.keys() & rates.keys()
        for model, prices in rates.items():
            merged = merge(self._prices.get(model, ()), prices, since_ns)
            connection.execute("DELETE FROM price WHERE provider = ? AND model = ?", model)
            connection.executemany(
                f"INSERT INTO price ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own names
                [astuple(price) for price in merged],
            )
        connection.execute(
            "INSERT INTO meta VALUES ('prices', '1') ON CONFLICT DO UPDATE SET value = CAST(value AS INTEGER) + 1"
        )
        version = connection.execute("SELECT value FROM meta WHERE key = 'prices'").fetchone()[0]
        self.refresh(connection, str(version))
        return before

    def priced(self, span: Span) -> Span:
        """Return `span` with the cost by our prices; as it is when its usage or its model's price is unknown."""
        cost = self.cost_nano_usd(span)
        return span if cost is None else span._replace(cost_nano_usd=cost)

    def cost_nano_usd(self, span: Span) -> int | None:
        """Return what a call costs by our prices; None when its usage or its model's price is unknown."""
        if span.shape.kind not in MODEL_KINDS or not has_usage(span):
            return None
        tiers = in_force(self._prices.get((span.shape.provider, span.shape.model), ()), span.start_ns)
        if not tiers:
            return None
        from ihobs.spans.price import cost_nano_usd

        return cost_nano_usd(
            tiers,
            input_tokens=span.input_tokens or 0,
            output_tokens=span.output_tokens or 0,
            cached_input_tokens=span.cached_input_tokens or 0,
            cache_write_tokens=span.cache_write_tokens or 0,
        )


def read_prices(connection: sqlite3.Connection) -> dict[Model, tuple[Price, ...]]:
    """Return the whole table."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM price ORDER BY provider, model, from_ns, above_input_tokens"  # noqa: S608 - our own names
    ).fetchall()
    if not rows:
        return {}
    from ihobs.spans.price import Price  # the host imports it when there is something to price

    return by_model(Price(*row) for row in rows)


def seen_models(connection: sqlite3.Connection) -> list[Model]:
    """Return the models that the stored spans name."""
    return connection.execute(
        "SELECT DISTINCT provider, model FROM shape WHERE kind IN ('llm', 'embedding') AND model != ''"
    ).fetchall()


def unpriced_models(connection: sqlite3.Connection) -> list[Model]:
    """Return the models that the stored spans name and that the table has no price for."""
    return connection.execute(
        "SELECT DISTINCT provider, model FROM shape WHERE kind IN ('llm', 'embedding') AND model != '' AND "
        "NOT EXISTS (SELECT 1 FROM price WHERE price.provider = shape.provider AND price.model = shape.model)"
    ).fetchall()


def read_origin(connection: sqlite3.Connection) -> str:
    """Return the version of the price list that the table follows; an empty string when nobody said."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'price_list'").fetchone()
    return row[0] if row else ""


def write_origin(connection: sqlite3.Connection, origin: str) -> None:
    """Note which version of the price list the table follows now, inside the running transaction."""
    connection.execute(
        "INSERT INTO meta VALUES ('price_list', ?) ON CONFLICT DO UPDATE SET value = excluded.value", [origin]
    )


def by_model(prices: Iterable[Price]) -> dict[Model, tuple[Price, ...]]:
    """Return `prices` by what they are the price of."""
    grouped: dict[Model, list[Price]] = {}
    for price in prices:
        grouped.setdefault((price.provider, price.model), []).append(price)
    return {model: tuple(each) for model, each in grouped.items()}


def in_force(prices: Sequence[Price], at_ns: int) -> tuple[Price, ...]:
    """Return the tiers of the newest price of a model that is not younger than `at_ns`."""
    newest = max((price.from_ns for price in prices if price.from_ns <= at_ns), default=None)
    return tuple(price for price in prices if price.from_ns == newest)


def merge(before: Sequence[Price], after: Sequence[Price], since_ns: int) -> tuple[Price, ...]:
    """Return the prices of a model that holds `before` until `since_ns`, and `after` from then on."""
    kept = [price for price in before if price.from_ns < since_ns]
    first = [replace(price, from_ns=since_ns) for price in in_force(after, since_ns)]
    return (*kept, *first, *(price for price in after if price.from_ns > since_ns))
