"""What the page for agents says after a change: what is in force now, read from what is stored. Pure."""

from markupsafe import Markup

from schemas.agent_api import ListedSituations
from services.orchestrator.console.agent_words import describe_change, describe_opt_out
from services.orchestrator.console.time_format import WallClock
from services.orchestrator.policy.customer_facts import Facts

LATE = "late"
"""The change is kept, and messages that were being handed over may still go out, or it is not applied yet."""


def describe_done(done: str, facts: Facts, listed: ListedSituations, at: WallClock) -> Markup | None:
    """The sentence for a change of this kind; None for none. It says what is so now, whatever the address says."""
    preference = facts.preference
    match done:
        case "pause":
            if preference.paused_until is not None and preference.paused_until > at.now:
                return Markup("Paused until {}. It is in force now.").format(at.tag(preference.paused_until))
            return Markup("No pause is in force now.")
        case "opt-out":
            found = Markup("; ").join(map(describe_opt_out, preference.opt_outs))
            return (
                Markup("Opted out of, in force now: {}.").format(found) if found else Markup("No opt-out is in force.")
            )
        case "situation" if listed.history:
            return Markup("Last change: {}").format(describe_change(listed.history[0], at))
        case "address":
            return Markup("These addresses are in force now; one that was corrected is not verified.")
        case "late":
            return Markup(
                "The change is kept. It was not yet obeyed everywhere when the answer came: what was being handed over "
                "may still go out. Load this page again to see what is in force."
            )
    return None
