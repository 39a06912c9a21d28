"""The steps that `apply` takes with a version of a campaign or of the policy: submit, approve, activate."""

from collections.abc import Mapping
from typing import Any

from tactful.connection import connect, connect_dev
from tactful.output import print_message

REMAINING_STEPS: Mapping[str, tuple[str, ...]] = {
    "draft": ("submit", "approve", "activate"),
    "submitted": ("approve", "activate"),
    "approved": ("activate",),
    "shadow": ("activate",),
    "paused": ("activate",),
}
"""The actions that lead from a status to `active`, in order. From any other status none do."""

ACTIVATE_HINT = "apply without --activate and have somebody else approve it; or set TACTFUL_DATA_DIR"


def is_active_or_pending(version: Mapping[str, Any]) -> bool:
    """Whether this version is, or may become, the active one. If not, the same document needs a new version."""
    return version["status"] in {*REMAINING_STEPS, "active"}


def advance_version(path: str, version: dict[str, Any], activate: bool, reason: str | None) -> dict[str, Any]:
    """Submit; with `activate` also approve, as the reviewer of `tactful dev`, and activate. Returns the version."""
    body = {"reason": reason} if reason else {}
    for step in REMAINING_STEPS.get(version["status"], ()):
        if step != "submit" and not activate:
            break
        if step == "approve":
            with connect_dev("reviewer", "`--activate`", ACTIVATE_HINT) as reviewer:
                version = reviewer.post(f"{path}/{step}", body)
        else:
            with connect() as api:
                version = api.post(f"{path}/{step}", body)
    return version


def print_status(name: str, version: Mapping[str, Any], changed: bool) -> None:
    """Print the status of a version."""
    print_message(f"{name} version {version['version']}: {'' if changed else 'unchanged, '}{version['status']}")
