"""From a submitted form to the fields of the customer's document that change, and back by one change. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.facts import OptOut, Preference
from schemas.permission import CLOCK_TOLERANCE, find_deciding_consent, grants
from schemas.policy_topics import PolicyTopic
from schemas.times import DAY, Instant, format_instant
from schemas.vocabulary import CHANNELS, Class
from services.preference.as_of import rebuild_state
from services.preference.centre import choices
from services.preference.centre.centre_page import PAUSE_DAYS
from services.preference.centre.choices import Cell, Permissions, own_channels
from services.preference.centre.consent_wording import ConsentWording, word_ticked_box
from services.preference.centre.form import CentreForm
from services.preference.centre.languages import PageLanguage
from services.preference.centre.topic_texts import ShownTopic
from services.preference.centre.wishes import FormFault, read_wishes
from services.preference.document_form import FIELDS, consent_document, opt_out_document, preference_document
from services.preference.editor import CENTRE, Choice
from services.preference.store import PreferenceHistoryItem

STOP: Final = OptOut(cls=Class.MARKETING.value)
MAX_CONSENTS: Final = 1000
MAX_OPT_OUTS: Final = 1000
"""What a customer's document may hold of them."""


class CentreSubmission(NamedTuple):
    """What a form asks for, or why nothing of it is saved. `to_confirm`: the cells that are on once the customer has
    confirmed them by a message (double opt-in), each with the words of its box.
    """

    choice: Choice
    faults: Sequence[FormFault] = ()
    to_confirm: Mapping[Cell, ConsentWording] = {}


def read_submission(
    form: CentreForm,
    before: Preference,
    topics: Sequence[ShownTopic],
    language: PageLanguage,
    languages: Sequence[str],
    now: Instant,
) -> CentreSubmission:
    """The fields to set so that what the person has changed on the page is so, and all else stays as it is `before`."""
    match form.action:
        case "pause":
            return CentreSubmission(Choice({"paused_until": format_instant(now + PAUSE_DAYS * DAY)}))
        case "resume":
            paused = before.paused_until is not None and before.paused_until > now
            return CentreSubmission(Choice({"paused_until": None} if paused else {}))
        case "stop":
            permissions = choices.add_opt_out(_permissions(before), STOP)
            return CentreSubmission(Choice(permission_fields(before, permissions), [STOP]))
        case "service":
            permissions = choices.remove_class(_permissions(before), Class.SERVICE.value)
            return CentreSubmission(Choice(permission_fields(before, permissions)))
    wishes = read_wishes(form, languages, own_channels(before), before)
    by_key = {shown.topic.key: shown for shown in topics}
    texts: dict[str, str] = {}

    def word(cell: Cell) -> ConsentWording:
        return word_ticked_box(language, by_key[cell.topic], cell.channel)

    def wording(cell: Cell) -> str:
        worded = word(cell)
        texts[worded.text] = worded.locale
        return worded.key

    plain = [shown.topic for shown in topics]
    wanted = known_cells(form.cells, plain)
    to_confirm = {
        cell: word(cell) for cell, on in wanted.items() if on and _needs_confirmation(cell, before, by_key, now)
    }
    at_once = {cell: on for cell, on in wanted.items() if cell not in to_confirm}
    permissions = choices.apply_cells(_permissions(before), plain, at_once, wording, now)
    faults = list(wishes.faults)
    if len(permissions.consent) > MAX_CONSENTS or len(permissions.opt_outs) > MAX_OPT_OUTS:
        faults.append(FormFault("topics", "many"))
    refused = [OptOut(channel=cell.channel, topic=cell.topic) for cell, on in wanted.items() if not on]
    fields = permission_fields(before, permissions) | _different(before, wishes.fields)
    if faults:
        return CentreSubmission(Choice({}), faults)
    texts |= {wording.text: wording.locale for wording in to_confirm.values()}
    return CentreSubmission(Choice(fields, refused, tuple(texts.items())), to_confirm=to_confirm)


def _needs_confirmation(cell: Cell, before: Preference, topics: Mapping[str, ShownTopic], now: Instant) -> bool:
    """Whether a consent to the cell counts only once a message has been answered. One that holds today needs none."""
    topic = topics[cell.topic].topic
    if topic.cls != Class.MARKETING or cell.channel not in topic.double_opt_in:
        return False
    return not grants(find_deciding_consent(before.consent, cell.channel, cell.topic, now, CLOCK_TOLERANCE), now)


def known_cells(cells: Mapping[Cell, bool], topics: Iterable[PolicyTopic]) -> dict[Cell, bool]:
    """Those cells that can be chosen: their topics exist, are not required, and may use the channel."""
    known = {topic.key: topic for topic in topics if not topic.required}
    return {
        cell: on
        for cell, on in cells.items()
        if (topic := known.get(cell.topic)) is not None and cell.channel in choices.topic_channels(topic, CHANNELS)
    }


def fields_to_undo(changes: Sequence[PreferenceHistoryItem], customer: str, version: int) -> dict[str, Any]:
    """The fields that were different before a change, as they were then. Empty unless a page made that change.

    `changes`: the history of the customer up to that version, oldest first. Raises DocumentError for what is refused
    now and was not then.
    """
    last = [change for change in changes if change.version == version and change.field in FIELDS]
    if not last or any(change.source != CENTRE for change in last):
        return {}
    earlier = [change for change in changes if change.version < version]
    document = preference_document(rebuild_state(customer, earlier).preference)
    return {change.field: document[change.field] for change in last}


def permission_fields(before: Preference, permissions: Permissions) -> dict[str, Any]:
    """`opt_outs` and `consent` of the document, each only where it differs."""
    fields: dict[str, Any] = {}
    if permissions.opt_outs != before.opt_outs:
        fields["opt_outs"] = [opt_out_document(entry) for entry in permissions.opt_outs]
    if permissions.consent != before.consent:
        fields["consent"] = [consent_document(record) for record in permissions.consent]
    return fields


def _permissions(preference: Preference) -> Permissions:
    return Permissions(preference.opt_outs, preference.consent)


def _different(before: Preference, fields: Mapping[str, Any]) -> dict[str, Any]:
    document = preference_document(before)
    return {name: value for name, value in fields.items() if document[name] != value}
