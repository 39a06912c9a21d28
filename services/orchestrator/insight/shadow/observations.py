"""What shadow versions decided about live events, compared with the live decisions. Pure values."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from schemas.decision import Decision
from schemas.times import Instant

NO_DECISION: Final = "none"
"""The outcome of a side without a decision: its trigger did not fire, or it does not use the channel."""
SKIPPED: Final = "skipped"
SkipCause = Literal["limit", "error", "unkept"]
SKIP_CAUSES: Final[tuple[SkipCause, ...]] = ("limit", "error", "unkept")
"""Why a shadow skipped events: the limit per batch, an exception, or a failed write."""
MAX_SAMPLES_PER_BATCH: Final[Mapping[bool | None, int]] = {True: 1, False: 10, None: 10}
"""The number of samples kept per batch and shadow, by whether both sides agree."""


class ShadowVersion(NamedTuple):
    """A version in shadow, of a campaign or of the policy (whose key is `policy`)."""

    noun: Literal["campaign", "policy"]
    key: str
    version: int


class ShadowObservation(NamedTuple):
    """What a shadow and the live versions decided about one message; at least one decision is set.

    `has_live`: whether there is a live version to compare with.
    """

    shadow: ShadowVersion
    decision: Decision | None
    live: Decision | None
    has_live: bool

    @property
    def any_decision(self) -> Decision:
        """Either decision, to identify the message."""
        decision = self.decision or self.live
        assert decision is not None
        return decision

    @property
    def outcome(self) -> str:
        """The shadow's outcome, or `none`."""
        return NO_DECISION if self.decision is None else self.decision.outcome

    @property
    def reason(self) -> str:
        """The shadow's reason, or an empty string."""
        return "" if self.decision is None else self.decision.reason

    @property
    def live_outcome(self) -> str:
        """The live outcome, `none`, or an empty string if nothing is compared."""
        if not self.has_live:
            return ""
        return NO_DECISION if self.live is None else self.live.outcome

    @property
    def agrees(self) -> bool | None:
        """Whether both have the same outcome; None if nothing is compared."""
        return self.outcome == self.live_outcome if self.has_live else None


class ObservationKey(NamedTuple):
    """The key under which observations are counted. For skipped events `outcome` is `skipped` and `reason` the
    cause.
    """

    shadow: ShadowVersion
    campaign: str
    outcome: str
    reason: str
    live: str


@dataclass(slots=True)
class ShadowObservations:
    """The observations of all shadows on one batch of events, evaluated at `now`.

    `skipped`: number of events by shadow and cause. `failure`: why there are no observations of the batch at all.
    """

    now: Instant
    event_count: int
    observations: list[ShadowObservation] = field(default_factory=list)
    skipped: Counter[tuple[ShadowVersion, SkipCause]] = field(default_factory=Counter)
    failure: SkipCause | None = None

    def count_observations(self) -> Counter[ObservationKey]:
        """Counts the observations by key."""
        counts = Counter(
            ObservationKey(
                observation.shadow,
                observation.any_decision.campaign,
                observation.outcome,
                observation.reason,
                observation.live_outcome,
            )
            for observation in self.observations
        )
        for (shadow, cause), events in self.skipped.items():
            counts[ObservationKey(shadow, "", SKIPPED, cause, "")] += events
        return counts

    def select_samples(self) -> Sequence[ShadowObservation]:
        """Returns the newest observations of each shadow and kind of agreement, as many as are kept per batch; oldest
        first.
        """
        return list(self._newest_per_shadow())[::-1]

    def _newest_per_shadow(self) -> Iterator[ShadowObservation]:
        selected: Counter[tuple[ShadowVersion, bool | None]] = Counter()
        for observation in reversed(self.observations):
            selected[observation.shadow, observation.agrees] += 1
            if selected[observation.shadow, observation.agrees] <= MAX_SAMPLES_PER_BATCH[observation.agrees]:
                yield observation
