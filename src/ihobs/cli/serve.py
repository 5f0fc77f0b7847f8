"""`ihobs serve`: the duties process with a server that receives spans over OTLP/HTTP."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import queue
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import click

from ihobs.errors import InvalidInputError

if TYPE_CHECKING:
    from ihobs.cli.context import AppContext
    from ihobs.duties import Duties

TOKEN = "IHOBS_TOKEN"  # noqa: S105 - the name of the variable
MIN_TOKEN_LENGTH = 16
"""Shorter ones can be guessed over a network."""

TAKE_OVER_S = 2.0
"""How often a server that has no duties looks whether their owner is gone."""

MAX_PORT = 65_535

_ENDED = 0
"""In the queue of signals: the server ended by itself."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option("--port", default=8081, show_default=True, type=click.IntRange(0, 65535), help="0: any free one.")
@click.option(
    "--allow-host", "names", multiple=True, metavar="NAME", help="A further name that clients may call this server by."
)
@click.option("--grpc", metavar="[HOST:]PORT", help="Receive OTLP over gRPC as well, most often at 4317.")
@click.pass_obj
def serve(app: AppContext, host: str, port: int, names: tuple[str, ...], grpc: str | None) -> None:
    """Receive spans and log records over OTLP/HTTP, and evaluate and deliver alerts meanwhile.

    Beyond loopback every request needs a token: that of IHOBS_TOKEN, or one that is made up and printed here.
    SIGTERM and Ctrl-C end it when everything that was received is stored.
    """
    from ihobs.duties import Duties
    from ihobs.langsmith.report import report
    from ihobs.plugins import redaction_by
    from ihobs.store.opening import open_store
    from ihobs.web.access import policy_of
    from ihobs.web.langsmith_status import LangSmithStatus
    from ihobs.web.receiver import Receiver
    from ihobs.web.server import bind

    home = app.home(create=True)
    duties = Duties(home, app.config.settings, app.plugins, clock=app.clock, watched=app.watched())
    hook = redaction_by(app.plugins)
    with bind(host, port) as listening, open_store(home, app.config.settings, clock=app.clock, hook=hook) as store:
        address, bound_port = listening.getsockname()[:2]
        grpc_host, grpc_address = (address, None) if grpc is None else grpc_address_of(grpc, host)
        token, is_made_up = token_for(most_open(address, grpc_host), os.environ)
        signals: queue.SimpleQueue[int] = queue.SimpleQueue()
        receiver = Receiver(
            store,
            listening,
            policy_of(address, host, names, token),
            clock=app.clock,
            has_duties=lambda: Duties.owner(home) == os.getpid(),
            ended=lambda: signals.put(_ENDED),
            grpc_address=grpc_address,
            more=[LangSmithStatus(lambda: report(app.config.settings, clock=app.clock), clock=app.clock).route],
        )
        with _received_by(signals):
            receiver.start()
            try:
                _announce(url_of(host, address, bound_port), token if is_made_up else None)
                if receiver.grpc_port is not None:
                    grpc_url = url_of(grpc_host, grpc_host, receiver.grpc_port)
                    click.echo(f"ihobs: gRPC at {grpc_url}, with OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
                _stay(duties, signals)
            finally:
                receiver.stop()
                duties.stop()
    click.echo("ihobs: stopped; what was acknowledged is stored")


def token_for(
    address: str, environ: Mapping[str, str], make: Callable[[], str] = secrets.token_urlsafe
) -> tuple[str | None, bool]:
    """Return the token that requests to a server at `address` must carry, and whether it was made up here.

    Raises:
        InvalidInputError: the one that the user chose is too short.
    """
    from ihobs.web.access import is_loopback

    chosen = environ.get(TOKEN)
    if chosen:
        if len(chosen) < MIN_TOKEN_LENGTH:
            hint = "python -c 'import secrets; print(secrets.token_urlsafe())' makes one"
            raise InvalidInputError(TOKEN, f"is shorter than {MIN_TOKEN_LENGTH} characters", hint)
        return chosen, False
    return (None, False) if is_loopback(address) else (make(), True)


def grpc_address_of(text: str, host: str) -> tuple[str, str]:
    """Return the IP address that `--grpc` names, and that with the port as grpc takes it.

    Args:
        text: "4317", "0.0.0.0:4317" or "[::1]:4317".
        host: where to listen when it names only a port.

    Raises:
        InvalidInputError: it is neither.
    """
    name, _, number = text.rpartition(":")
    name = name.removeprefix("[").removesuffix("]") or host
    if not number.isdecimal() or int(number) > MAX_PORT:
        raise InvalidInputError(f"--grpc {text}", "is neither a port nor an address with a port", "try --grpc 4317")
    try:
        address = str(socket.getaddrinfo(name, int(number), type=socket.SOCK_STREAM)[0][4][0])
    except socket.gaierror as error:
        raise InvalidInputError(f"--grpc {text}", f"{name!r} is not an address: {error.strerror}") from error
    return address, f"[{address}]:{number}" if ":" in address else f"{address}:{number}"


def most_open(address: str, other: str) -> str:
    """Return the one of two addresses that more machines can reach: one token is for both."""
    from ihobs.web.access import is_loopback

    return other if is_loopback(address) else address


def url_of(host: str, address: str, port: int, hostname: Callable[[], str] = socket.gethostname) -> str:
    """Return the URL under which a server can be reached that listens at `address`."""
    if ipaddress.ip_address(address).is_unspecified:
        host = hostname()
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def _received_by(signals: queue.SimpleQueue[int]) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM come out of `signals`. The second one ends the process as ever."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def receive(number: int, _: object) -> None:
        restore()
        signals.put(number)  # may be called in the middle of anything, unlike threading.Event.set

    for number in _SIGNALS:
        signal.signal(number, receive)
    try:
        yield
    finally:
        restore()


def _announce(url: str, made_up_token: str | None) -> None:
    """Say where the server is, and what a program has to be told."""
    click.echo(f"ihobs: listening at {url}")
    headers = ""
    if made_up_token is not None:
        click.echo(f"ihobs: a token for this run, see it work: {url}/metrics?token={made_up_token}")
        headers = f" OTEL_EXPORTER_OTLP_HEADERS=authorization=Bearer%20{made_up_token}"
    click.echo(
        f"ihobs: send spans with OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_ENDPOINT={url}{headers}"
    )


def _stay(duties: Duties, signals: queue.SimpleQueue[int]) -> None:
    """Do the duties, or wait for their owner to end, until a signal comes.

    Raises:
        StoreUnavailableError: the home cannot be used.
        RuntimeError: the server ended without one.
    """
    is_owner = _try_to_start(duties)
    if not is_owner:
        click.echo("ihobs: another process evaluates the alerts of this home; this one only receives")
    while True:
        try:
            received = signals.get(timeout=None if is_owner else TAKE_OVER_S)
        except queue.Empty:
            is_owner = _try_to_start(duties)
        else:
            break
    if received == _ENDED:
        raise RuntimeError("the HTTP server ended by itself")


def _try_to_start(duties: Duties) -> bool:
    if not duties.start():
        return False
    click.echo("ihobs: this process evaluates the alerts")
    return True
