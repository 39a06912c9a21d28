"""Sentences of the page for agents: what holds now, what waits, what was sent or not, and why. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from markupsafe import Markup

from schemas.agent_api import SituationHistoryLine, SituationLine
from schemas.decision import Decision
from schemas.facts import OptOut
from schemas.times import Instant
from schemas.vocabulary import MessageState, Outcome
from schemas.words import channel_words
from services.orchestrator.agent_messages.agent_messages import SOURCE
from services.orchestrator.console import decision_words
from services.orchestrator.console.customers_page import describe_do_not_contact
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.explain.situation_effects import SituationEffect, list_effects
from services.orchestrator.policy.customer_facts import Facts

STATES: Final = {
    MessageState.HANDING_OVER: "is being sent",
    MessageState.ACCEPTED: "was sent",
    MessageState.DELIVERED: "has arrived",
    MessageState.BOUNCED_SOFT: "came back, and may be tried again",
    MessageState.BOUNCED_HARD: "came back: the address does not exist or refuses us",
    MessageState.COMPLAINED: "was reported as spam by the customer",
    MessageState.REJECTED: "was refused by the provider",
    MessageState.UNKNOWN: "may have been sent; the provider has not said so",
}
_ACTIONS: Final = {"opened": "opened", "closed": "closed", "withdrawn": "taken back", "corrected": "corrected"}


def list_standing(facts: Facts, at: WallClock) -> list[Markup]:
    """What is in force for the customer now, a sentence each: refusals, situations, holds, the do-not-contact list."""
    preference, suppressions, now = facts.preference, facts.suppressions, at.now
    found = [Markup("{}.").format(_capitalise(each)) for each in describe_do_not_contact(suppressions.entries, now)]
    if preference.paused_until is not None and preference.paused_until > now:
        found.append(
            Markup("Paused until {}: no service or marketing messages, but those about required topics.").format(
                at.tag(preference.paused_until)
            )
        )
    found += [Markup("Opted out: {}.").format(describe_opt_out(entry)) for entry in preference.opt_outs]
    found += [describe_situation_effect(effect, at) for effect in list_effects(facts, now)]
    quarantines = [*preference.quarantines, *suppressions.quarantines]
    if ends := [each.until for each in quarantines if each.until > now]:
        found.append(
            Markup("Quarantined until {}: an event could not be read, and may have been a refusal.").format(
                at.tag(max(ends))
            )
        )
    found += [
        Markup("{}").format(decision_words.describe_hold(hold, at))
        for hold in suppressions.holds
        if hold.start <= now and (hold.until is None or now < hold.until)
    ]
    return found


def describe_situation_effect(effect: SituationEffect, at: WallClock) -> Markup:
    """`No asks until 9 June.` While a situation is open: when it would end if somebody closed it now."""
    what = effect.what if effect.drops else f"{effect.what} (they wait)"
    if effect.until is not None:
        return Markup("No {} until {}.").format(what, at.tag(effect.until, "moment"))
    kind = effect.situation.replace("_", " ")
    if effect.if_closed is None:
        return Markup("No {} while a {} is open.").format(what, kind)
    return Markup("No {} while a {} is open; if it were closed now, until {}.").format(
        what, kind, at.tag(effect.if_closed, "moment")
    )


def describe_situation(line: SituationLine, at: WallClock) -> Markup:
    """Since when it is open, or how it ended."""
    if line.closed is not None:
        return Markup("Opened {}, closed {}.").format(at.tag(line.opened), at.tag(line.closed))
    if not line.is_open and line.lapses is not None:
        return Markup("Opened {}, lapsed {}: nobody closed it.").format(at.tag(line.opened), at.tag(line.lapses))
    if line.lapses is None:
        return Markup("Open since {}.").format(at.tag(line.opened))
    return Markup("Open since {}; lapses {} if nobody closes it.").format(at.tag(line.opened), at.tag(line.lapses))


def describe_change(line: SituationHistoryLine, at: WallClock) -> Markup:
    """One change of a situation: what, when, by whom, and why."""
    name = situation_name(line.kind, line.ref)
    words = Markup("{} {}").format(name, _ACTIONS.get(line.action, line.action))
    if line.action == "corrected" and line.opened is not None:
        words += Markup(": opened {}").format(at.tag(line.opened))
        if line.closed is not None:
            words += Markup(", closed {}").format(at.tag(line.closed))
    elif line.action in ("opened", "closed"):
        words += Markup(" {}").format(at.tag(line.at))
    by = (
        Markup(", by {}").format(line.by)
        if line.by is not None
        else Markup(", by an event from {}").format(line.source)
    )
    why = Markup(": {}").format(line.reason) if line.reason else Markup(".")
    return words + by + why


def situation_name(kind: str, ref: str) -> str:
    """`Complaint case-12`."""
    reference = decision_words.format_reference(ref)
    return f"{_capitalise(kind.replace('_', ' '))} {reference}".strip()


def describe_waiting(decision: Decision | None, due: Instant | None, *, held: bool, at: WallClock) -> Markup:
    """Why a message waits, and until when."""
    if decision is not None and decision.outcome == Outcome.DEFER:
        return decision_words.explanation_sentence(decision, at)
    if due is not None:
        return Markup("It is looked at again {}.").format(at.tag(due))
    return Markup("It is kept back.") if held else Markup("It is about to be sent.")


def describe_sent(row: Any, at: WallClock) -> Markup:
    """What became of a message, and why it was sent."""
    state = STATES.get(row.state, "was sent")
    words = Markup("By {}, {}: it {}").format(channel_words(row.channel), at.tag(row.updated, "moment"), state)
    if row.event_source.startswith(SOURCE):
        return words + Markup(". An agent chose it.")
    if row.type is None:
        return words + Markup(".")
    return words + Markup(". It answers the event <code>{}</code> of {}.").format(row.type, at.tag(row.received))


def describe_result(decisions: Sequence[Decision] | None, at: WallClock) -> Markup:
    """What became of a message that an agent has asked for."""
    if decisions is None:
        return Markup("The message is asked for, and not decided yet: load this page again in a moment.")
    if not decisions:
        return Markup("No message came of it: the campaign no longer takes it. It does not count.")
    best = _best(decisions)
    head = Markup("{}").format(decision_words.headline(best, at))
    if best.outcome == Outcome.SEND:
        return Markup("All rules allow it: it goes out by {}.").format(channel_words(best.channel))
    counts = "" if best.outcome == Outcome.DEFER else " It does not count."
    return Markup("{}. {}{}").format(head, decision_words.explanation_sentence(best, at), counts)


def describe_forecast(decisions: Sequence[Decision], at: WallClock) -> Markup:
    """What would become of a message if an agent asked for it now."""
    if not decisions:
        return Markup("It cannot be sent: it has no channel.")
    best = _best(decisions)
    if best.outcome == Outcome.SEND:
        return Markup("It would go out now, by {}.").format(channel_words(best.channel))
    return Markup("Not now. {}").format(decision_words.explanation_sentence(best, at))


def _best(decisions: Sequence[Decision]) -> Decision:
    order = (Outcome.SEND, Outcome.DEFER, Outcome.SUPPRESS, Outcome.FAIL)
    return min(decisions, key=lambda each: (order.index(Outcome(each.outcome)), each.reason == "other_channel"))


def describe_opt_out(entry: OptOut) -> str:
    """What an opt-out covers."""
    if entry.all:
        return "everything but transactional messages and required topics"
    parts = [
        f"{entry.cls} messages" if entry.cls else "messages" if entry.channel and not entry.topic else "",
        f"the topic {entry.topic}" if entry.topic else "",
        f"by {channel_words(entry.channel)}" if entry.channel else "",
    ]
    return " ".join(part for part in parts if part)


def _capitalise(text: str) -> str:
    return text[:1].upper() + text[1:]
