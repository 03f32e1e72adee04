/**
 * Metrics in Prometheus's text format. Labels are of few values (endpoint, method, status): never a repository, which would
 * tell of it and grow without end.
 *
 * @see https://prometheus.io/docs/instrumenting/exposition_formats/
 */
import type { HttpHandler } from "../../host/host.ts";
import type { LogEntry } from "../answering.ts";

export interface Metrics {
  /** Counts what is being answered. */
  counting(handler: HttpHandler): HttpHandler;
  observe(entry: LogEntry): void;
  /** Values that are read when the text is made; `help` is one line. */
  gauge(name: string, help: string, read: () => number): void;
  /** A counter; `add` one more. */
  counter(name: string, help: string): { add(): void };
  text(): string;
}

const BUCKETS_SEC = [0.001, 0.005, 0.025, 0.1, 0.5, 2.5, 10, 60];
const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]);

interface EndpointCounts {
  /** By method and status. */
  readonly requests: Map<string, Map<number, number>>;
  readonly histogram: Histogram;
}

interface Histogram {
  readonly buckets: number[];
  sum: number;
  count: number;
}

export function createMetrics(): Metrics {
  const endpoints = new Map<string, EndpointCounts>();
  const single: { name: string; help: string; type: "gauge" | "counter"; read: () => number }[] = [];
  let running = 0;
  const metrics: Metrics = {
    counting: (handler) => async (request, peer) => {
      running += 1;
      try {
        return await handler(request, peer);
      } finally {
        running -= 1;
      }
    },
    observe(entry) {
      const { requests, histogram } = endpoints.getOrInsertComputed(endpointOf(entry), newCounts);
      const method = METHODS.has(entry.method) ? entry.method : "other";
      const statuses = requests.getOrInsertComputed(method, () => new Map());
      statuses.set(entry.status, (statuses.get(entry.status) ?? 0) + 1);
      const tookSec = entry.tookMs / 1000;
      histogram.sum += tookSec;
      histogram.count += 1;
      const index = BUCKETS_SEC.findIndex((limit) => tookSec <= limit);
      if (index >= 0) histogram.buckets[index] = (histogram.buckets[index] ?? 0) + 1;
    },
    gauge: (name, help, read) => void single.push({ name, help, type: "gauge", read }),
    counter(name, help) {
      let value = 0;
      single.push({ name, help, type: "counter", read: () => value });
      return { add: () => void (value += 1) };
    },
    text() {
      const lines = [
        ...head("berth_registry_requests_total", "Requests answered", "counter"),
        ...[...endpoints].flatMap(([endpoint, { requests }]) => requestLines(endpoint, requests)),
        ...head("berth_registry_request_seconds", "Time from a request to the head of its answer", "histogram"),
        ...[...endpoints].flatMap(([endpoint, { histogram }]) => histogramLines(endpoint, histogram)),
        ...single.flatMap(({ name, help, type, read }) => [...head(name, help, type), `${name} ${read()}`]),
      ];
      return `${lines.join("\n")}\n`;
    },
  };
  metrics.gauge("berth_registry_requests_in_flight", "Requests being answered", () => running);
  return metrics;
}

function newCounts(): EndpointCounts {
  return { requests: new Map(), histogram: { buckets: BUCKETS_SEC.map(() => 0), sum: 0, count: 0 } };
}

function endpointOf({ route, target }: LogEntry): string {
  if (route !== undefined) return route.kind;
  return /^\/token(\?|$)/.test(target) ? "token" : "other";
}

function head(name: string, help: string, type: string): string[] {
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`];
}

function requestLines(endpoint: string, requests: EndpointCounts["requests"]): string[] {
  return [...requests].flatMap(([method, statuses]) =>
    [...statuses].map(
      ([status, count]) =>
        `berth_registry_requests_total{endpoint="${endpoint}",method="${method}",status="${status}"} ${count}`,
    ),
  );
}

function histogramLines(endpoint: string, { buckets, sum, count }: Histogram): string[] {
  const name = "berth_registry_request_seconds";
  let total = 0;
  const lines = BUCKETS_SEC.map((limit, index) => {
    total += buckets[index] ?? 0;
    return `${name}_bucket{endpoint="${endpoint}",le="${limit}"} ${total}`;
  });
  return [
    ...lines,
    `${name}_bucket{endpoint="${endpoint}",le="+Inf"} ${count}`,
    `${name}_sum{endpoint="${endpoint}"} ${sum}`,
    `${name}_count{endpoint="${endpoint}"} ${count}`,
  ];
}
