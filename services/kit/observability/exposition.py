"""The text of `/metrics`: OpenMetrics, or the older text format of Prometheus for who asks for that alone."""

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

from services.kit.observability.metrics import Registry

_OPENMETRICS = "application/openmetrics-text"


def render_metrics(registry: Registry, accept: str) -> tuple[bytes, str]:
    """Returns the metrics and their media type for an `Accept` header.

    Only OpenMetrics carries exemplars, so it is the form for everybody who takes it, and for who names no form.
    """
    accepted = {item.partition(";")[0].strip().lower() for item in accept.split(",")}
    if _OPENMETRICS not in accepted and accepted & {"text/plain", "text/*"}:
        return generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4
    return openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST  # type: ignore[no-untyped-call]
