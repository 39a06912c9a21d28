"""The webhook requests of Prometheus Alertmanager, version 4: the fields that we read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.fields import InstantField, as_tuple

MAX_ALERTS = 200
"""Alerts per request. Set `max_alerts` in Alertmanager to it; it counts the alerts left out in `truncatedAlerts`."""
_StringMap = Annotated[dict[str, str], Field(max_length=200)]


class ExternalDocument(BaseModel):
    """A document that another system defines: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)


class Alert(ExternalDocument):
    """One alert. While it fires, `ends` has no meaning."""

    status: Literal["firing", "resolved"]
    labels: _StringMap = {}
    annotations: _StringMap = {}
    starts: InstantField = Field(alias="startsAt")
    ends: InstantField = Field(alias="endsAt")
    generator: str = Field("", alias="generatorURL")
    fingerprint: Annotated[str, StringConstraints(pattern="^[0-9a-f]{16}$")]


class Notification(ExternalDocument):
    """One request of the webhook: the alerts of a group, both new and repeated ones."""

    version: Literal["4"]
    group: str = Field(alias="groupKey")
    status: Literal["firing", "resolved"]
    receiver: str
    truncated: int = Field(0, alias="truncatedAlerts")
    alerts: Annotated[tuple[Alert, ...], as_tuple, Field(max_length=MAX_ALERTS)]
