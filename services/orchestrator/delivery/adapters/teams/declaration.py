"""The adapter `teams`."""

from collections.abc import Mapping
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section
from services.orchestrator.delivery.adapters.named_webhooks import parse_webhooks

HOSTS: Final = ("logic.azure.com", "powerplatform.com")
"""The domains of workflows. The connectors of `webhook.office.com` have been switched off."""


def read_workflows(text: SecretStr | None) -> Mapping[str, str]:
    """What follows `https://` of each workflow's URL, by name. Raises ValueError, which repeats no URL."""
    return {name: _read_workflow(name, url) for name, url in parse_webhooks(text).items()}


def _read_workflow(name: str, url: str) -> str:
    try:
        parts = urlsplit(url)
        is_known = (parts.hostname or "").endswith(tuple(f".{host}" for host in HOSTS)) and parts.port in (None, 443)
    except ValueError:
        is_known = False
    if not is_known or parts.scheme != "https" or "@" in parts.netloc or not url.isascii() or not url.isprintable():
        raise ValueError(f"`{name}` is no workflow of Teams: an https URL at {' or '.join(HOSTS)}")
    return f"{parts.hostname}{parts.path}?{parts.query}"


def _check_workflows(text: SecretStr) -> SecretStr:
    read_workflows(text)
    return text


class TeamsSettings(Section):
    """Workflows by name. `url`: for tests, what is called in place of the workflows' own hosts."""

    webhooks: Annotated[SecretStr, AfterValidator(_check_workflows)] | None = None
    url: str | None = None


def _check_teams(settings: TeamsSettings) -> SettingsCheck:
    count = len(read_workflows(settings.webhooks))
    if not count:
        return SettingsCheck("teams without a workflow", "set TACTFUL_TEAMS__WEBHOOKS")
    return SettingsCheck(f"teams, workflows: {count}" + (f", at {settings.url}" if settings.url else ""))


DECLARATION: Final = AdapterDeclaration(
    id="teams",
    order=62,
    summary="",
    channels=frozenset({"chat"}),
    is_addressed=True,
    settings=TeamsSettings,
    sample=(
        "The adapter teams (docs/adapters/teams.md): JSON of names and URLs of workflows (When a Teams webhook request",
        'is received), such as {"support": "https://...logic.azure.com/..."}. The URLs are secrets. The setting URL is',
        "for tests alone.",
    ),
    check=_check_teams,
)
