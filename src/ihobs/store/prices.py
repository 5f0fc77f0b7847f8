"""The price list: what `ihobs.yaml` says, and below it genai-prices; the `price` table follows it.

Only the duties process and the command line come here: a look-up imports genai-prices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING

from ihobs.clock import SECOND_NS, Clock, now_ns
from ihobs.spans.dialects import Dialects, dialects_of, shipped_dialects
from ihobs.spans.price import PICO_USD_A_TOKEN, Price, lookup
from ihobs.store.pricing import merge, read_origin, read_prices, seen_models, unpriced_models
from ihobs.store.repricing import Job

if TYPE_CHECKING:
    from ihobs.settings import PriceSettings, Settings
    from ihobs.store.database import Database
    from ihobs.store.pricing import Model, Rates
    from ihobs.store.telemetry import TelemetryStore

OWN = "ihobs.yaml"
"""How the source of a price begins that the user has set."""

_GLOB = frozenset("*?[")


@dataclass(frozen=True)
class PriceList:
    """Knows what models cost.

    Attributes:
        own: the user's prices, which go over genai-prices.
        dialects: knows the names that a provider goes by.
    """

    own: Sequence[PriceSettings] = ()
    dialects: Dialects = field(default_factory=shipped_dialects)

    @cached_property
    def origin(self) -> str:
        """What the list consists of: it changes when a price may have changed."""
        named = [(self.dialects.provider(each.provider.lower()), repr(each)) for each in self.own]
        return f"genai-prices {version('genai-prices')}, {hashlib.sha256(repr(named).encode()).hexdigest()[:16]}"

    def rates(self, model: Model) -> tuple[Price, ...]:
        """Return all prices of a model; none when nobody knows one.

        Where the user's begin on a day, genai-prices' hold until then.
        """
        own = tuple(_price(each, model) for each in self._own(model))
        since_ns = min((price.from_ns for price in own), default=None)
        if since_ns == 0:
            return own
        known = lookup(*model) or ()
        return known if since_ns is None else merge(known, own, since_ns)

    def _own(self, model: Model) -> Iterator[PriceSettings]:
        """Yield the user's prices of a model: those of the one entry that fits it best."""
        fitting = [each for each in self.own if self._fits(each, model)]
        best = min(fitting, key=lambda each: bool(_GLOB.intersection(each.provider + each.model)), default=None)
        if best is not None:
            yield from (each for each in fitting if (each.provider, each.model) == (best.provider, best.model))

    def _fits(self, entry: PriceSettings, model: Model) -> bool:
        provider, name = (text.lower() for text in model)
        wanted = entry.provider.lower()
        return fnmatchcase(provider, self.dialects.provider(wanted)) and fnmatchcase(name, entry.model.lower())


def price_list(settings: Settings) -> PriceList:
    """Return the price list of a configuration."""
    return PriceList(settings.prices, dialects_of(settings.dialects))


def fill(store: TelemetryStore, prices: PriceList | None = None, *, clock: Clock = now_ns) -> int:
    """Bring the price table in step with the list, and finish what is left of repricing.

    A model that had no price gets one for all of its stored calls. Where the list has changed since, the new
    prices hold from now on; `ihobs metrics reprice` applies them to the past. A model that is unknown stays
    unpriced, and genai-prices is not asked again by this process.

    Returns:
        How many stored calls got a price.

    Raises:
        StoreUnavailableError: the store cannot be read or written.
    """
    prices = prices or PriceList()
    with store.database.read() as connection:
        unpriced = unpriced_models(connection)
        followed = read_origin(connection)
    found = {model: rates for model in unpriced if (rates := prices.rates(model))}
    origin = prices.origin
    if origin != followed:
        follow(store, prices, clock())
    if found:
        store.replace_prices(found, origin=origin)
    return store.reprice()


def follow(store: TelemetryStore, prices: PriceList, since_ns: int) -> None:
    """Let priced models cost what the list says from `since_ns` on, where that is something else.

    A price that the list has no more stays: calls do not lose their cost by an update.
    """
    with store.database.read() as connection:
        before = read_prices(connection)
    if not before:
        return
    rates = {model: prices.rates(model) for model in before}
    changed = {
        model: after
        for model, after in rates.items()
        if after and not same_rates(merge((), before[model], since_ns), merge((), after, since_ns))
    }
    store.replace_prices(changed, since_ns=since_ns, origin=prices.origin)


@dataclass(frozen=True)
class Plan:
    """What it takes to let the past cost what the list says.

    Attributes:
        models: all that were ever seen or priced.
        since_ns: only calls that began at this time or later.
        rates: what each model costs by the list; none: its price was the user's own, and is taken away. Models
            that the list does not know stay as they are.
        before, after: the price table as it is, and as it would be.
        origin: of the list.
    """

    models: frozenset[Model]
    since_ns: int
    rates: Rates
    before: Rates
    after: Rates
    origin: str

    @property
    def job(self) -> Job:
        """The calls that it is about."""
        return Job(0, self.since_ns, self.models, frozenset(self.before))


def plan(database: Database, prices: PriceList, since_ns: int = 0) -> Plan:
    """Look every seen model up anew.

    A price that nobody knows any more stays, unless it was the user's own and nothing before `since_ns` needs it.

    Raises:
        StoreUnavailableError: the database cannot be read.
    """
    with database.read() as connection:
        before = read_prices(connection)
        models = frozenset((*before, *seen_models(connection)))
    found = {model: prices.rates(model) for model in models}
    rates = {model: new for model, new in found.items() if new or (not since_ns and _is_own(before.get(model, ())))}
    after = {**before, **{model: merge(before.get(model, ()), new, since_ns) for model, new in rates.items()}}
    return Plan(models, since_ns, rates, before, after, prices.origin)


def _is_own(prices: Sequence[Price]) -> bool:
    return any(price.source.startswith(OWN) for price in prices)


def same_rates(one: Sequence[Price], other: Sequence[Price]) -> bool:
    """Return whether two prices of a model are the same, wherever they come from."""

    def rates(prices: Sequence[Price]) -> list[tuple[int, ...]]:
        return sorted(
            (
                price.from_ns,
                price.above_input_tokens,
                price.input_pico_usd,
                price.cached_input_pico_usd,
                price.cache_write_pico_usd,
                price.output_pico_usd,
            )
            for price in prices
        )

    return rates(one) == rates(other)


def _price(entry: PriceSettings, model: Model) -> Price:
    """Return a price that the user has set, as that of a model."""
    plain = _pico_usd(entry.input_usd_per_mtok)
    return Price(
        *model,
        from_ns=_begin_ns(entry.from_day),
        above_input_tokens=0,
        input_pico_usd=plain,
        cached_input_pico_usd=_pico_usd(entry.cached_input_usd_per_mtok, plain),
        cache_write_pico_usd=_pico_usd(entry.cache_write_usd_per_mtok, plain),
        output_pico_usd=_pico_usd(entry.output_usd_per_mtok),
        source=f"{OWN}: {entry.provider}/{entry.model}",
    )


def _pico_usd(usd_per_mtok: float | None, default: int = 0) -> int:
    """Return pico-USD a token; the decimals are those that stand in the file."""
    return default if usd_per_mtok is None else round(Decimal(str(usd_per_mtok)) * PICO_USD_A_TOKEN)


def _begin_ns(day: date | None) -> int:
    return 0 if day is None else int(datetime.combine(day, time(), UTC).timestamp()) * SECOND_NS
