"""The event types that Tactful understands by itself, and the check of their `data`, the same at every door.

Over HTTP an event with a problem is refused. From the log, and in a simulation, its good parts are applied and the bad
ones are named; see docs/decisions/0019. An erasure has no `data` that could be wrong: whatever it holds, it is applied.
"""

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

import msgspec

from schemas.consent_evidence import find_unproven
from schemas.contact_channels import CONTACT_CHANNELS, find_contact_channel
from schemas.customer import Customer
from schemas.documents import MAX_PROBLEMS, DocumentError, did_you_mean, may_hold_bad_texts, validate_document
from schemas.event import EARLIEST_TIME, Event, InvalidEvent, parse_data
from schemas.field_names import FieldNames
from schemas.ids import SITUATION_KIND_PATTERN
from schemas.text import escape_pointer, find_bad_texts, is_storable
from schemas.times import DAY, Instant, parse_instant
from schemas.vocabulary import Class, Intent

PREFERENCE_CHANGED: Final = "tactful.preference.changed"
CUSTOMER_IDENTIFIED: Final = "tactful.customer.identified"
CUSTOMER_ERASED: Final = "tactful.customer.erased"
SITUATION_OPENED: Final = "tactful.situation.opened"
SITUATION_CLOSED: Final = "tactful.situation.closed"
SITUATION_CORRECTED: Final = "tactful.situation.corrected"
CONTACT_REPORTED: Final = "tactful.contact.reported"
FEEDBACK_GIVEN: Final = "tactful.feedback.given"
AGENT_MESSAGE: Final = "tactful.agent.message"
"""Put into the log by the console: an agent has chosen one of the campaigns that are for them."""
CONSENT_REQUESTED: Final = "tactful.consent.requested"
"""Put into the log by the preference service: a campaign of the company answers it with a message to confirm by."""
ADDRESS_VERIFICATION_REQUESTED: Final = "tactful.address.verification_requested"
"""The same for an address: the message goes to that one, and nobody else's confirmation verifies it."""
RESERVED_PREFIX: Final = "tactful."
OUTGOING_PREFIX: Final = "tactful.message."
"""What Tactful itself publishes; such an event may come back to it, and then only triggers campaigns."""

IDENTITY_FIELDS: Final = ("locale", "country", "zone", "traits", "addresses")
PREFERENCE_FIELDS: Final = tuple(name for name in Customer.model_fields if name != "customer")
REFUSAL_FIELDS: Final = frozenset({"consent", "opt_outs", "paused_until"})
"""The fields of a customer by which a customer refuses messages."""
ADDED_FIELDS: Final = frozenset({"consent", "opt_outs"})
"""Lists of which the good entries are added to what is known, when another entry is bad: no refusal may be lost."""
OWN_EVENT_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    PREFERENCE_CHANGED: PREFERENCE_FIELDS,
    CUSTOMER_IDENTIFIED: IDENTITY_FIELDS,
    CUSTOMER_ERASED: (),
    SITUATION_OPENED: ("kind", "ref", "reason"),
    SITUATION_CLOSED: ("kind", "ref", "reason"),
    SITUATION_CORRECTED: ("kind", "ref", "withdrawn", "opened", "closed", "reason"),
    CONTACT_REPORTED: ("channel", "class", "intent", "topic", "campaign", "at"),
    FEEDBACK_GIVEN: ("score", "scale", "text", "about"),
    CONSENT_REQUESTED: ("request", "channel", "topic", "expires"),
    ADDRESS_VERIFICATION_REQUESTED: ("request", "address", "channel", "expires"),
    AGENT_MESSAGE: ("campaign",),
}
"""The types, each with the fields of its `data`."""
MAX_COMPARED: Final = 200
"""How many unknown fields of an event are compared with the fields by letters. One with more may hide a refusal."""
MAX_REQUEST_TEXT: Final = 100
MAX_REASON: Final = 500
"""Characters of why a situation was opened, closed or corrected."""
MAX_TIME_AHEAD: Final = 30 * DAY
"""How long after the event a reported contact may lie."""

_OTHER_NAMES: Final = {
    **dict.fromkeys(("language", "lang", "languagecode"), "locale"),
    **dict.fromkeys(("timezone", "tz", "timezoneid"), "zone"),
    **dict.fromkeys(("countrycode", "region"), "country"),
    **dict.fromkeys(("attributes", "properties", "profile"), "traits"),
    **dict.fromkeys(("unsubscribed", "unsubscribe", "unsubscribes", "suppressed", "donotcontact"), "opt_outs"),
    **dict.fromkeys(("pause", "paused", "snooze", "muted"), "paused_until"),
}
"""What other programs call the fields of a customer, in small letters and without `_` and `-`."""
_MAY_REFUSE: Final = re.compile(
    r"opt[_-]?(in|out)|consent|unsub|subscri|paus|mute|suppress|do[_-]?not|dnc|no[_-]?contact|permission|revoke"
)
_TYPE_MAY_REFUSE: Final = re.compile(rf"{_MAY_REFUSE.pattern}|eras|delet|remov|forg[eo]t|block|stop|complain|withdr")
"""The same in the names of types, where no field such as `removable` is meant."""
_WITH_VALUE: Final = re.compile(r"^`.*` is none of", re.DOTALL)
"""How a document's error quotes a wrong word. What is wrong with an event is logged, and may quote nothing of it."""
OF_CUSTOMER: Final = frozenset({PREFERENCE_CHANGED, CUSTOMER_IDENTIFIED})
"""The types whose fields are those of a customer."""
_LISTS: Final = frozenset({"addresses", "consent", "opt_outs"})
_SITUATION_KIND: Final = re.compile(SITUATION_KIND_PATTERN)
_NUMBERS: Final = (int, float)

EventProblem = tuple[str, str, str]
"""JSON pointer into the event, code, detail without any value of the event."""


class CheckedData(msgspec.Struct, frozen=True):
    """An event's `data` after the check.

    `data`: the good parts as they were sent. `customer`, `given`: of a customer's fields, the good ones and their
    names; `added`: those of them that are added to what is known. `may_refuse`: whether what is wrong may have been a
    refusal. `ignored`: names that are not fields of this type. `unreadable`: no part of the data can be read;
    `refused`: nothing of the event counts.
    """

    data: Mapping[str, Any]
    problems: tuple[EventProblem, ...] = ()
    may_refuse: bool = False
    ignored: tuple[str, ...] = ()
    customer: Customer | None = None
    given: tuple[str, ...] = ()
    added: frozenset[str] = frozenset()
    unreadable: bool = False
    refused: bool = False


def is_own(event_type: str) -> bool:
    """Whether Tactful understands events of this type by itself."""
    return event_type in OWN_EVENT_TYPES


def is_unknown_own(event_type: str) -> bool:
    """Whether the type claims to be Tactful's, in any case, and is none: a misspelling, or of a version to come."""
    word = event_type.strip().lower()
    reserved = word.startswith(RESERVED_PREFIX) and not word.startswith(OUTGOING_PREFIX)
    return reserved and event_type not in OWN_EVENT_TYPES


def may_be_refusal(event_type: str | None) -> bool:
    """Whether an event of this type may refuse messages, when nothing of it but the type can be read."""
    if event_type is None:
        return True
    if is_unknown_own(event_type):
        word = event_type.strip().lower()
        similar = difflib.get_close_matches(word, OWN_EVENT_TYPES, n=1, cutoff=0.6)
        return _TYPE_MAY_REFUSE.search(word) is not None or (bool(similar) and may_be_refusal(similar[0]))
    return event_type in (PREFERENCE_CHANGED, CUSTOMER_ERASED, SITUATION_OPENED, SITUATION_CORRECTED)


def check_event(event: Event, situation_kinds: Collection[str] = ()) -> CheckedData:
    """Check the type and the `data` of an event of any type. `situation_kinds`: those of the policy, if it has any.

    Raises nothing: data that cannot be read have the problem that says so.
    """
    if is_unknown_own(event.type):
        similar = did_you_mean(event.type.strip().lower(), OWN_EVENT_TYPES)
        detail = f"`{RESERVED_PREFIX}` begins the types of Tactful, and this is none of them{similar}"
        return CheckedData({}, (("/type", "unknown_type", detail),), may_be_refusal(event.type), refused=True)
    try:
        data = dict(parse_data(event, check_texts=not is_own(event.type)))
    except InvalidEvent as error:
        if event.type == CUSTOMER_ERASED:
            return CheckedData({})
        return CheckedData({}, error.problems, may_be_refusal(event.type), unreadable=True, refused=True)
    checker = _CHECKERS.get(event.type)
    if checker is None:
        return CheckedData(data)
    check = _Check(event, data)
    check.drop_bad_texts()
    checker(check, situation_kinds)
    return check.result()


def read_stored_data(event: Event) -> Mapping[str, Any]:
    """The `data` of an event that was taken before, as it was decided on then: of our own types the good parts.

    What today's check would refuse, and earlier versions took, is no reason to fail: text is not checked again.
    """
    return check_event(event).data if is_own(event.type) else parse_data(event, check_texts=False)


class _Check:
    """The check of one event. Bad parts leave `data`, and are named in `problems`."""

    def __init__(self, event: Event, data: dict[str, Any]) -> None:
        self.event = event
        self.data = data
        self.problems: list[EventProblem] = []
        self.may_refuse = False
        self.ignored: list[str] = []
        self.customer: Customer | None = None
        self.given: tuple[str, ...] = ()
        self.added: set[str] = set()
        self.refused = False

    def result(self) -> CheckedData:
        return CheckedData(
            self.data,
            _first_problems(self.problems),
            self.may_refuse,
            tuple(self.ignored),
            self.customer,
            self.given,
            frozenset(self.added),
            refused=self.refused,
        )

    def drop(self, name: str, code: str, detail: str) -> None:
        """Remove a field, and say why."""
        self.data.pop(name, None)
        self.problems.append((f"/data/{escape_pointer(name)}", code, detail))

    def drop_all(self) -> None:
        """The event does nothing: what is missing or wrong is the whole of it."""
        self.data.clear()
        self.refused = True

    def drop_bad_texts(self) -> None:
        """Remove what cannot be kept: single traits, single entries of lists, and else whole fields."""
        if not may_hold_bad_texts(bytes(self.event.data)):
            return
        for name, value in list(self.data.items()):
            found = list(find_bad_texts({name: value}, "/data"))
            if not found:
                continue
            self.problems += found
            self.may_refuse |= name in REFUSAL_FIELDS and self.event.type == PREFERENCE_CHANGED
            if name == "traits" and isinstance(value, dict):
                self.data[name] = {key: each for key, each in value.items() if is_storable(key) and _is_text(each)}
            elif name in _LISTS and isinstance(value, list):
                self._keep_entries(name, [each for each in value if _is_text(each)])
            else:
                del self.data[name]

    def drop_misspelled(self) -> None:
        """Unknown fields are ignored, but not one whose name is nearly that of a field, or which may be a refusal."""
        names, fields = _field_names(self.event.type), OWN_EVENT_TYPES[self.event.type]
        of_customer = self.event.type in OF_CUSTOMER
        compared = 0
        for name in [each for each in self.data if each not in fields and each != "customer"]:
            small = name.lower()
            meant = names.find_alias(small)
            if meant is None and compared <= MAX_COMPARED and names.may_find_similar(small):
                compared += 1
                meant = names.find_similar(small) if compared <= MAX_COMPARED else None
            refuses = of_customer and bool(meant in REFUSAL_FIELDS or _MAY_REFUSE.search(small))
            if meant is None and not refuses:
                self.ignored.append(name)
                continue
            self.may_refuse |= refuses
            if meant in fields:
                advice = f", did you mean `{meant}`?"
            elif of_customer:
                advice = f": what customers choose is told by {PREFERENCE_CHANGED}"
            else:
                advice = ""
            self.drop(name, "unknown_field", f"no field of {self.event.type}{advice}")
        if compared > MAX_COMPARED:
            self.may_refuse |= of_customer
            detail = f"more than {MAX_COMPARED} unknown fields consist of the letters of fields of {self.event.type}"
            self.problems.append(("/data", "too_many_fields", detail))

    def check_customer(self, names: Iterable[str]) -> None:
        """Validate the fields of a customer, and keep those that are right."""
        if self.data.get("customer", self.event.subject) != self.event.subject:
            self.may_refuse |= any(name in REFUSAL_FIELDS for name in self.data)
            self.drop_all()
            self.drop("customer", "not_this_customer", "is not the event's `subject`: leave it out or make them agree")
        given = [name for name in names if name in self.data]
        positions = {name: list(range(len(self.data[name]))) for name in given if isinstance(self.data[name], list)}
        if self.event.type == PREFERENCE_CHANGED and "consent" in positions:
            self._drop_unproven(positions["consent"])
        while True:
            given = [name for name in given if name in self.data]
            try:
                fields = {name: self.data[name] for name in given}
                self.customer = validate_document(
                    Customer, {"customer": self.event.subject, **fields}, max_problems=None
                )
            except DocumentError as error:
                self._drop_invalid(error, given, positions)
            else:
                self.given = tuple(given)
                return

    def _drop_unproven(self, places: list[int]) -> None:
        """Remove grants of consent without their proof, as a PUT refuses them. They are no refusal. `places` is where
        the entries that are left stood.
        """
        found = [find_unproven(entry) for entry in self.data["consent"]]
        if not any(found):
            return
        for place, problems in zip(places, found, strict=True):
            for name, code, detail in problems:
                self.problems.append((f"/data/consent/{place}/{name}", code, detail))
        kept = [each for each, problems in zip(self.data["consent"], found, strict=True) if not problems]
        places[:] = [place for place, problems in zip(places, found, strict=True) if not problems]
        if kept:
            self._keep_entries("consent", kept)
        else:
            del self.data["consent"]

    def _drop_invalid(self, error: DocumentError, given: Collection[str], positions: dict[str, list[int]]) -> None:
        """Remove what the error names: entries of lists that are merged or added, and else whole fields."""
        bad_entries: dict[str, set[int]] = {}
        for pointer, code, detail in error.errors:
            name, _, rest = pointer.removeprefix("/").partition("/")
            index = rest.partition("/")[0]
            self.may_refuse |= name in REFUSAL_FIELDS
            if name in self._mergeable_lists() and name in positions and index.isdigit():
                place = positions[name][int(index)]
                pointer = "/".join(["", name, str(place), *rest.split("/")[1:]])
                bad_entries.setdefault(name, set()).add(int(index))
            elif name in given:
                self.data.pop(name, None)
            else:  # no field is named: the fields contradict one another
                self.drop_all()
            self.problems.append((f"/data{pointer}", code, _WITH_VALUE.sub("is none of", detail)))
        for name, bad in bad_entries.items():
            if name in self.data:
                positions[name] = [place for index, place in enumerate(positions[name]) if index not in bad]
                self._keep_entries(name, [each for index, each in enumerate(self.data[name]) if index not in bad])

    def _mergeable_lists(self) -> frozenset[str]:
        return ADDED_FIELDS if self.event.type == PREFERENCE_CHANGED else frozenset({"addresses"})

    def _keep_entries(self, name: str, entries: list[Any]) -> None:
        """Keep the good entries where they are merged or added; a list that replaces another must be whole."""
        if name not in self._mergeable_lists():
            self.data.pop(name, None)
            return
        self.data[name] = entries
        if name in ADDED_FIELDS:
            self.added.add(name)


def _check_changed(check: _Check, _: Collection[str]) -> None:
    check.drop_misspelled()
    check.check_customer(PREFERENCE_FIELDS)
    check.refused = not check.given
    if not check.given and not check.problems:
        check.problems.append(
            ("/data", "empty", "names no field of a customer's preferences, such as `opt_outs`: it asks for nothing")
        )


def _check_identified(check: _Check, _: Collection[str]) -> None:
    check.drop_misspelled()
    if check.data.get("traits") is None:
        check.data.pop("traits", None)
    check.check_customer(IDENTITY_FIELDS)


def _check_situation(check: _Check, kinds: Collection[str]) -> None:
    check.drop_misspelled()
    kind = check.data.get("kind")
    opened = check.event.type != SITUATION_CLOSED
    if not isinstance(kind, str) or not _SITUATION_KIND.fullmatch(kind):
        check.drop_all()
        check.drop("kind", "bad_kind", "must name a situation's kind, such as complaint")
        check.may_refuse |= opened
    elif kinds and kind not in kinds:
        similar = did_you_mean(kind, kinds)
        check.drop_all()
        check.drop("kind", "unknown_kind", f"the active policy defines no situation of this kind{similar}")
        check.may_refuse |= opened and bool(similar)
    reason = check.data.get("reason")
    if reason is not None and not (isinstance(reason, str) and len(reason) <= MAX_REASON):
        check.drop("reason", "bad_text", f"must be text of at most {MAX_REASON} characters")


def _check_correction(check: _Check, kinds: Collection[str]) -> None:
    """A correction with a wrong part does nothing: half of one would be another than was meant."""
    _check_situation(check, kinds)
    data = check.data
    if data.get("withdrawn") not in (None, True, False):
        check.drop("withdrawn", "wrong_type", "must be true or false")
    for name in ("opened", "closed"):
        if data.get(name) is None:
            data.pop(name, None)
        elif _find_past_instant(data[name], check.event.time) is None:
            check.drop(name, "bad_time", "must be an RFC 3339 time with a zone, not after the event and since 2000")
    if not check.problems and not (data.get("withdrawn") or "opened" in data or "closed" in data):
        check.problems.append(("/data", "empty", "corrects nothing: send `withdrawn`, `opened` or `closed`"))
    if check.problems:
        check.may_refuse |= any(pointer != "/data" for pointer, _, _ in check.problems)
        check.drop_all()


def _find_past_instant(value: object, now: Instant) -> Instant | None:
    try:
        at = parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return at if at is not None and EARLIEST_TIME <= at <= now else None


def _check_reported(check: _Check, _: Collection[str]) -> None:
    check.drop_misspelled()
    data = check.data
    channel = data.get("channel")
    found = find_contact_channel(channel) if isinstance(channel, str) else None
    if found is None:
        similar = did_you_mean(channel, CONTACT_CHANNELS) if isinstance(channel, str) else ""
        check.drop("channel", "unknown_channel", f"must be one of {', '.join(CONTACT_CHANNELS)}{similar}")
    else:
        data["channel"] = found
    if data.get("class") not in list(Class):
        check.drop("class", "unknown_class", f"must be one of {', '.join(Class)}")
    if data.get("intent") is not None and data["intent"] not in list(Intent):
        check.drop("intent", "unknown_intent", f"must be one of {', '.join(Intent)}")
    for name in ("topic", "campaign"):
        if data.get(name) is not None and not (isinstance(data[name], str) and 0 < len(data[name]) <= 200):
            check.drop(name, "bad_text", "must be text of at most 200 characters")
    _check_contact_time(check)
    if any(pointer in ("/data/channel", "/data/class", "/data/at") for pointer, _, _ in check.problems):
        check.drop_all()


def _check_contact_time(check: _Check) -> None:
    given = check.data.get("at")
    if given is None:
        return
    try:
        at = parse_instant(given) if isinstance(given, str) else None
    except ValueError as error:
        check.drop("at", "bad_time", str(error))
        return
    if at is None:
        check.drop("at", "bad_time", "not an RFC 3339 time with a zone, such as 2026-03-01T09:00:00Z")
    elif at > check.event.time + MAX_TIME_AHEAD:
        check.drop("at", "out_of_range", "lies more than 30 days after the event's time")
    elif at < EARLIEST_TIME:
        check.drop("at", "out_of_range", "is before the year 2000")


def _check_feedback(check: _Check, _: Collection[str]) -> None:
    """Wrong values are named, and stay: conditions alone read them, and one that opens a situation is met then."""
    check.drop_misspelled()
    if not isinstance(check.data.get("score"), _NUMBERS) or isinstance(check.data["score"], bool):
        check.problems.append(("/data/score", "bad_score", "must be a number"))
    if check.data.get("text") is not None and not isinstance(check.data["text"], str):
        check.problems.append(("/data/text", "wrong_type", "must be text"))


def _check_requested(check: _Check, _: Collection[str]) -> None:
    """All fields are names or times as text, and none may be left out."""
    check.drop_misspelled()
    for name in OWN_EVENT_TYPES[check.event.type]:
        value = check.data.get(name)
        if not (isinstance(value, str) and 0 < len(value) <= MAX_REQUEST_TEXT):
            check.drop_all()
            check.drop(name, "bad_text", f"must be text of at most {MAX_REQUEST_TEXT} characters")


def _check_erased(check: _Check, _: Collection[str]) -> None:
    """Nothing in it can be wrong: what cannot be kept has been dropped, and is not worth a word."""
    check.problems.clear()


_CHECKERS: Final[Mapping[str, Callable[[_Check, Collection[str]], None]]] = {
    PREFERENCE_CHANGED: _check_changed,
    CUSTOMER_IDENTIFIED: _check_identified,
    CUSTOMER_ERASED: _check_erased,
    SITUATION_OPENED: _check_situation,
    SITUATION_CLOSED: _check_situation,
    SITUATION_CORRECTED: _check_correction,
    CONTACT_REPORTED: _check_reported,
    FEEDBACK_GIVEN: _check_feedback,
    CONSENT_REQUESTED: _check_requested,
    ADDRESS_VERIFICATION_REQUESTED: _check_requested,
    AGENT_MESSAGE: _check_requested,
}


def _first_problems(problems: Sequence[EventProblem]) -> tuple[EventProblem, ...]:
    """The problems that are told; an event can have tens of thousands."""
    if len(problems) <= MAX_PROBLEMS:
        return tuple(problems)
    left_out = len(problems) - MAX_PROBLEMS
    return (*problems[:MAX_PROBLEMS], ("/data", "more_problems", f"{left_out} more problems are not listed"))


def _is_text(value: Any) -> bool:
    return next(_bad_texts(value), None) is None


def _bad_texts(value: Any) -> Iterator[EventProblem]:
    return find_bad_texts(value)


@cache
def _field_names(event_type: str) -> FieldNames:
    if event_type in OF_CUSTOMER:
        return FieldNames(PREFERENCE_FIELDS, _OTHER_NAMES)
    return FieldNames(OWN_EVENT_TYPES[event_type], {})
