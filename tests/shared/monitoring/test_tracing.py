"""Traces: sent to a real receiver of OTLP, by an API and a worker."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from uuid import UUID

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from shared import tracing
from shared.errors import InvalidSettings
from shared.events import FoldRequest
from tests.api.answers import T0
from tests.conftest import ROOT
from tests.shared.monitoring.service import watched_service
from tests.worker.waiting import eventually


class Receiver(ThreadingHTTPServer):
    """Keeps the spans that it is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.spans: list[Any] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def named(self, name: str) -> list[Any]:
        return [span for span in self.spans if span.name == name]


class _Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def receiving() -> Iterator[Receiver]:
    with Receiver() as receiver:
        Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.shutdown()


def test_a_ride_is_one_trace_from_its_first_upload_to_its_fold(
    urls: Mapping[str, str], tmp_path: Path
) -> None:
    own = {**urls, "REDIS_URL": f"{urls['REDIS_URL']}?db=8"}
    upload, completion = "POST /api/workouts/{id}/telemetry", "POST /api/workouts/{id}/complete"
    with receiving() as receiver, pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        patch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        patch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
        with watched_service(own, tmp_path) as service:
            rides = [service.rider.start() for _ in range(2)]
            for ride in rides:
                for second in range(2):
                    samples = [{"timestamp": T0 + second * 1000, "power": 200}]
                    assert service.rider.upload(ride, samples).status_code == 202
                service.rider.complete(ride)
            eventually(lambda: len(receiver.named("fold")) >= 2)
            eventually(lambda: len(receiver.named(completion)) == 2)
            eventually(lambda: len(receiver.named("append to Redis")) == 4)
    for ride in rides:
        first, *others = spans_of(receiver, ride, upload)
        assert len(others) == 1
        (asking,) = spans_of(receiver, ride, completion)
        folds = spans_of(receiver, ride, "fold")
        trace = first.trace_id
        assert {each.trace_id for each in (*others, asking, *folds)} == {trace}
        assert asking.span_id in {fold.parent_span_id for fold in folds}
        appends = [each for each in receiver.named("append to Redis") if each.trace_id == trace]
        assert {each.parent_span_id for each in appends} == {first.span_id, others[0].span_id}
    assert len({span.trace_id for span in receiver.named(completion)}) == 2


def spans_of(receiver: Receiver, ride: str, name: str) -> list[Any]:
    return [
        span
        for span in receiver.named(name)
        if any(each.value.string_value == ride for each in span.attributes)
    ]


def test_an_event_of_a_trace_is_the_same_request() -> None:
    fields = {name.encode(): value.encode() for name, value in asked("00-1-2-01").items()}
    assert FoldRequest.from_fields(fields) == FoldRequest(RIDE)
    assert "traceparent" not in asked(None)


RIDE = UUID("6f1c1f0a-7f83-4d5e-9d55-0d5f6f0e8a11")


def asked(by: str | None) -> dict[str, str]:
    return FoldRequest(RIDE, by).fields()


ABSENT = """
import sys
class Absent:
    def find_spec(self, name, *_):
        if name.partition(".")[0] == "opentelemetry":
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import api.__main__, worker.__main__
from shared import tracing
tracing.start_tracing({}, "api")
with tracing.span("a step", "ride"):
    assert tracing.current() is None
assert not [name for name in sys.modules if name.startswith("opentelemetry")]
"""


def test_without_its_packages_everything_works_and_nothing_of_it_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", ABSENT], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_an_address_without_the_packages_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "find_spec", lambda _: None)
    with pytest.raises(InvalidSettings, match="install the extra `tracing`"):
        tracing.start_tracing({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}, "api")
