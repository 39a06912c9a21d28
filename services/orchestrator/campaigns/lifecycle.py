"""The life of a version: one table says which action leads from which status to which.

draft -> submitted -> approved (-> shadow) -> active <-> paused -> stopped, and back to draft by reject. A version that
another one takes the place of is replaced. Pure: whoever acts keeps the rows.
"""

from enum import StrEnum

from schemas.vocabulary import CampaignStatus as Status
from services.kit.errors import Conflict, Forbidden


class Action(StrEnum):
    """What people do to a version."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    SHADOW = "shadow"
    ACTIVATE = "activate"
    PAUSE = "pause"
    STOP = "stop"


CAMPAIGN: dict[tuple[Status, Action], Status] = {
    (Status.DRAFT, Action.SUBMIT): Status.SUBMITTED,
    (Status.SUBMITTED, Action.APPROVE): Status.APPROVED,
    (Status.SUBMITTED, Action.REJECT): Status.DRAFT,
    (Status.APPROVED, Action.REJECT): Status.DRAFT,
    (Status.APPROVED, Action.SHADOW): Status.SHADOW,
    (Status.APPROVED, Action.ACTIVATE): Status.ACTIVE,
    (Status.SHADOW, Action.REJECT): Status.DRAFT,
    (Status.SHADOW, Action.ACTIVATE): Status.ACTIVE,
    (Status.SHADOW, Action.STOP): Status.STOPPED,
    (Status.ACTIVE, Action.PAUSE): Status.PAUSED,
    (Status.ACTIVE, Action.STOP): Status.STOPPED,
    (Status.PAUSED, Action.ACTIVATE): Status.ACTIVE,
    (Status.PAUSED, Action.STOP): Status.STOPPED,
}
RUNNING = frozenset({Status.ACTIVE, Status.PAUSED})
OPEN = frozenset({Status.DRAFT, Status.SUBMITTED, Status.APPROVED, Status.SHADOW})
POLICY: dict[tuple[Status, Action], Status] = {
    move: after for move, after in CAMPAIGN.items() if move[0] in OPEN and move[1] is not Action.STOP
}


def after(table: dict[tuple[Status, Action], Status], what: str, status: Status, action: Action) -> Status:
    """The status that the action leads to. Raises Conflict `wrong_state` that names what is possible instead."""
    found = table.get((status, action))
    if found is None:
        possible = [move.value for (before, move) in table if before is status]
        hint = f"possible now: {', '.join(possible)}" if possible else "nothing leads on from there; PUT a new version"
        raise Conflict(f"{what} is {status}, so it cannot `{action}`; {hint}", code="wrong_state")
    return found


def check_four_eyes(what: str, editor: str, approver: str) -> None:
    """Raise Forbidden `own_edit` when the approver is the last editor: names are compared without case."""
    if _person(editor) == _person(approver):
        raise Forbidden(f"{what} was last edited by you ({editor}); somebody else has to approve it", code="own_edit")


def _person(name: str) -> str:
    return " ".join(name.split()).casefold()
