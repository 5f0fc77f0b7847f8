"""Extractive text work: take a document apart, weigh its terms and sentences, choose the best ones.

This is what the local chat model knows how to do. It is deterministic and real: the same text always gives
the same summary, and every sentence of a summary stands in the text.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence

MIN_SENTENCE_WORDS = 6
MAX_SENTENCE_WORDS = 45

_MARKUP = (  # order matters: blocks first, then what stands inside a line
    (re.compile(r"```.*?(```|\Z)|~~~.*?(~~~|\Z)", re.DOTALL), "\n\n"),
    (re.compile(r"<[^>]{1,400}>"), " "),
    (re.compile(r"^\s*\.\. .*(?:\n[ \t]+.*)*", re.MULTILINE), "\n\n"),  # reStructuredText directives with their body
    (re.compile(r"^(?: {4}|\t).*$", re.MULTILINE), "\n\n"),  # indented code
    (re.compile(r"^\s*(?:[|+>$]|[-=~^*#]{3,}).*$", re.MULTILINE), "\n\n"),  # tables, quotes, shell lines, rules
    (re.compile(r"^\s*#{1,6} .*$", re.MULTILINE), "\n\n"),
    (re.compile(r"^\s*(?:[-*•]|\d+[.)])\s+", re.MULTILINE), "\n\n"),  # each item of a list is a paragraph
    (re.compile(r"!?\[!?\[[^\]]*\]\([^)]*\)\]\([^)]*\)|!\[[^\]]*\]\([^)]*\)"), " "),  # badges and images
    (re.compile(r"\[([^\]]*)\](?:\([^)]*\)|\[[^\]]*\])"), r"\1"),
    (re.compile(r":\w+:`~?([^`<]*)(?: <[^>]*>)?`"), r"\1"),
    (re.compile(r"`+([^`]*)`+_{0,2}"), r"\1"),
    (re.compile(r"https?://\S+"), " "),
    (re.compile(r"[*_]{1,3}(\S[^*_\n]*?)[*_]{1,3}"), r"\1"),
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'(])")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9+#.-]*[A-Za-z0-9+#]|[A-Za-z]")
_COMMON = frozenset(
    """a about above after again all also always an and any are as at available be because been before being
    below between both but by can case cases could default did different do does doing done down due during each
    easily easy either else etc even every example examples feature features few first following for from full
    further get gets give given has have having here how however i if in install installed installing instead
    into is it its itself just like list lot made make makes many may me might mode more most much must need
    needed new no non not note now number of off often on once one only or other our out over own package
    packages part please possible project provide provided provides python read release released releases
    same see set several should simple simply since so some such support supported supports take than that the
    their them then there these they thing things this those through thus to too two under until up usage use
    used useful user users uses using value version versions very via want was way we well were what when where
    whether which while who why will with within without work works would yes you your""".split()  # noqa: SIM905 - one list of words reads better as prose
)


def sentences(markup: str) -> list[str]:
    """Return the sentences of running text in `markup` (Markdown or reStructuredText), in their order."""
    for pattern, replacement in _MARKUP:
        markup = pattern.sub(replacement, markup)
    found: dict[str, None] = {}  # a set that keeps the order
    for paragraph in re.split(r"\n\s*\n", markup):
        for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
            count = len(sentence.split())
            if MIN_SENTENCE_WORDS <= count <= MAX_SENTENCE_WORDS and sentence[-1] in ".!?":
                found[sentence] = None
    return list(found)


def terms(text: str) -> list[str]:
    """Return the words of `text` that carry meaning, in lower case, repeats included."""
    words = (word.lower() for word in _WORD.findall(text))
    return [word for word in words if len(word) > 2 and word not in _COMMON]  # noqa: PLR2004 - shorter ones say little


def key_terms(text: str, count: int) -> list[str]:
    """Return the `count` most frequent terms of the running text, most frequent first, ties by first use."""
    body = sentences(text)
    return [term for term, _ in Counter(terms(" ".join(body))).most_common(count)]


def summarise(text: str, count: int, *, focus: Iterable[str] = ()) -> list[str]:
    """Return the `count` sentences that say most of `text`, in the order in which they stand in it.

    A sentence weighs the sum of its terms' frequencies in the text, damped by its length; the opening counts
    more. The sentences are chosen one by one, and what has been said already weighs half, so the choice does
    not repeat itself. A term in `focus` weighs as much as the three most frequent ones together.
    """
    body = sentences(text)
    frequency = Counter(terms(" ".join(body)))
    weight = {term: float(n) for term, n in frequency.items()}
    focused = float(sum(n for _, n in frequency.most_common(3)))
    weight.update((term.lower(), focused) for term in focus)
    chosen: set[int] = set()
    while len(chosen) < min(count, len(body)):
        best = max((i for i in range(len(body)) if i not in chosen), key=lambda i: _score(body[i], i, weight))
        chosen.add(best)
        for term in set(terms(body[best])):
            weight[term] /= 2
    return [body[i] for i in sorted(chosen)]


def _score(sentence: str, position: int, weight: dict[str, float]) -> float:
    """Return how much `sentence` says: its terms' weight per square root of its length, more near the start."""
    own = set(terms(sentence))
    opening = 1.0 + 1.0 / (1 + position)
    return opening * sum(weight.get(term, 0.0) for term in own) / math.sqrt(max(1, len(sentence.split())))


def missing(topics: Sequence[str], draft: str) -> list[str]:
    """Return those of `topics` that `draft` does not mention, in their order."""
    said = set(terms(draft))
    return [topic for topic in topics if topic.lower() not in said]
