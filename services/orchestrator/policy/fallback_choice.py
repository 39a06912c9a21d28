"""The strategy `fallback`: one channel after the other, until a delivery is confirmed. Pure.

The channel is chosen as with `first`. The others that may send wait, without a place on the ledger, until the chosen
one is confirmed (then they end), or until it is certain that it will not be, or `fallback_after` has passed since its
handover: then they are planned anew, and one of them is chosen. See docs/decisions/0046.
"""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from schemas.reasons import CHANNEL_CHOICE, Reason
from schemas.times import Instant
from schemas.vocabulary import Outcome
from services.orchestrator.policy import verdicts
from services.orchestrator.policy.fallback_progress import NO_PROGRESS, FallbackProgress
from services.orchestrator.policy.match import TriggeredCampaign
from services.orchestrator.policy.plan import CandidatePlan, ParkedUntil, earliest_plan


def choose_with_fallback(
    plans: Sequence[CandidatePlan], triggered: TriggeredCampaign, now: Instant
) -> Sequence[CandidatePlan]:
    """Lets one of the open plans stand and the others wait for it; or all of them wait for a channel that was tried
    before, or end because it is confirmed. Plans that are not open stay as they are.

    A version of the campaign that does not fall back any more sends nothing on a second channel.
    """
    progress = triggered.progress or NO_PROGRESS
    fallback_after = triggered.campaign.fallback_after
    open_plans = [each for each in plans if each.is_open]
    if progress.confirmed_channel is not None or fallback_after is None:
        return [_give_up(each, progress) if each.is_open else _keep(each, progress) for each in plans]
    wait_ends, chosen = progress.waits_until(fallback_after, now), None
    if wait_ends is not None:
        wait = _Wait(progress.open_channels, wait_ends, wait_ends)
    elif open_plans:
        chosen = earliest_plan(open_plans)
        wait = _wait_for(chosen, progress, now + fallback_after)
    else:
        return [_keep(each, progress) for each in plans]
    return [
        wait.apply(each, progress, now) if each.is_open and each is not chosen else _keep(each, progress)
        for each in plans
    ]


class _Wait(NamedTuple):
    """What a channel waits for: the end or the confirmation of these channels, and `wake_at` at the latest.

    `until`: when it is planned anew if nothing happens before; None where that is not known.
    """

    channels: tuple[str, ...]
    until: Instant | None
    wake_at: Instant

    def apply(self, each: CandidatePlan, progress: FallbackProgress, now: Instant) -> CandidatePlan:
        expires_at = each.candidate.triggered.expires_at
        until = None if self.until is None else max(now, min(self.until, expires_at))
        verdict = verdicts.defer(
            CHANNEL_CHOICE,
            Reason.FALLBACK_WAIT.value,
            None,
            until,
            waits_for=list(self.channels),
            **progress.to_evidence(),
        )
        return replace(
            each,
            outcome=Outcome.DEFER,
            reason=Reason.FALLBACK_WAIT.value,
            rule_id=None,
            until=until,
            verdicts=(*each.verdicts, verdict),
            parked=ParkedUntil((), (), min(self.wake_at, expires_at)),
            woken_by=self.channels,
        )


def _wait_for(chosen: CandidatePlan, progress: FallbackProgress, confirmed_by: Instant) -> _Wait:
    """The wait for a channel that is chosen now. One that waits itself is planned anew together with the others."""
    channels = (*progress.open_channels, chosen.candidate.channel)
    if chosen.outcome is Outcome.SEND:
        return _Wait(channels, confirmed_by, confirmed_by)
    if chosen.parked is not None:
        return _Wait(channels, None, chosen.parked.wake_at)
    return _Wait(channels, chosen.until, chosen.until or confirmed_by)


def _give_up(each: CandidatePlan, progress: FallbackProgress) -> CandidatePlan:
    confirmed = progress.confirmed_channel
    evidence = progress.to_evidence() if confirmed is None else {"confirmed": confirmed, **progress.to_evidence()}
    verdict = verdicts.deny(CHANNEL_CHOICE, Reason.OTHER_CHANNEL.value, **evidence)
    return replace(each.as_other_channel(), verdicts=(*each.verdicts, verdict))


def _keep(each: CandidatePlan, progress: FallbackProgress) -> CandidatePlan:
    """The plan as it is. What was tried before it is kept in its trace, and what of that is open may wake it."""
    woken_by = progress.open_channels or (each.candidate.channel,)
    if not progress.tried:
        return replace(each, woken_by=woken_by)
    verdict = verdicts.allow_with(CHANNEL_CHOICE, **progress.to_evidence())
    return replace(each, verdicts=(*each.verdicts, verdict), woken_by=woken_by)
