"""Secrets and personal data that mean nothing to anybody, and messages with one in every part that can hold text.

The keys are put together here, so that no scanner of repositories takes them for real ones.
"""

from google.protobuf.descriptor import FieldDescriptor
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from ihobs.redact.keys import _shipped_table
from ihobs.spans.dialects import shipped_dialects

LETTERS = "aB3dE6gH1jK4mN7pQ0sT2vW5yZ8"
B40 = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYzzzzzzzKEY"

SECRETS = {
    "openai-key": "sk-" + "proj-" + LETTERS,
    "anthropic-key": "sk-" + "ant-api03-" + LETTERS,
    "langsmith-key": "lsv2" + "_pt_" + LETTERS,
    "langfuse-key": "sk-" + "lf-1234abcd-56ef-7890-abcd-1234567890ab",
    "aws-key": "AKIA" + "IOSFODNN7EXAMPL2",
    "github-token": "ghp" + "_" + LETTERS + "12345",
    "github-token fine": "github" + "_pat_" + LETTERS,
    "gitlab-token": "glpat" + "-" + LETTERS,
    "slack-token": "xoxb" + "-1234567890-" + LETTERS,
    "google-key": "AIza" + LETTERS + "12345678",
    "stripe-key": "sk" + "_live_" + LETTERS,
    "jwt": "eyJ" + "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "provider-key": "gsk" + "_" + LETTERS,
    "private-key": "-----BEGIN RSA " + "PRIVATE KEY-----\nMIIEow" + LETTERS + "\n-----END RSA " + "PRIVATE KEY-----",
    "bearer-token": "Authorization: Bearer " + "tok." + LETTERS,
    "basic-auth": "Authorization: Basic " + "dXNlcjpodW50ZXIyMg==",
    "url-password": "postgres://admin:" + "hunter2hunter2@db.internal/app",
    "assigned-password": "password=" + "hunter2hunter2",
    "assigned-key": '"api_key": "' + "0f1e2d3c4b5a69788796" + '"',
    "aws-secret": "aws_secret_access_key = " + B40,
}
"""Kind of finding (up to a blank) -> a text with it."""

PERSONAL = {
    "email": "alice.liddell@wonderland.org",
    "email encoded": "alice.liddell%40wonderland.org",
    "phone": "+49 30 901820",
    "phone national": "(415) 555-2671",
    "phone labelled": "phone: 030 901820",
    "card-number": "4111 1111 1111 1111",
    "card-number plain": "5555555555554444",
    "iban": "DE89 3704 0044 0532 0130 00",
    "iban plain": "GB82WEST12345698765432",
    "ipv4": "203.0.113.77",
    "ipv6": "2001:db8:85a3::8a2e:370:7334",
}

HEARTS = {
    **{kind: text.rpartition(" ")[2] for kind, text in SECRETS.items()},
    "private-key": "MIIEow" + LETTERS,
    "basic-auth": "dXNlcjpodW50ZXIyMg",
    "url-password": "hunter2hunter2",
    "assigned-password": "hunter2hunter2",
    "assigned-key": "0f1e2d3c4b5a69788796",
    "aws-secret": B40,
    **PERSONAL,
    "phone labelled": "030 901820",
}
"""What of each text must not be left."""

ALL = {**SECRETS, **PERSONAL}

_LEFT = {"trace_id", "span_id", "parent_span_id", "key"}
"""Fields in which nothing is planted: ids, and keys, so that the tables still know them."""


def keys_of_every_dialect():
    """Yield every key that the tables know, an index for each `*`, and some that nobody knows."""
    table = _shipped_table()
    named = [key for keys in table["content"].values() for key in keys]
    named += [*table["kept"], *table["failures"], *table["secret"], *table["kept_in_events"]]
    named += [f"langsmith.metadata.{name}" for name in table["kept_metadata"]]
    named += [*shipped_dialects().sources, "session.id", "user.id", "http.url", "my.own.key"]
    return sorted({key.replace("*", "0").rstrip(".") for key in named})


def plant(message, text):
    """Append `text` to every text of a message, and below, whatever the field is called."""
    for field in message.DESCRIPTOR.fields:
        if field.name in _LEFT:
            continue
        repeated = field.is_repeated
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            if repeated:
                for item in getattr(message, field.name):
                    plant(item, text)
            elif message.HasField(field.name):
                plant(getattr(message, field.name), text)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            _plant_scalar(message, field, repeated, text)


def _plant_scalar(message, field, repeated, text):
    value = text if field.type == FieldDescriptor.TYPE_STRING else text.encode()
    space = " " if field.type == FieldDescriptor.TYPE_STRING else b" "
    if repeated:
        getattr(message, field.name).extend([value])
    elif field.containing_oneof is None or message.WhichOneof(field.containing_oneof.name) == field.name:
        setattr(message, field.name, getattr(message, field.name) + space + value)


def value_of(content):
    """Return a value: a text, bytes, a list or a mapping of such."""
    value = AnyValue()
    if isinstance(content, str):
        value.string_value = content
    elif isinstance(content, bytes):
        value.bytes_value = content
    elif isinstance(content, dict):
        value.kvlist_value.values.extend(KeyValue(key=key, value=value_of(item)) for key, item in content.items())
    elif isinstance(content, list):
        value.array_value.values.extend(map(value_of, content))
    else:
        setattr(value, {bool: "bool_value", int: "int_value", float: "double_value"}[type(content)], content)
    return value


def request_with_everything(text, *, every=1):
    """Return a request with one span for each (`every` = 1) dialect's key, and `text` in every part that exists."""
    request = ExportTraceServiceRequest()
    resource_spans = request.resource_spans.add(schema_url="https://opentelemetry.io/schemas/1.27.0")
    resource_spans.resource.attributes.add(key="service.name").value.string_value = "svc"
    resource_spans.resource.entity_refs.add(schema_url="u", type="service", id_keys=["a"], description_keys=["b"])
    scope_spans = resource_spans.scope_spans.add(schema_url="u")
    scope_spans.scope.name, scope_spans.scope.version = "scope", "1"
    scope_spans.scope.attributes.add(key="a").value.string_value = "x"
    for number, key in enumerate(keys_of_every_dialect()[::every], 1):
        _add_span(scope_spans, number, key, text)
    plant(request, text)
    scope_spans.spans[0].attributes.add(key=f"of {text}").value.int_value = 1
    unknown = text.encode()[:10_000]
    length = bytes([len(unknown) & 0x7F | 0x80, len(unknown) >> 7])
    resource_spans.MergeFromString(b"\xfa\x3f" + length + unknown)  # field 1023, which nobody knows
    return request


def _add_span(scope_spans, number, key, text):
    span = scope_spans.spans.add(
        trace_id=b"t" * 16, span_id=number.to_bytes(8, "big"), name="span", trace_state="a=b",
        start_time_unix_nano=10**18, end_time_unix_nano=10**18 + number,
    )  # fmt: skip
    span.status.code, span.status.message = 2, "ValueError: it said"
    shapes = [
        "text", text, f'{{"note": "{text}", "langgraph_node": "draft"}}', b"\xff\xfe bytes",
        ["a", ["b"]], {"m": {"n": "o"}, "password": "x", text: 1},
    ]  # fmt: skip
    span.attributes.add(key=key).value.CopyFrom(value_of(shapes[number % len(shapes)]))
    span.attributes.add(key=f"{key}.x").value.CopyFrom(value_of(shapes[(number + 1) % len(shapes)]))
    for name in ("exception", "gen_ai.choice", "log"):
        event = span.events.add(name=name)
        for inner in ("exception.type", "exception.message", "exception.stacktrace", "content", key):
            event.attributes.add(key=inner).value.string_value = text
    link = span.links.add(trace_id=b"l" * 16, span_id=b"linklink", trace_state="c=d")
    link.attributes.add(key=key).value.string_value = text
