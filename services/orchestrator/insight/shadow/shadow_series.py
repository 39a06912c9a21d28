"""What is counted of shadows. Labels are closed; a campaign is never one."""

from collections import Counter

from schemas.vocabulary import CHANNELS, Outcome
from services.kit.observability.metrics import Registry, counter
from services.orchestrator.insight.shadow.observations import CAUSES, NOTHING, Notes

_AGREES = {True: "yes", False: "no", None: "unknown"}


class ShadowSeries:
    """Decisions of shadows and their agreement with what is live, and events that they left out."""

    def __init__(self, registry: Registry) -> None:
        labels = {"channel": CHANNELS, "outcome": (*Outcome, NOTHING), "agrees": tuple(_AGREES.values())}
        words = "Decisions of versions in shadow, by whether the live version has the same outcome"
        self._decisions = counter(registry, "shadow_decisions_total", words, labels)
        words = "Events that a version in shadow was not judged on, by cause"
        self._skipped = counter(registry, "shadow_skipped_total", words, {"cause": CAUSES})

    def kept(self, notes: Notes) -> None:
        """The transaction of these notes has been committed."""
        if notes.lost is not None:
            self._skipped(notes.lost).inc(notes.events)
            return
        made = Counter((note.about.channel, note.outcome, _AGREES[note.agrees]) for note in notes.notes)
        for values, count in made.items():
            self._decisions(*values).inc(count)
        for (_, cause), events in notes.skipped.items():
            self._skipped(cause).inc(events)
