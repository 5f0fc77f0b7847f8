import asyncio
import json
from collections import Counter, defaultdict

import pytest
from opentelemetry.trace import StatusCode

from ihobs.demo.extract import sentences
from ihobs.demo.faults import CONDITIONS, RateLimitedError, ServiceError, ServiceUnavailableError
from ihobs.demo.graph import MAX_ATTEMPTS, MAX_DRAFTS

from .conftest import ESSAY


def process_all(orchestrator, library):
    """Process every document; return the insights and the errors."""
    insights, errors = [], []
    for content in library.contents:
        try:
            insights.append(orchestrator.process_content(content))
        except ServiceError as error:
            errors.append(error)
    return insights, errors


def metadata(span):
    return json.loads(span.attributes["metadata"])


def is_node(span):
    return metadata(span).get("langgraph_node") == span.name


def test_an_insight_is_made_of_the_document_and_of_related_ones(orchestrator):
    insight = orchestrator.process_content(ESSAY)
    assert insight.title == "lanterns"
    assert set(insight.topics) >= {"lantern", "harbour"}
    assert set(insight.summary) <= set(sentences(ESSAY.text))
    assert insight.approved
    assert "lanterns" not in {passage.title for passage in insight.related}


def test_the_same_document_gives_the_same_insight(orchestrator):
    assert orchestrator.process_content(ESSAY) == orchestrator.process_content(ESSAY)


def test_the_asynchronous_way_gives_the_same_insight(orchestrator):
    assert asyncio.run(orchestrator.aprocess_content(ESSAY)) == orchestrator.process_content(ESSAY)


def test_some_drafts_are_sent_back_and_none_for_ever(orchestrator, library):
    insights, errors = process_all(orchestrator, library)
    drafts = Counter(insight.drafts for insight in insights)
    assert errors == []
    assert drafts[1] > drafts[2] > 0
    assert max(drafts) <= MAX_DRAFTS
    assert all(insight.approved or insight.drafts == MAX_DRAFTS for insight in insights)


def test_with_errors_some_runs_fail_for_good_and_others_recover(orchestrator, services, library, spans):
    services.conditions = CONDITIONS["errors"]
    insights, errors = process_all(orchestrator, library)
    assert 0.15 < len(errors) / len(library.contents) < 0.6
    assert {type(error) for error in errors} == {ServiceUnavailableError}
    attempts = defaultdict(list)
    for span in sorted(spans(), key=lambda span: span.start_time):
        if is_node(span):
            key = span.context.trace_id, metadata(span)["langgraph_checkpoint_ns"]
            attempts[key].append(span.status.status_code)
    recovered = [codes for codes in attempts.values() if len(codes) > 1 and codes[-1] == StatusCode.OK]
    lost = [codes for codes in attempts.values() if codes == [StatusCode.ERROR] * MAX_ATTEMPTS]
    assert len(recovered) > len(insights) / 4
    assert len(lost) == len(errors)


def test_a_slow_provider_fails_nothing_and_takes_half_a_second_a_request(orchestrator, services, naps):
    services.conditions = CONDITIONS["slow"]
    orchestrator.process_content(ESSAY)
    assert naps.count(0.5) == 5  # outline, draft, review and two searches
    assert sum(naps) > 2.5


def test_the_cost_fault_moves_to_a_model_that_costs_a_hundred_times_as_much(orchestrator, services, spans):
    orchestrator.process_content(ESSAY)
    services.conditions = CONDITIONS["cost"]
    orchestrator.process_content(ESSAY)
    models = [span.attributes.get("llm.model_name") for span in spans() if span.name == "ChatGateway"]
    assert models == ["gpt-4o-mini"] * 3 + ["o1"] * 3


def test_a_used_up_quota_is_answered_with_429(orchestrator, services, library):
    services.conditions = CONDITIONS["quota"]
    _, errors = process_all(orchestrator, library)
    assert {type(error) for error in errors} == {RateLimitedError}


def test_openinference_sees_nodes_tools_models_and_usage(orchestrator, spans):
    orchestrator.process_content(ESSAY)
    found = {span.name: span for span in spans()}
    assert [span.name for span in spans() if is_node(span)] == ["outline", "research", "draft", "review", "publish"]
    assert found["InsightHub"].parent is None
    assert found["search_library"].attributes["openinference.span.kind"] == "TOOL"
    model = found["ChatGateway"].attributes
    assert (model["llm.provider"], model["llm.model_name"]) == ("openai", "gpt-4o-mini")
    assert model["llm.token_count.prompt"] > 300
    assert model["llm.token_count.completion"] >= 1


def test_a_bug_of_the_orchestrator_is_not_tried_again(orchestrator, services, monkeypatch):
    requests = []
    monkeypatch.setattr(services, "request", lambda: requests.append(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        orchestrator.process_content(ESSAY)
    assert len(requests) == 1
