"""A collector of traces: takes OTLP over HTTP on loopback, and keeps the spans."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class ReceivedSpan(NamedTuple):
    """A span as the collector got it, with ids in hexadecimal digits; `parent` is empty for a root."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    links: tuple[tuple[str, str], ...]
    attributes: dict[str, Any]
    began: int
    ended: int
    failure: str | None

    @property
    def traceparent(self) -> str:
        """What names the span to others."""
        return f"00-{self.trace}-{self.id}-01"


class Collector:
    """What has arrived. `status`: with which it answers."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.spans: list[ReceivedSpan] = []
        self.requests = 0
        self.status = 200

    def take(self, body: bytes) -> None:
        """Keep the spans of a request."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            for scope in resource.scope_spans:
                self.spans += [_read(service, each) for each in scope.spans]

    def named(self, name: str) -> list[ReceivedSpan]:
        """The spans with this name."""
        return [each for each in self.spans if each.name == name]


def _read(service: str, span: Any) -> ReceivedSpan:
    links = tuple((each.trace_id.hex(), each.span_id.hex()) for each in span.links)
    failure = span.status.message if span.status.code == span.status.STATUS_CODE_ERROR else None
    return ReceivedSpan(
        *(service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), links),
        *(_values(span.attributes), span.start_time_unix_nano, span.end_time_unix_nano, failure),
    )


def _values(attributes: Any) -> dict[str, Any]:
    return {each.key: _value(each.value) for each in attributes}


def _value(value: Any) -> Any:
    kind = value.WhichOneof("value")
    return [_value(each) for each in value.array_value.values] if kind == "array_value" else getattr(value, kind)


@contextmanager
def collector() -> Iterator[Collector]:
    """A collector that runs."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.requests += 1
            if self.path == "/v1/traces" and found.status == 200:
                found.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(found.status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
