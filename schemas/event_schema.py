"""The JSON Schema of a customer event, whose model is a msgspec struct with a check of its own: written by hand."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.ids import MAX_ID_BYTES

TIME: Final = {"type": "string", "format": "date-time"}
ID: Final = {"type": "string", "minLength": 1, "maxLength": MAX_ID_BYTES}


def object_schema(properties: Mapping[str, Any], required: tuple[str, ...] | None = None) -> dict[str, Any]:
    """The schema of an object; without `required`, all properties are."""
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties) if required is None else list(required),
    }


def event_schema() -> dict[str, Any]:
    """The schema of an event."""
    properties = {
        "specversion": {"const": "1.0"},
        "id": ID,
        "source": ID,
        "type": ID,
        "subject": {**ID, "description": "The customer's id; the record's key in the log."},
        "time": {**TIME, "description": "When it happened: RFC 3339 with a zone."},
        "data": {"type": ["object", "null"]},
        "expirytime": {**TIME, "description": "No message is sent for this event from then on."},
        "traceparent": {"type": ["string", "null"], "description": "A W3C trace context."},
        "data_base64": False,
    }
    required = ("specversion", "id", "source", "type", "subject", "time")
    return object_schema(properties, required)
