"""InsightHub without waiting: services and a model whose sleep is recorded, and a small library of real text."""

import pytest
from openinference.instrumentation.langchain import LangChainInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ihobs.demo.content import Content, Library, installed_documents
from ihobs.demo.faults import Services
from ihobs.demo.gateway import connect
from ihobs.demo.orchestrator import Orchestrator

ESSAY = Content(
    "lanterns",
    """# Lanterns

![badge](https://example.invalid/x.svg)

A lantern keeps the harbour safe when the night is dark and the harbour is busy.
Every harbour that has a lantern also has a keeper who trims the lantern at dusk.
The keeper writes the weather into a book, and the book is read by captains.
Captains who read the book of the keeper know which harbour has a safe lantern.

```python
lantern.light(harbour)
```

A ferry that leaves the harbour before dusk does not need the lantern at all.
Fog is the enemy of captains, because fog hides the lantern and the harbour alike.
In fog the keeper rings a bell, and captains steer by the bell of the keeper.
The bell was a gift of the ferry company, which lost two ferries in the fog.
""",
)


@pytest.fixture(scope="session")
def library():
    return Library([ESSAY, *installed_documents()])


@pytest.fixture
def naps():
    """The seconds that InsightHub would have slept."""
    return []


@pytest.fixture
def services(naps):
    return Services(sleep=naps.append)


@pytest.fixture
def orchestrator(library, services):
    return Orchestrator(connect("local", services, {}), library, services, retry_interval_s=0.0)


@pytest.fixture
def spans():
    """The spans that OpenInference makes of what runs in the test."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    LangChainInstrumentor().instrument(tracer_provider=provider, skip_dep_check=True)
    yield exporter.get_finished_spans
    LangChainInstrumentor().uninstrument()
    provider.shutdown()
