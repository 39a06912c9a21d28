"""Message choices: what one evaluation made of one event and one campaign for one customer.

Such a choice has a decision for each channel of the campaign, in the table `decision`; pages show it as one row with
its channels inside. The decisions of a choice are written by one transaction, so their ids are close together.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from schemas.reasons import Reason
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.kit.db.database import Tx
from services.orchestrator.console import store
from services.orchestrator.console.store import DecisionListFilter, DecisionPosition
from services.orchestrator.decisions.read_store import StoredDecision

MAX_ID_DISTANCE = 2000
"""How far apart the ids of one choice may be: other transactions write between them."""
_SCAN_LENGTH = 200
_MAX_SCANS = 5
_OUTCOME_ORDER = (Outcome.SEND, Outcome.DEFER, Outcome.FAIL, Outcome.SUPPRESS)


class ChoiceKey(NamedTuple):
    """What the decisions of one choice have in common."""

    time: Instant
    customer: str
    campaign: str
    event_source: str
    event_id: str


@dataclass(frozen=True, slots=True)
class MessageChoice:
    """The decisions of one choice, in order of writing. `lead` is the one that its row shows."""

    decisions: tuple[StoredDecision, ...]
    lead: StoredDecision

    @property
    def outcome(self) -> str:
        """The outcome of the whole choice: sent if it was sent on some channel."""
        return best_decision(self.decisions).decision.outcome


class ChoicePage(NamedTuple):
    """Choices of a list, newest first, and where the next page begins; None at the end."""

    choices: list[MessageChoice]
    next: DecisionPosition | None


def key_of(stored: StoredDecision) -> ChoiceKey:
    """The choice that a decision belongs to."""
    decision = stored.decision
    return ChoiceKey(decision.time, decision.customer, decision.campaign, decision.event.source, decision.event.id)


def decision_rank(stored: StoredDecision) -> tuple[int, bool, Instant, int]:
    """The sort key of a choice's decisions: a send before a wait, a failure before a refusal, `other_channel` last."""
    decision = stored.decision
    order = _OUTCOME_ORDER.index(Outcome(decision.outcome))
    ends = decision.until or decision.allowed_from or 2**62
    return order, decision.reason == Reason.OTHER_CHANNEL, ends, stored.decision_id


def best_decision(decisions: Iterable[StoredDecision]) -> StoredDecision:
    """The decision that says most about a choice."""
    return min(decisions, key=decision_rank)


def group_choices(decisions: Iterable[StoredDecision]) -> dict[ChoiceKey, MessageChoice]:
    """The choices that these decisions belong to, in order of their first decision."""
    groups: dict[ChoiceKey, list[StoredDecision]] = {}
    for stored in decisions:
        groups.setdefault(key_of(stored), []).append(stored)
    return {
        key: MessageChoice(tuple(sorted(group, key=lambda item: item.decision_id)), best_decision(group))
        for key, group in groups.items()
    }


async def load_choices(tx: Tx, decisions: Sequence[StoredDecision]) -> dict[ChoiceKey, MessageChoice]:
    """The whole choices of these decisions, in their order."""
    if not decisions:
        return {}
    by_id = {item.decision_id: item for item in decisions}
    for item in await store.list_decisions_between_ids(tx, _id_ranges(decisions)):
        by_id[item.decision_id] = item
    groups = group_choices(by_id.values())
    return {key: groups[key] for key in dict.fromkeys(map(key_of, decisions))}


def _id_ranges(decisions: Iterable[StoredDecision]) -> list[tuple[str, int, int]]:
    """For each customer the ranges of ids around their decisions; overlapping ranges are merged."""
    ranges: list[tuple[str, int, int]] = []
    for customer, id in sorted((item.decision.customer, item.decision_id) for item in decisions):
        low, high = id - MAX_ID_DISTANCE, id + MAX_ID_DISTANCE
        if ranges and ranges[-1][0] == customer and low <= ranges[-1][2]:
            ranges[-1] = (customer, ranges[-1][1], high)
        else:
            ranges.append((customer, low, high))
    return ranges


def select_choice(choice: MessageChoice, wanted: DecisionListFilter) -> MessageChoice | None:
    """The choice as a filtered list shows it, or None if it does not match.

    An outcome alone is that of the whole choice: what was sent on one channel is not in the list of what was
    suppressed. With a channel or a reason, the row shows the decision that matches.
    """
    matching = [item for item in choice.decisions if wanted.matches(item.decision)]
    if not matching:
        return None
    if wanted.channel is None and wanted.reason is None:
        return choice if wanted.outcome in (None, choice.outcome) else None
    return MessageChoice(choice.decisions, best_decision(matching))


async def list_newest_choices(
    tx: Tx, wanted: DecisionListFilter, since: Instant, before: DecisionPosition | None, limit: int
) -> ChoicePage:
    """Choices not older than `since`, newest first.

    Reads at most `_MAX_SCANS * _SCAN_LENGTH` decisions, so a page may be shorter than `limit` although more follow.
    """
    choices: list[MessageChoice] = []
    for _ in range(_MAX_SCANS):
        scanned = await store.list_newest_decisions(tx, wanted, since, before, _SCAN_LENGTH)
        groups = await load_choices(tx, scanned)
        for item in scanned:
            choice = groups[key_of(item)]
            shown = select_choice(choice, wanted)
            if shown is not None and _is_first_listed(item, choice, wanted):
                if len(choices) == limit:
                    return ChoicePage(choices, before)
                choices.append(shown)
            before = position_of(item)
        if len(scanned) < _SCAN_LENGTH:
            return ChoicePage(choices, None)
    return ChoicePage(choices, before)


def position_of(stored: StoredDecision) -> DecisionPosition:
    """Where a decision stands in a list, newest first."""
    return DecisionPosition(stored.decision.time, stored.decision.message_id, stored.decision_id)


def _is_first_listed(stored: StoredDecision, choice: MessageChoice, wanted: DecisionListFilter) -> bool:
    """Whether the list comes to the choice by this decision: a choice is on one page although several match."""
    matching = (item for item in choice.decisions if wanted.matches(item.decision))
    return position_of(stored) == max(map(position_of, matching))
