"""`ihobs metrics reprice`: let what is stored cost what the price list says today."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from ihobs.cli.inert import inert
from ihobs.cli.moments import SINCE_HELP, since_ns
from ihobs.cli.output import console, emit_json, json_option
from ihobs.cli.units import UNKNOWN, count, plural, usd, usd_at_least
from ihobs.clock import isoformat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ihobs.cli.context import AppContext
    from ihobs.store.costs import Forgotten, ModelCost
    from ihobs.store.prices import Plan
    from ihobs.store.telemetry import TelemetryStore

NANO = 1e9
"""Nano-USD in one USD."""


@click.command()
@click.option("--since", metavar="T", help=f"Only calls that began later. {SINCE_HELP}")
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@json_option
@click.pass_obj
def reprice(app: AppContext, *, since: str | None, dry_run: bool, as_json: bool) -> None:
    """Apply today's prices to the calls that are stored.

    Every model is looked up anew, in 'prices:' of ihobs.yaml and in genai-prices; what its calls cost and will
    cost is shown, and the sums are corrected by the difference. It may be interrupted: what is done stays, and the
    rest is done by the duties process or by the next 'ihobs metrics reprice'.
    """
    from ihobs.store.costs import compare, forgotten
    from ihobs.store.prices import plan, price_list
    from ihobs.store.pricing import PriceBook
    from ihobs.store.telemetry import TelemetryStore

    start_ns = since_ns(since, app.clock) if since is not None else 0
    with TelemetryStore(app.home(), clock=app.clock) as store:
        planned = plan(store.database, price_list(app.config.settings), start_ns)
        with _progress("reading", store) as progress:
            costs = compare(store.database, planned.job, PriceBook(planned.after), progress)
        costs.sort(key=lambda cost: (-abs(cost.new_cost_nano_usd - cost.cost_nano_usd), cost.provider, cost.model))
        lost = forgotten(store.database, start_ns)
        if not as_json:
            _show(costs, lost, planned)
        if not dry_run:
            _apply(store, planned, costs)
    if as_json:
        emit_json(_figures(costs, lost, planned, dry_run=dry_run))
    elif any(cost.changed_calls for cost in costs):
        click.echo("nothing was changed: --dry-run" if dry_run else "done")


def _apply(store: TelemetryStore, planned: Plan, costs: Sequence[ModelCost]) -> None:
    """Replace the prices that differ, and bring them to the stored calls."""
    from ihobs.store.prices import same_rates

    models = {(cost.provider, cost.model) for cost in costs if cost.changed_calls}
    models |= {model for model, rates in planned.after.items() if not same_rates(planned.before.get(model, ()), rates)}
    rates = {model: planned.rates[model] for model in planned.rates.keys() & models}
    store.replace_prices(rates, since_ns=planned.since_ns, origin=planned.origin)
    calls = 0
    try:
        with _progress("writing", store) as progress:
            while (done := store.reprice_some()) is not None:
                calls += done.calls
                progress(done.done_no)
    except KeyboardInterrupt:
        click.echo(
            f"{plural(calls, 'call')} repriced; the duties process or 'ihobs metrics reprice' does the rest", err=True
        )
        raise


@contextlib.contextmanager
def _progress(text: str, store: TelemetryStore) -> Iterator[Callable[[int], None]]:
    """Give a function that is told up to which trace number we are; it shows nothing when there is no terminal."""
    shown = console(stderr=True)
    if not shown.is_terminal:
        yield lambda _no: None
        return
    from rich.progress import Progress

    with store.database.read() as connection:
        last_no = connection.execute("SELECT coalesce(max(no), 0) FROM trace").fetchone()[0]
    with Progress(console=shown, transient=True) as bars:
        task = bars.add_task(text, total=last_no)
        yield lambda no: bars.update(task, completed=no)


def _figures(costs: Sequence[ModelCost], lost: Forgotten, planned: Plan, *, dry_run: bool) -> dict[str, object]:
    """Return what `--json` promises; unknown is null."""
    return {
        "since": isoformat(planned.since_ns) if planned.since_ns else None,
        "dry_run": dry_run,
        "changed_calls": sum(cost.changed_calls for cost in costs),
        "models": [
            {
                "provider": cost.provider or None,
                "model": cost.model,
                "calls": cost.calls,
                "changed_calls": cost.changed_calls,
                "cost_usd": _usd(cost.cost_nano_usd, cost.calls - cost.unpriced_calls),
                "new_cost_usd": _usd(cost.new_cost_nano_usd, cost.calls - cost.new_unpriced_calls),
                "unpriced_calls": cost.unpriced_calls,
                "new_unpriced_calls": cost.new_unpriced_calls,
                "price_from": _source(cost, planned) or None,
            }
            for cost in costs
        ],
        "forgotten": {"calls": lost.calls, "cost_usd": lost.cost_nano_usd / NANO},
    }


def _show(costs: Sequence[ModelCost], lost: Forgotten, planned: Plan) -> None:
    """Print a line for each model, what all of it comes to, and what cannot be repriced."""
    if not costs:
        click.echo("no call to a model is stored" + (" since then" if planned.since_ns else ""))
    else:
        _table(costs, planned)
        before, after = (
            sum(amounts) for amounts in zip(*((c.cost_nano_usd, c.new_cost_nano_usd) for c in costs), strict=True)
        )
        changed = sum(cost.changed_calls for cost in costs)
        click.echo(f"{plural(changed, 'call')} cost something else: {usd(before / NANO)}, now {usd(after / NANO)}")
    if lost.calls:
        click.echo(
            f"{plural(lost.calls, 'call')} ({usd(lost.cost_nano_usd / NANO)}) keep their cost: "
            "their rows are forgotten (retention.spans)"
        )


def _table(costs: Sequence[ModelCost], planned: Plan) -> None:
    from ihobs.cli.tables import Column, table

    shown = console()
    columns: list[Column[ModelCost]] = [
        Column("provider", lambda cost: inert(cost.provider or UNKNOWN), is_name=True, style=lambda _: "cyan"),
        Column("model", lambda cost: inert(cost.model), is_name=True, style=lambda _: "cyan"),
        Column("calls", lambda cost: count(cost.calls), rank=1),
        Column("cost", lambda cost: _shown(cost.cost_nano_usd, cost.calls, cost.unpriced_calls)),
        Column("new cost", lambda cost: _shown(cost.new_cost_nano_usd, cost.calls, cost.new_unpriced_calls)),
        Column("change", _change),
        Column("by", lambda cost: inert(_source(cost, planned)), rank=2, is_left=True),
    ]
    shown.print(table(shown, columns, costs))


def _shown(cost_nano_usd: int, calls: int, unpriced_calls: int) -> str:
    amount = _usd(cost_nano_usd, calls - unpriced_calls)
    return usd_at_least(amount) if unpriced_calls else usd(amount)


def _usd(cost_nano_usd: int, priced_calls: int) -> float | None:
    """Return a sum in USD; None when no call in it has a price."""
    return cost_nano_usd / NANO if priced_calls else None


def _change(cost: ModelCost) -> str:
    """Return the difference: in percent, or as an amount where there was no cost before."""
    if not cost.changed_calls:
        return ""
    before, after = cost.cost_nano_usd, cost.new_cost_nano_usd
    if not before or cost.unpriced_calls != cost.new_unpriced_calls:
        return f"{'+' if after >= before else '-'}{usd(abs(after - before) / NANO)}"
    return f"{(after - before) / before * 100:+.3g} %"


def _source(cost: ModelCost, planned: Plan) -> str:
    """Return where the newest price of a model comes from."""
    prices = planned.after.get((cost.provider, cost.model), ())
    return max(prices, key=lambda price: price.from_ns).source if prices else ""
