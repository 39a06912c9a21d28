"""What shadows have decided about live events, and how it compares with what is live. Pure values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from schemas.decision import Decision
from schemas.times import Instant

NOTHING: Final = "none"
"""The outcome of a side without a decision: the trigger of its version did not fire, or it does not use the channel."""
SKIPPED: Final = "skipped"
Cause = Literal["limit", "error", "unkept"]
CAUSES: Final[tuple[Cause, ...]] = ("limit", "error", "unkept")
"""Why a shadow left events out: the limit of a batch, an exception, or notes that could not be written."""
OF_A_BATCH: Final[Mapping[bool | None, int]] = {True: 1, False: 10, None: 10}
"""How many samples are kept of one batch and shadow: by whether the two sides agree."""


class Watched(NamedTuple):
    """A version in shadow: of a campaign, or of the policy, whose key is `policy`."""

    noun: Literal["campaign", "policy"]
    key: str
    version: int


class Note(NamedTuple):
    """What a shadow and the live versions decided about one message. `compared`: there is a live version to agree with.

    At least one of the decisions is there.
    """

    watched: Watched
    decision: Decision | None
    live: Decision | None
    compared: bool

    @property
    def about(self) -> Decision:
        """Either decision: which message it is about."""
        found = self.decision or self.live
        assert found is not None
        return found

    @property
    def outcome(self) -> str:
        """The outcome of the shadow, or `none`."""
        return NOTHING if self.decision is None else self.decision.outcome

    @property
    def reason(self) -> str:
        """The reason of the shadow, or an empty text."""
        return "" if self.decision is None else self.decision.reason

    @property
    def live_outcome(self) -> str:
        """The outcome of the live side, `none`, or an empty text where nothing is compared."""
        if not self.compared:
            return ""
        return NOTHING if self.live is None else self.live.outcome

    @property
    def agrees(self) -> bool | None:
        """Whether both have the same outcome; None where nothing is compared."""
        return self.outcome == self.live_outcome if self.compared else None


class Tally(NamedTuple):
    """What is counted together. `outcome` is `skipped` and `reason` the cause for events that were left out."""

    watched: Watched
    campaign: str
    outcome: str
    reason: str
    live: str


@dataclass(slots=True)
class Notes:
    """What the shadows of one batch of events amount to, judged at `now`.

    `skipped`: events by shadow and cause. `lost`: why there is nothing of the whole batch.
    """

    now: Instant
    events: int
    notes: list[Note] = field(default_factory=list)
    skipped: Counter[tuple[Watched, Cause]] = field(default_factory=Counter)
    lost: Cause | None = None

    def tallies(self) -> Counter[Tally]:
        """How often each came up."""
        found = Counter(
            Tally(note.watched, note.about.campaign, note.outcome, note.reason, note.live_outcome)
            for note in self.notes
        )
        for (watched, cause), events in self.skipped.items():
            found[Tally(watched, "", SKIPPED, cause, "")] += events
        return found

    def samples(self) -> Sequence[Note]:
        """The newest of each shadow and kind of agreement, at most as many as are kept of one batch; oldest first."""
        return list(self._newest())[::-1]

    def _newest(self) -> Iterator[Note]:
        taken: Counter[tuple[Watched, bool | None]] = Counter()
        for note in reversed(self.notes):
            taken[note.watched, note.agrees] += 1
            if taken[note.watched, note.agrees] <= OF_A_BATCH[note.agrees]:
                yield note
