"""Files that people write are read as YAML 1.2, and what is wrong has a line and a column."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ihobs.documents import MAX_BYTES, DocumentInvalidError, read
from ihobs.errors import NotFoundError


@pytest.fixture
def write(tmp_path):
    def put(content: str | bytes):
        path = tmp_path / "doc.yaml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return put


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("12:30", "12:30"),
        ("2026-12-25", "2026-12-25"),
        ("010", 10),
        ("0o17", 15),
        ("0x1F", 31),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("-7", -7),
        ("1_000", "1_000"),
        ("True", True),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("!!str 5", "5"),
        ("<<: 5", {"<<": 5}),
        ("- 1\n- [a, {b: c}]", [1, ["a", {"b": "c"}]]),
        ("a: &x [1]\nb: *x", {"a": [1], "b": [1]}),
        ("\ufeffa: ü", {"a": "ü"}),
    ],
)
def test_scalars_mean_what_yaml_1_2_says(write, text, expected):
    assert read(write(text)).value == expected


@pytest.mark.parametrize(
    ("content", "findings"),
    [
        ("a: 1\nb: 2\na: 3", ["3:1: key 'a' stands already in line 1"]),
        ("a: 1\n5: 2", ["2:1: a key must be text; put it in quotes"]),
        ("x: {{ y }}", ["1:5: a key must be text; put it in quotes"]),
        ("a: !!python/object:os.system x", ["1:4: the tag tag:yaml.org,2002:python/object:os.system is not allowed"]),
        ("a: !!int x", ["1:4: cannot be read as int"]),
        ("a: " + "9" * 5000, ["1:4: cannot be read as int"]),
        ("a: .nan\nb: -.inf", ["1:4: must be a finite number", "2:4: must be a finite number"]),
        ("a:\n\tb: 1", ["2:1: a tab where YAML wants spaces; indent with spaces"]),
        ("a: [1\nb: 2", ["2:2: did not find expected ',' or ']'", "2:2: expected ',' or ']', but got ':'"]),
        ("a: b: c", ["1:5: mapping values are not allowed here"]),
        ("a: 1\n---\nb: 2", ["2:1: but found another document"]),
        (b"a: 1\nb: \xff", ["2:4: is not UTF-8; save the file as UTF-8"]),
        ("a: 1\nb: \x07", ["2:4: the control character U+0007 is not allowed"]),
        ('a: "\\ud800"', ["1:4: half a character (a lone surrogate)"]),
        ("a: &a [*a]", None),
        ("[" * 600, None),
        (
            "a: &a [x]\n"
            + "\n".join(f"b{n}: &b{n} [{', '.join([f'*b{n - 1}' if n else '*a'] * 10)}]" for n in range(9)),
            None,
        ),
        (b"#" * (MAX_BYTES + 1), [f"is larger than {MAX_BYTES} bytes"]),
    ],
)
def test_what_cannot_be_used_is_said_with_its_place(write, content, findings):
    path = write(content)
    with pytest.raises(DocumentInvalidError) as caught:
        read(path)
    lines = str(caught.value).replace(f"{path}:", "").split("\n")
    if findings is None:  # too deep or too large: where it is noticed is not a promise
        assert [line for line in lines if "nested too deeply" in line or "values" in line] == lines
    else:
        assert [line.strip() for line in lines] == findings or lines[0].strip() in findings
    assert caught.value.exit_code == 2


def test_a_directory_and_a_missing_file_are_different_errors(tmp_path):
    with pytest.raises(DocumentInvalidError) as caught:
        read(tmp_path)
    assert caught.value.reason == "is a directory"
    with pytest.raises(NotFoundError) as missing:
        read(tmp_path / "none.yaml")
    assert (missing.value.what, missing.value.exit_code) == ("file", 3)


texts = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" :#-,[]{}&*!|>'\"%@`"), max_size=40)
plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=60, deadline=None)
@given(plain)
def test_json_of_printable_text_is_yaml(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("json") / "doc.json"
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    assert read(path).value == value


def test_each_value_and_key_knows_its_place(write):
    document = read(write("a:\n  b: [1, {c: 2}]\n"))
    assert (document.keys["a", "b"].line, document.keys["a", "b"].column) == (2, 3)
    assert (document.values["a", "b", 1, "c"].line, document.values["a", "b", 1, "c"].column) == (2, 14)
    assert document.place(("a", "b", 7)) == document.keys["a", "b"]
