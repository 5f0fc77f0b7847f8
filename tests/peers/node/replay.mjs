// Make the spans of OTLP/JSON files again, through OpenTelemetry's SDK for Node.js, and export them.
// usage: node replay.mjs proto|json URL FILE...
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { ROOT_CONTEXT, trace } from "@opentelemetry/api";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider, BatchSpanProcessor } from "@opentelemetry/sdk-trace-base";

const [encoding, url, ...files] = process.argv.slice(2);
const { OTLPTraceExporter } = await import(
  encoding === "proto" ? "@opentelemetry/exporter-trace-otlp-proto" : "@opentelemetry/exporter-trace-otlp-http"
);

const SECOND_NS = 1_000_000_000n;

/** Gives out the ids that the spans had. */
class KnownIds {
  generateTraceId = () => this.next.traceId;
  generateSpanId = () => this.next.spanId;
}

const valueOf = ({ stringValue, intValue, doubleValue, boolValue, arrayValue }) =>
  arrayValue ? (arrayValue.values ?? []).map(valueOf) : (stringValue ?? boolValue ?? Number(intValue ?? doubleValue));
const attributesOf = (pairs = []) => Object.fromEntries(pairs.map(({ key, value }) => [key, valueOf(value)]));
const timeOf = (ns) => [Number(BigInt(ns) / SECOND_NS), Number(BigInt(ns) % SECOND_NS)];

function contextOf({ traceId, parentSpanId }) {
  return parentSpanId
    ? trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId: parentSpanId, traceFlags: 1 })
    : ROOT_CONTEXT;
}

function replay(tracer, span) {
  const kind = Math.max((span.kind ?? 1) - 1, 0); // OTLP's 0 is "unspecified", the SDK's is "internal"
  const options = { kind, startTime: timeOf(span.startTimeUnixNano), attributes: attributesOf(span.attributes) };
  const made = tracer.startSpan(span.name, options, contextOf(span));
  for (const { name, attributes, timeUnixNano } of span.events ?? []) {
    made.addEvent(name, attributesOf(attributes), timeOf(timeUnixNano));
  }
  if (span.status) made.setStatus(span.status);
  made.end(timeOf(span.endTimeUnixNano));
}

function documentsOf(file) {
  const bytes = readFileSync(file);
  const text = (file.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  return file.includes(".jsonl") ? text.trim().split("\n").map(JSON.parse) : [JSON.parse(text)];
}

const exporter = new OTLPTraceExporter({ url });
const processor = new BatchSpanProcessor(exporter, { maxQueueSize: 100_000, maxExportBatchSize: 200 });
const idGenerator = new KnownIds();
for (const { resource, scopeSpans } of files.flatMap(documentsOf).flatMap((document) => document.resourceSpans)) {
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes(attributesOf(resource.attributes)),
    spanProcessors: [processor],
    spanLimits: { attributeCountLimit: 1000 },
    idGenerator,
  });
  for (const { scope, spans } of scopeSpans) {
    const tracer = provider.getTracer(scope?.name ?? "", scope?.version);
    for (const span of spans) {
      idGenerator.next = span;
      replay(tracer, span);
    }
  }
}
await processor.shutdown();
