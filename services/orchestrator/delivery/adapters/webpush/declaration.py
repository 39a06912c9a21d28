"""The adapter `webpush`."""

import re
from typing import Annotated, Final
from urllib.parse import urlsplit

from pydantic import AfterValidator, SecretStr

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.section import Section

_MAILBOX: Final = re.compile(r"[!-?A-~]+@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
_NOT_PUBLIC: Final = frozenset({"local", "localhost", "invalid", "internal", "test", "example"})


def _check_subject(subject: str) -> str:
    """Apple refuses every message whose subject is no real address: BadJwtToken."""
    scheme, _, rest = subject.partition(":")
    if scheme == "mailto":
        mailbox = _MAILBOX.fullmatch(rest)
        host = mailbox[1] if mailbox else ""
    else:
        host = (urlsplit(subject).hostname or "") if scheme == "https" and subject.isascii() else ""
    if "." not in host or host.rpartition(".")[2].lower() in _NOT_PUBLIC:
        raise ValueError("write mailto:somebody@your.domain or https://your.domain, where push services can reach you")
    return subject


class WebpushSettings(Section):
    """The VAPID key that subscriptions are made for, and where push services reach its owner."""

    private_key: SecretStr | None = None
    subject: Annotated[str, AfterValidator(_check_subject)] | None = None


def _check_vapid_settings(settings: WebpushSettings) -> SettingsCheck:
    missing = [name for name in ("private_key", "subject") if getattr(settings, name) is None]
    if missing:
        variables = " and ".join(f"TACTFUL_WEBPUSH__{name.upper()}" for name in missing)
        return SettingsCheck(f"webpush without {' and '.join(missing)}", f"set {variables}")
    return SettingsCheck(f"webpush, in the name of {settings.subject}")


DECLARATION: Final = AdapterDeclaration(
    id="webpush",
    order=42,
    summary="",
    channels=frozenset({"web_push"}),
    settings=WebpushSettings,
    sample=(
        "The adapter webpush (docs/adapters/webpush.md): the private VAPID key (P-256) that your web site's",
        "subscriptions were made for, as PEM or as 32 bytes in base64url, and a mailto: or https: address of yours.",
    ),
    check=_check_vapid_settings,
)
