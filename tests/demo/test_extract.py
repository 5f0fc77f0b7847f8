from ihobs.demo.content import installed_documents
from ihobs.demo.extract import key_terms, missing, sentences, summarise, terms

from .conftest import ESSAY


def test_sentences_are_prose_without_markup_code_or_headings():
    found = sentences(ESSAY.text)
    assert len(found) == 8
    assert found[0] == "A lantern keeps the harbour safe when the night is dark and the harbour is busy."
    assert not [one for one in found if "`" in one or "light(" in one or "badge" in one or "#" in one]


def test_restructured_text_loses_its_roles_and_directives():
    text = """
Title of it
===========

.. code-block:: python

    hidden.code(that="must not be read as prose at all.")

Use :class:`~pkg.Thing` together with ``other.thing`` when the weather is bad outside.

.. image:: https://example.invalid/a.png
   :alt: this alternative text is no sentence of the document.
"""
    assert sentences(text) == ["Use pkg.Thing together with other.thing when the weather is bad outside."]


def test_key_terms_are_the_most_frequent_ones_that_mean_something():
    assert key_terms(ESSAY.text, 3) == ["lantern", "harbour", "keeper"]


def test_every_sentence_of_a_summary_stands_in_the_document_in_its_order():
    documents = installed_documents()
    assert len(documents) > 20
    for document in documents:
        body, summary = sentences(document.text), summarise(document.text, 3)
        places = [body.index(sentence) for sentence in summary]
        assert len(summary) == 3
        assert places == sorted(set(places)), document.title


def test_summaries_name_more_of_the_key_terms_than_the_first_sentences_do():
    named = {"summary": 0, "opening": 0}
    for document in installed_documents():
        wanted = set(key_terms(document.text, 10))
        named["opening"] += len(wanted & set(terms(" ".join(sentences(document.text)[:3]))))
        named["summary"] += len(wanted & set(terms(" ".join(summarise(document.text, 3)))))
    assert named["summary"] > 1.2 * named["opening"]


def test_a_summary_with_a_focus_speaks_of_it():
    assert missing(["ferry"], " ".join(summarise(ESSAY.text, 2))) == ["ferry"]
    assert missing(["ferry"], " ".join(summarise(ESSAY.text, 2, focus=["ferry"]))) == []


def test_a_text_without_prose_has_an_empty_summary():
    assert summarise("# only a title\n\n    code()\n", 3) == []
    assert key_terms("", 5) == []


def test_missing_topics_keep_their_order():
    assert missing(["fog", "bell", "moon"], "The bell rings.") == ["fog", "moon"]
