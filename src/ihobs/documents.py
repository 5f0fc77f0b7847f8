"""Read YAML 1.2 that people wrote, and say by line and column what is wrong with it.

PyYAML speaks YAML 1.1, where `on` is true and `12:30` is 750. Here its scalars are resolved by the core schema of
YAML 1.2 (yaml.org/spec/1.2.2, 10.3.2), keys are text and occur once, and aliases cannot grow the document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ihobs.errors import InvalidInputError, NotFoundError

MAX_BYTES = 1_000_000
"""A larger file is not something that a person wrote."""
MAX_NODES = 20_000
"""Values in a document with its aliases followed: nine lines of aliases to aliases make a billion."""
MAX_DEPTH = 40

At = tuple[str | int, ...]
"""Where a value stands: keys and indexes from the root."""

_CORE = {
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)$"),
    "int": re.compile(r"(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$"),
    "float": re.compile(
        r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
    ),
    "null": re.compile(r"(?:~|null|Null|NULL|)$"),
}
_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):
    """PyYAML with the scalars of YAML 1.2; only used to compose nodes, which carry marks."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own shape


for _name, _pattern in _CORE.items():
    _Loader.add_implicit_resolver(_TAG + _name, _pattern, None)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A position in a file; both count from 1."""

    line: int
    column: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a document. `place` is None when the fault is the whole file's."""

    place: Place | None
    reason: str
    hint: str = ""


class DocumentInvalidError(InvalidInputError):
    """A file that people write cannot be used; the text has one line for each finding, in the file's order.

    Attributes:
        path: the file, as it was named.
        findings: what is wrong.
    """

    def __init__(self, path: Path, findings: Iterable[Finding]) -> None:
        self.path = path
        self.findings = tuple(sorted(findings, key=lambda one: one.place or Place(0, 0)))
        first = self.findings[0]
        super().__init__(_where(path, first.place), first.reason, first.hint)
        texts = [str(InvalidInputError(_where(path, one.place), one.reason, one.hint)) for one in self.findings]
        self.args = ("\n".join(texts),)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as plain data, with the place of each value and of each key.

    Attributes:
        path: the file.
        value: mappings, lists, text, numbers, booleans and None.
        values: where each value begins. keys: where the key of each value begins.
    """

    path: Path
    value: Any
    values: dict[At, Place] = field(default_factory=dict)
    keys: dict[At, Place] = field(default_factory=dict)

    def place(self, at: At) -> Place | None:
        """Return where the key (else the value) at `at` stands, or the nearest value around it."""
        while at and at not in self.keys and at not in self.values:
            at = at[:-1]
        return self.keys.get(at) or self.values.get(at)


def read(path: Path) -> Document:
    """Read the YAML document in `path`; an empty file is None.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it is not a document that can be used.
    """
    return parse(path, read_text(path))


def parse(path: Path, text: str) -> Document:
    """Return the YAML document that `text` is; `path` is where it came from, for messages.

    Raises:
        DocumentInvalidError: it is not a document that can be used.
    """
    try:
        root = _Loader(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        raise DocumentInvalidError(path, [_syntax_finding(error)]) from error
    except yaml.reader.ReaderError as error:
        place = _place_in(text, error.position)
        reason = f"the control character U+{int(error.character):04X} is not allowed"
        raise DocumentInvalidError(path, [Finding(place, reason)]) from error
    except RecursionError as error:
        raise DocumentInvalidError(path, [Finding(None, "nested too deeply")]) from error
    builder = _Builder(path)
    value = None if root is None else builder.build(root, ())
    if builder.findings:
        raise DocumentInvalidError(path, builder.findings)
    return Document(path, value, builder.values, builder.keys)


class _Builder:
    """Turns nodes into plain data, and remembers where each came from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.values: dict[At, Place] = {}
        self.keys: dict[At, Place] = {}
        self.findings: list[Finding] = []

    def build(self, node: yaml.Node, at: At) -> Any:
        """Return the plain data of `node`, which stands at `at`."""
        self.values[at] = _place(node)
        if len(self.values) > MAX_NODES or len(at) > MAX_DEPTH:
            reason = "nested too deeply" if len(at) > MAX_DEPTH else f"more than {MAX_NODES} values"
            raise DocumentInvalidError(self.path, [Finding(_place(node), reason, "are there aliases of aliases?")])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, at)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*at, index)) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, at: At) -> dict[str, Any]:
        built: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value
            if not isinstance(key_node, yaml.ScalarNode) or key_node.tag != _TAG + "str":
                self.findings.append(Finding(_place(key_node), "a key must be text", "put it in quotes"))
            elif key in built:
                first = self.keys[*at, key]
                self.findings.append(Finding(_place(key_node), f"key {key!r} stands already in line {first.line}"))
            else:
                self.keys[*at, key] = _place(key_node)
                built[key] = self.build(value_node, (*at, key))
        return built

    def _scalar(self, node: yaml.Node) -> Any:
        kind = node.tag.removeprefix(_TAG)
        if kind == "str":
            return self._text(node)
        try:
            value = _PARSERS[kind](node.value)
        except KeyError:
            self.findings.append(Finding(_place(node), f"the tag {node.tag} is not allowed"))
        except ValueError:
            self.findings.append(Finding(_place(node), f"cannot be read as {kind}"))
        else:
            if not (isinstance(value, float) and not math.isfinite(value)):
                return value
            self.findings.append(Finding(_place(node), "must be a finite number"))
        return None

    def _text(self, node: yaml.Node) -> str:
        r"""Return a text; half a character, which "\ud800" makes, can be neither shown nor stored."""
        text: str = node.value
        if any("\ud800" <= character <= "\udfff" for character in text):
            self.findings.append(Finding(_place(node), "half a character (a lone surrogate)"))
            return ""
        return text


def _parse_bool(text: str) -> bool:
    if not _CORE["bool"].match(text):
        raise ValueError(text)
    return text.lower() == "true"


def _parse_int(text: str) -> int:
    return int(text, 0) if text.startswith(("0o", "0x")) else int(text)


def _parse_float(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


_PARSERS = {"null": lambda _: None, "bool": _parse_bool, "int": _parse_int, "float": _parse_float}


def read_text(path: Path) -> str:
    """Return the text of `path`, which people wrote: UTF-8, with or without a mark, and not endless.

    Raises:
        NotFoundError: there is no such file.
        DocumentInvalidError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError("file", str(path)) from error
    except OSError as error:
        raise DocumentInvalidError(path, [Finding(None, (error.strerror or str(error)).lower())]) from error
    if len(content) > MAX_BYTES:
        raise DocumentInvalidError(path, [Finding(None, f"is larger than {MAX_BYTES} bytes")])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8", errors="replace")
        finding = Finding(_place_in(before, len(before)), "is not UTF-8", "save the file as UTF-8")
        raise DocumentInvalidError(path, [finding]) from error


def _syntax_finding(error: yaml.MarkedYAMLError) -> Finding:
    mark = error.problem_mark or error.context_mark
    place = Place(mark.line + 1, mark.column + 1) if mark else None
    reason = (error.problem or error.context or "is not YAML").replace("\\t", "a tab")
    if "'\t'" in reason or "a tab" in reason:
        return Finding(place, "a tab where YAML wants spaces", "indent with spaces")
    return Finding(place, reason)


def _place(node: yaml.Node) -> Place:
    return Place(node.start_mark.line + 1, node.start_mark.column + 1)


def _place_in(text: str, position: int) -> Place:
    line_start = text.rfind("\n", 0, position) + 1
    return Place(text.count("\n", 0, position) + 1, position - line_start + 1)


def _where(path: Path, place: Place | None) -> str:
    return f"{path}:{place.line}:{place.column}" if place else str(path)
