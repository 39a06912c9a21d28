"""The approval lifecycle of a version: which action leads from which status to which. Pure.

draft -> submitted -> approved (-> shadow) -> active <-> paused -> stopped; reject leads back to draft. A version
superseded by another one becomes replaced.
"""

from collections.abc import Iterable
from enum import StrEnum

from schemas.four_eyes import Actor, KeyOrigin, relate
from schemas.vocabulary import CampaignStatus as Status
from services.kit.errors import Forbidden, WrongState


class LifecycleAction(StrEnum):
    """An action on a version."""

    SUBMIT = "submit"
    APPROVE = "approve"
    REJECT = "reject"
    SHADOW = "shadow"
    ACTIVATE = "activate"
    PAUSE = "pause"
    STOP = "stop"


CAMPAIGN_TRANSITIONS: dict[tuple[Status, LifecycleAction], Status] = {
    (Status.DRAFT, LifecycleAction.SUBMIT): Status.SUBMITTED,
    (Status.SUBMITTED, LifecycleAction.APPROVE): Status.APPROVED,
    (Status.SUBMITTED, LifecycleAction.REJECT): Status.DRAFT,
    (Status.APPROVED, LifecycleAction.REJECT): Status.DRAFT,
    (Status.APPROVED, LifecycleAction.SHADOW): Status.SHADOW,
    (Status.APPROVED, LifecycleAction.ACTIVATE): Status.ACTIVE,
    (Status.SHADOW, LifecycleAction.REJECT): Status.DRAFT,
    (Status.SHADOW, LifecycleAction.ACTIVATE): Status.ACTIVE,
    (Status.SHADOW, LifecycleAction.STOP): Status.STOPPED,
    (Status.ACTIVE, LifecycleAction.PAUSE): Status.PAUSED,
    (Status.ACTIVE, LifecycleAction.STOP): Status.STOPPED,
    (Status.PAUSED, LifecycleAction.ACTIVATE): Status.ACTIVE,
    (Status.PAUSED, LifecycleAction.STOP): Status.STOPPED,
}
RUNNING_STATUSES = frozenset({Status.ACTIVE, Status.PAUSED})
PRELAUNCH_STATUSES = frozenset({Status.DRAFT, Status.SUBMITTED, Status.APPROVED, Status.SHADOW})
POLICY_TRANSITIONS: dict[tuple[Status, LifecycleAction], Status] = {
    move: after
    for move, after in CAMPAIGN_TRANSITIONS.items()
    if move[0] in PRELAUNCH_STATUSES and move[1] is not LifecycleAction.STOP
}


class OwnEdit(Forbidden):
    """Nobody may approve what they edited last, or could have edited with a key that they made, or the other way."""

    default_code = "own_edit"


def next_status(
    table: dict[tuple[Status, LifecycleAction], Status], what: str, status: Status, action: LifecycleAction
) -> Status:
    """Returns the status after the action. Raises WrongState, naming the possible actions."""
    following = table.get((status, action))
    if following is None:
        possible = [move.value for (before, move) in table if before is status]
        hint = f"possible now: {', '.join(possible)}" if possible else "no action is; PUT a new version"
        raise WrongState(f"{what} is {status}; the action `{action}` is not possible now; {hint}")
    return following


def check_four_eyes(what: str, editor: Actor, approver: Actor, keys: Iterable[KeyOrigin] = ()) -> None:
    """Raises OwnEdit unless editor and approver are two pairs of eyes: see `schemas/four_eyes.py`.

    `keys`: all keys that there ever were.
    """
    match relate(editor, approver, keys):
        case None:
            return
        case "same":
            raise OwnEdit(f"{what} was last edited by you ({editor.name}); another person has to approve it")
        case "editor_behind_approver":
            raise OwnEdit(
                f"{what} was last edited by `{editor.name}`, who made a key of yours or of somebody who made it; "
                "whose key neither has made the other has to approve it"
            )
        case "approver_behind_editor":
            raise OwnEdit(
                f"{what} was last edited with a key of `{editor.name}` that you made, or somebody whose key you made; "
                "another person has to approve it"
            )
