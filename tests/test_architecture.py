"""The layers of the code, and habits that only hold when something checks them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

import ihobs

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "ihobs"
MODULES = sorted(path for path in SRC.rglob("*.py") if "site" not in path.parts)
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
OURS = [*MODULES, *PLUGINS]

FLOORS = (
    {"model", "errors", "clock", "courtesy", "quantities", "matchers", "routes", "incident_settings", "steps"},
    {
        "hookspecs",
        "settings",
        "config",
        "checks",
        "reloading",
        "rule_checks",
        "rule_files",
        "rule_settings",
        "runbook_settings",
        "documents",
        "schemas",
        "resources",
        "guard",
    },
    {"plugins", "testing", "redact", "spans", "store"},
    {"delivery", "sending", "telemetry", "alerts", "langsmith", "forward", "incidents", "runbooks"},
    {"duties", "demo", "web", "doctor", "cli", "pytest_rules", "pytest_runbooks"},
)
"""A room (a module or package of ihobs) imports only from rooms on floors below its own."""

ARROWS = {
    ("checks", "documents"),
    ("checks", "rule_checks"),
    ("checks", "schemas"),
    ("checks", "settings"),
    ("cli", "demo"),
    ("cli", "doctor"),
    ("cli", "duties"),
    ("cli", "web"),
    ("config", "checks"),
    ("config", "documents"),
    ("config", "rule_files"),
    ("config", "settings"),
    ("forward", "langsmith"),
    ("incident_settings", "quantities"),
    ("incidents", "alerts"),
    ("incidents", "delivery"),
    ("incidents", "runbooks"),
    ("hookspecs", "config"),  # the type of an argument
    ("reloading", "config"),
    ("reloading", "rule_files"),
    ("reloading", "settings"),
    ("rule_checks", "documents"),
    ("rule_files", "checks"),
    ("rule_files", "documents"),
    ("rule_files", "rule_settings"),
    ("rule_files", "settings"),
    ("runbooks", "alerts"),
    ("schemas", "documents"),
    ("schemas", "resources"),
    ("settings", "rule_settings"),
    ("settings", "runbook_settings"),
    ("spans", "redact"),
    ("store", "redact"),
    ("store", "spans"),
    ("steps", "clock"),
    ("steps", "errors"),
    ("telemetry", "langsmith"),
    ("testing", "plugins"),
    ("routes", "matchers"),
    ("routes", "quantities"),
}
"""Imports on one floor."""

PUBLIC_MODULES = {
    "ihobs.clock",
    "ihobs.config",
    "ihobs.errors",
    "ihobs.hookspecs",
    "ihobs.model",
    "ihobs.steps",
    "ihobs.testing",
}
"""What plug-ins may import, beside the names of `ihobs.__all__`."""

MAY_ASK_THE_TIME = {
    "clock.py": "the clock itself",
    "provider.py": "ids of spans are the system's: a host that seeds `random` must not repeat them",
}
"""Files that may name the time, chance or sleep outside a default argument, and why."""


def identifier(path: Path) -> str:
    return str(path.relative_to(ROOT))


def each(paths: list[Path]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", paths, ids=identifier)


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of everything that `path` imports, also within functions and for types."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room(path: Path) -> str:
    return path.relative_to(SRC).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(index for index, names in enumerate(FLOORS) if name in names)


@each([path for path in MODULES if room(path) not in {"__init__", "__main__"}])
def test_imports_point_downwards(path):
    mine = room(path)
    for name in imports(path):
        first, _, rest = name.partition(".")
        other = rest.split(".")[0]
        if first != "ihobs" or other in {mine, "", "__version__"}:
            continue
        if mine == "demo" and other in ihobs.__all__:
            continue  # the demo uses ihobs as anybody does
        assert floor(other) < floor(mine) or (mine, other) in ARROWS, f"{mine} imports {name}"


def test_every_arrow_is_used_and_every_room_exists():
    used = {(room(path), name.split(".")[1]) for path in MODULES for name in imports(path) if name.startswith("ihobs.")}
    assert used >= ARROWS
    rooms = {room(path) for path in MODULES} - {"__init__", "__main__"}
    assert rooms - set().union(*FLOORS) == set()


def test_the_document_names_every_room_on_its_floor():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for floor, rooms in enumerate(FLOORS):
        [line] = re.findall(rf"^\| {floor} \|.*$", text, re.MULTILINE)
        assert rooms - {"demo"} <= set(re.findall(r"`(\w+)/?`", line))  # demo has a row of its own


@each(PLUGINS)
def test_plugins_import_only_what_is_public(path):
    own = path.relative_to(ROOT / "plugins").parts[0]
    for name in imports(path):
        first, _, rest = name.partition(".")
        if first == own or not first.startswith("ihobs"):
            continue
        assert rest in ihobs.__all__ or any(name.startswith(f"{module}.") for module in PUBLIC_MODULES), name


@each([path for path in OURS if "cli" not in path.parts])
def test_only_the_command_line_prints_and_exits(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"print", "click.echo", "sys.exit", "exit", "quit"}, node.lineno


@each(OURS)
def test_a_file_is_named_for_what_it_knows(path):
    assert not re.search(r"util|helper|common|misc|manager", identifier(path))


_CLOCK = re.compile(
    r"^(time\.\w+|(datetime\.)?datetime\.(now|today|utcnow)|(uuid\.)?uuid[14]|secrets\.\w+"
    r"|random\.(?!Random$)\w+)$"  # random.Random is what is passed in, with its seed
)


def defaults(tree: ast.Module) -> Iterator[ast.expr]:
    """Yield the defaults of arguments and of the fields of classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from (*node.args.defaults, *filter(None, node.args.kw_defaults))
        elif isinstance(node, ast.ClassDef):
            yield from (item.value for item in node.body if isinstance(item, ast.AnnAssign) and item.value)


@each([path for path in OURS if path.name not in MAY_ASK_THE_TIME])
def test_time_chance_and_sleep_come_in_as_arguments(path):
    tree = tree_of(path)
    allowed = {id(inner) for default in defaults(tree) for inner in ast.walk(default)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and id(node) not in allowed:
            assert not _CLOCK.match(ast.unparse(node)), f"line {node.lineno}: {ast.unparse(node)}"


@each(OURS)
def test_every_exception_from_a_rule_has_a_code_and_a_reason(path):
    with path.open("rb") as file:
        comments = [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.COMMENT]
    for comment in comments:
        if "noqa" in comment:
            assert re.search(r"noqa: [A-Z]+\d+(, ?[A-Z]+\d+)* - \w", comment), comment
        if "type: ignore" in comment:
            assert re.search(r"type: ignore\[[\w-]+(, ?[\w-]+)*\] +(- |# )\w", comment), comment


@each(OURS)
def test_files_stay_short_enough_to_read(path):
    """About 300 lines are the aim; this is the wall."""
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 450


@each(OURS)
def test_functions_do_one_thing(path):
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            lines = sum(len(ast.unparse(statement).splitlines()) for statement in body)
            assert lines <= 45, f"{node.name}: {lines} lines"


def modules_after(code: str) -> set[str]:
    """Return the names of the modules that a fresh process has loaded after `code`."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint('\\n'.join(sys.modules))"]
    return set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())


def test_importing_ihobs_is_cheap():
    loaded = modules_after("import ihobs")
    assert not loaded & {
        "yaml",
        "sqlite3",
        "click",
        "opentelemetry",
        "rich",
        "pluggy",
        "jsonschema",
        "importlib.metadata",
    }


def test_the_orchestrators_process_never_imports_what_only_the_duties_need():
    loaded = modules_after("import ihobs\nihobs.instrument\nimport ihobs.telemetry.exporter, ihobs.store.telemetry")
    assert not loaded & {"apprise", "genai_prices", "grpc", "sqlite_utils", "jinja2", "starlette", "rich", "click"}


def test_help_imports_no_command():
    loaded = modules_after("from ihobs.cli import main\ntry: main(['--help'])\nexcept SystemExit: pass")
    assert "ihobs.cli.root" in loaded
    assert not loaded & {"yaml", "sqlite3", "opentelemetry", "rich", "pluggy", "jsonschema", "importlib.metadata"}


def test_every_public_name_exists_and_is_documented():
    for name in ihobs.__all__:
        assert getattr(ihobs, name).__doc__ or name == "hookimpl", name
    assert sorted(ihobs.__all__) == ihobs.__all__
