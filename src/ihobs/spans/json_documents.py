"""Find the JSON documents of a stream: one a line, one over many lines, several behind one another.

At most one document is in memory. A document that is cut off or malformed costs only itself: reading goes
on at the next line that can begin one.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ihobs.errors import InvalidInputError
from ihobs.spans.decoded import Rejected, quote

_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*("?)')
"""A string, or what begins as one and does not end on its line: then without the quote at its end. As it matches from
any quote on, no text makes it try twice."""
_BEGINS_REQUEST = re.compile(rb'\s*\{\s*"(?:resourceSpans|resource_spans)"')
_DECODER = json.JSONDecoder()
_WHITESPACE = re.compile(r"[ \t\r\n]*")


@dataclass(frozen=True, slots=True)
class Document:
    """One parsed document and the line on which it begins, e.g. "line 7"."""

    value: object
    where: str


def read_documents(stream: BinaryIO, name: str, limit_bytes: int) -> Iterator[Document | Rejected]:
    """Yield the documents of `stream`, and a rejection for each that is no JSON.

    Args:
        stream: UTF-8; bytes that are not become lone surrogates, which only the span that holds them fails on.
        name: the file, for the error.
        limit_bytes: how long one document may be.

    Raises:
        InvalidInputError: a document is longer than that.
    """
    pending = _Pending()
    line_number = 0
    while line := stream.readline(limit_bytes - pending.size_bytes + 1):
        line_number += 1
        if len(line) + pending.size_bytes > limit_bytes:
            hint = "write one request a line (JSONL), or protobuf"
            raise InvalidInputError(name, f"line {line_number}: a document is longer than {limit_bytes} bytes", hint)
        if line_number == 1:
            line = line.removeprefix(codecs.BOM_UTF8)
        if not pending.lines and line.isspace():
            continue
        if not pending.lines or pending.is_cut_by(line):
            yield from pending.parse()
            document = _whole_line(line, line_number)
            if document is not None:
                yield document
                continue
        pending.add(line, line_number)
        if pending.is_complete():
            yield from pending.parse()
    yield from pending.parse()


def _whole_line(line: bytes, line_number: int) -> Document | None:
    """Return the document that a line is; None when it is more, less or no document, which `_Pending` finds out."""
    if line[:1] not in b"{[" or line.rstrip()[-1:] not in b"}]":
        return None
    try:
        return Document(json.loads(line.decode("utf-8")), f"line {line_number}")
    except (ValueError, RecursionError):
        return None


class _Pending:
    """The lines of a document whose end has not been seen."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self._first_line = 0
        self._depth = 0
        self._broken = False
        self.size_bytes = 0

    def add(self, line: bytes, line_number: int) -> None:
        """Take a line, and count its brackets outside strings. A string never spans lines in JSON."""
        if not self.lines:
            self._first_line = line_number
        self.lines.append(line)
        self.size_bytes += len(line)
        bare, strings = _STRING.subn(rb"\1", line)
        self._broken = self._broken or bare.count(b'"') < strings
        self._depth += bare.count(b"{") + bare.count(b"[") - bare.count(b"}") - bare.count(b"]")

    def is_complete(self) -> bool:
        """Say whether all brackets are closed, or nothing that follows can make it valid."""
        return bool(self.lines) and (self._depth <= 0 or self._broken)

    def is_cut_by(self, line: bytes) -> bool:
        """Say whether `line` begins a request of its own although brackets are open: the one before was cut."""
        return bool(self.lines) and self.lines[0].lstrip()[:1] == b"{" and _BEGINS_REQUEST.match(line) is not None

    def parse(self) -> Iterator[Document | Rejected]:
        """Yield what the pending lines hold, and forget them."""
        lines, first_line = self.lines, self._first_line
        self.lines, self._depth, self._broken, self.size_bytes = [], 0, False, 0
        if lines:
            yield from _parse(b"".join(lines), first_line)


def _parse(data: bytes, first_line: int) -> Iterator[Document | Rejected]:
    """Parse documents that follow one another in `data`."""
    text = data.decode("utf-8", "surrogateescape")
    line, begins = first_line, 0
    while (position := _skip_whitespace(text, begins)) < len(text):
        line += text.count("\n", begins, position)
        where = f"line {line}"
        try:
            value, begins = _DECODER.raw_decode(text, position)
        except json.JSONDecodeError as error:
            yield Rejected(f"line {first_line + error.lineno - 1}, column {error.colno}", "not JSON", error.msg)
            return
        except RecursionError:
            yield Rejected(where, "the JSON is nested too deeply")
            return
        except ValueError as error:  # an integer of thousands of digits
            yield Rejected(where, "not JSON", quote(str(error)))
            return
        yield Document(value, where)
        line += text.count("\n", position, begins)


def _skip_whitespace(text: str, position: int) -> int:
    match = _WHITESPACE.match(text, position)
    return match.end() if match else position
