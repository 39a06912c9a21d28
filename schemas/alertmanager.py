"""What Prometheus Alertmanager posts to a webhook, version 4, as far as we read it."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from schemas.fields import InstantField, as_tuple

MAX_ALERTS = 200
"""Alerts of one request. Alertmanager's `max_alerts` keeps to it; what it cut away it counts in `truncatedAlerts`."""
_StringMap = Annotated[dict[str, str], Field(max_length=200)]


class ExternalDocument(BaseModel):
    """A form that others write: fields that we do not know are theirs."""

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
    """One request of the webhook: alerts of a group, new and repeated ones."""

    version: Literal["4"]
    group: str = Field(alias="groupKey")
    status: Literal["firing", "resolved"]
    receiver: str
    truncated: int = Field(0, alias="truncatedAlerts")
    alerts: Annotated[tuple[Alert, ...], as_tuple, Field(max_length=MAX_ALERTS)]
