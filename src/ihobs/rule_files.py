"""The files that `rule_files:` names: rules and their tests, beside `ihobs.yaml`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ihobs.errors import NotFoundError
from ihobs.rule_settings import rules_of

if TYPE_CHECKING:
    from ihobs.documents import Document
    from ihobs.settings import Settings


def files_of(settings: Settings, path: Path | None) -> tuple[Path, ...]:
    """Return the files of rules, those of each pattern in the order of their names.

    Args:
        path: the configuration, to which the patterns are relative; None: to the working directory.

    Raises:
        NotFoundError: a pattern matches nothing.
    """
    base = path.parent if path else Path()
    found: dict[Path, None] = {}
    for pattern in settings.rule_files:
        is_absolute = Path(pattern).is_absolute()
        matches = sorted(Path("/").glob(pattern.lstrip("/")) if is_absolute else base.glob(pattern))
        if not matches:
            raise NotFoundError("rule file", pattern, "see 'rule_files' in the configuration")
        found.update(dict.fromkeys(matches))
    return tuple(found)


def rules_in(document: Document | None, files: Sequence[Path]) -> Iterator[Mapping[str, object]]:
    """Yield the rules of `files`; an id is taken once, in `document` or in one of them.

    Raises:
        DocumentInvalidError: a file is not valid.
    """
    if not files:
        return
    from ihobs.checks import checked_rules

    given = document.value.get("rules", ()) if document else ()
    taken = {rule["id"]: document.path.name for rule in given if document}
    for file in files:
        rules = checked_rules(file, taken).value.get("rules", ())
        taken |= {rule["id"]: file.name for rule in rules}
        yield from rules_of(rules)
