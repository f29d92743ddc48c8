"""Traces by OpenTelemetry, where an address to send them to is named; else this does nothing.

All that happens to a ride is one trace, from its uploads to its folds, in whatever process: the
trace's id is made from the ride's. The event that asks for a fold says which request asked.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from hashlib import blake2b
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from shared.errors import InvalidSettings

if TYPE_CHECKING:  # the extra `tracing`, which need not be installed
    from opentelemetry.sdk.trace.id_generator import IdGenerator
    from opentelemetry.trace import Tracer

_ADDRESSES: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_NOTHING: Final = nullcontext()
_ride: ContextVar[str | None] = ContextVar("ride", default=None)
_tracer: "Tracer | None" = None  # one a process, as of the logs


def start_tracing(environ: Mapping[str, str], process: str) -> None:
    """Send traces where the standard's variables say; without an address, none are made.

    Raises InvalidSettings if there is an address, and the packages are not installed.
    """
    named = [key for key in _ADDRESSES if environ.get(key)]
    if not named:
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise InvalidSettings(f"{named[0]} needs OpenTelemetry: install the extra `tracing`")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    name = environ.get("OTEL_SERVICE_NAME") or f"bike-power-tracker-{process}"
    provider = TracerProvider(
        resource=Resource.create({"service.name": name}), id_generator=_ids_of_rides()
    )
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    global _tracer
    _tracer = provider.get_tracer("bike-power-tracker")


def is_on() -> bool:
    """Whether traces are made in this process."""
    return _tracer is not None


def span(
    name: str, ride: UUID | str | None = None, asked_by: str | None = None
) -> AbstractContextManager[Any]:
    """A step for as long as the block lasts, within the step that is under way if there is one.

    ``ride``: whose trace it begins or goes on with. ``asked_by``: the ``current`` step of another
    process.
    """
    return _NOTHING if _tracer is None else _started(_tracer, name, ride, asked_by)


def current() -> str | None:
    """The step under way, for another process to go on with: the standard's `traceparent`."""
    if _tracer is None:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent")


def _started(
    tracer: "Tracer", name: str, ride: UUID | str | None, asked_by: str | None
) -> AbstractContextManager[Any]:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    parent = {"traceparent": asked_by}
    context = TraceContextTextMapPropagator().extract(parent) if asked_by else None
    about = {"bpt.workout": str(ride)} if ride else None
    token = _ride.set(str(ride) if ride else None)
    try:
        begun = tracer.start_span(name, context, attributes=about)
    finally:
        _ride.reset(token)
    from opentelemetry.trace import use_span

    return use_span(begun, end_on_exit=True)


def _ids_of_rides() -> "IdGenerator":
    from opentelemetry.sdk.trace.id_generator import RandomIdGenerator

    class OfRides(RandomIdGenerator):
        """A hash, as samplers take an id for a random number, which a UUID is not throughout."""

        def generate_trace_id(self) -> int:
            ride = _ride.get()
            if ride is None:
                return super().generate_trace_id()
            return int.from_bytes(blake2b(ride.lower().encode(), digest_size=16).digest())

    return OfRides()
