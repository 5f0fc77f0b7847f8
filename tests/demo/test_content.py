from ihobs.demo.content import MAX_CHARACTERS, MIN_SENTENCES, Library, installed_documents
from ihobs.demo.extract import sentences

from .conftest import ESSAY


def test_the_documents_are_those_of_installed_packages():
    documents = {document.title.lower(): document for document in installed_documents()}
    assert "langgraph" in documents
    assert "LangGraph" in documents["langgraph"].text
    assert list(documents) == sorted(documents)
    assert all(len(one.text) <= MAX_CHARACTERS for one in documents.values())
    assert all(len(sentences(one.text)) >= MIN_SENTENCES for one in documents.values())


def test_a_search_finds_a_passage_of_each_other_document(library):
    found = library.search("Retries", outside="stamina")
    titles = [passage.title for passage in found]
    assert 0 < len(found) <= 3
    assert len(set(titles)) == len(titles)
    assert "stamina" not in titles
    assert all("retries" in passage.sentence.lower() for passage in found)


def test_a_search_for_a_word_that_nobody_uses_finds_nothing():
    assert Library([ESSAY]).search("xylophone", outside="") == []
    assert Library([ESSAY]).search("lantern", outside="lanterns") == []
