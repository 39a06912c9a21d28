"""Starts tracing where the settings ask for it."""

from services.kit.observability.build_info import VERSION
from services.kit.observability.metrics import Registry, counter
from services.kit.observability.tracer import Tracer
from services.kit.runtime.settings import SettingsError, TracesSettings


def start_tracing(settings: TracesSettings, service: str, registry: Registry) -> Tracer | None:
    """The tracer of a service; None where nothing is to be recorded. Raises SettingsError without the packages."""
    spans = counter(
        registry, "trace_spans_total", "Spans that were recorded, by result", {"result": ("sent", "dropped")}
    )
    if settings.endpoint is None:
        return None
    try:
        from services.kit.observability.span_exporter import OtlpSpans
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"TACTFUL_TRACES__ENDPOINT is set, and the package `{error.name}` is missing: install `tactful[otel]`"
        ) from None
    return Tracer(OtlpSpans(settings.endpoint, service, VERSION, spans), settings.share)
