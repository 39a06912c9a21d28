"""How events and people change a customer's preferences: last writer wins, by event time."""

import itertools
from typing import Any

import msgspec
import pytest

from schemas.customer import Customer
from schemas.documents import DocumentError, validate_document
from schemas.event import Event, InvalidEvent
from schemas.facts import Preference, Quarantine
from schemas.own_events import CUSTOMER_IDENTIFIED, PREFERENCE_CHANGED
from schemas.times import DAY, HOUR, parse_instant
from services.preference import preference_state as preference
from services.preference.preference_state import PreferenceState
from tests.support.event_checks import apply_preference_event, checked

NOON = parse_instant("2026-03-02T12:00:00Z")
DOCUMENT: dict[str, Any] = {
    "customer": "c-1042",
    "locale": "de-DE",
    "country": "DE",
    "zone": "Europe/Berlin",
    "traits": {"name": "Ada", "vip": True},
    "addresses": [{"channel": "email", "address": "ada@example.org", "verified": True}],
    "consent": [
        {
            "channel": "email",
            "topic": "referrals",
            "status": "granted",
            "at": "2026-01-02T10:00:00Z",
            "source": "checkout",
            "wording": "newsletter-3",
            "basis": "consent",
            "expires": None,
            "evidence": None,
            "imported": False,
            "requested": None,
            "confirmation": None,
            "occasion": None,
        }
    ],
    "opt_outs": [
        {"channel": "sms"},
        {"topic": "news"},
        {"channel": "push", "topic": "referrals"},
        {"class": "marketing"},
    ],
    "paused_until": None,
    "channel_order": ["push", "email"],
    "frequency": {"limit": 2, "per": "week"},
    "quiet_hours": [{"days": ["sat", "sun"], "from": "22:00", "to": "10:00"}],
}


def event(kind: str = PREFERENCE_CHANGED, at: int = NOON, customer: str = "c-1") -> Event:
    return Event(id="e", source="/shop", type=kind, subject=customer, time=at)


def after(*changes: tuple[str, int, dict[str, Any]], start: PreferenceState | None = None) -> PreferenceState:
    state = start or preference.empty_state("c-1")
    for kind, at, data in changes:
        state = apply_preference_event(state, event(kind, at), data) or state
    return state


def changed(at: int, **data: Any) -> tuple[str, int, dict[str, Any]]:
    return (PREFERENCE_CHANGED, at, data)


def identified(at: int, **data: Any) -> tuple[str, int, dict[str, Any]]:
    return (CUSTOMER_IDENTIFIED, at, data)


def known() -> PreferenceState:
    return preference.from_document(validate_document(Customer, DOCUMENT))


def mail(address: str, verified: bool = False) -> dict[str, Any]:
    return {"channel": "email", "address": address, "verified": verified}


def traits(state: PreferenceState) -> Any:
    return preference.state_document(state)["traits"]


def addresses(state: PreferenceState) -> list[str]:
    return [entry["address"] for entry in preference.state_document(state)["addresses"]]


def test_a_document_comes_out_as_it_went_in() -> None:
    assert preference.state_document(known()) == DOCUMENT
    assert known().version == 1


def test_an_unknown_customer_has_version_0_and_a_document_of_defaults() -> None:
    blank = preference.state_document(preference.empty_state("c-1"))
    assert preference.to_facts(preference.empty_state("c-1")).version == 0
    assert validate_document(Customer, blank) == validate_document(Customer, {"customer": "c-1"})


def test_a_packed_state_is_the_same_state() -> None:
    state = after(identified(NOON, traits={"a": 1, "b": None}, addresses=[mail("x@example.org")]), start=known())
    state = preference.quarantine(state, POSITION, NOON)
    assert preference.unpack(preference.pack(state), None) == state


def test_bytes_of_another_form_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown form"):
        preference.unpack(b"\x02" + preference.pack(known())[1:], None)


@pytest.mark.parametrize(
    ("field", "first", "second"),
    [
        ("locale", "de", "en"),
        ("country", "DE", None),
        ("zone", "Europe/Berlin", "Etc/UTC"),
        ("traits", {"a": 1}, {"b": 2}),
        ("addresses", [mail("a@example.org", True)], []),
        ("consent", DOCUMENT["consent"], []),
        ("opt_outs", [{"all": True}], [{"channel": "sms"}]),
        ("paused_until", "2026-03-05T00:00:00Z", None),
        ("channel_order", ["sms", "email"], ["email"]),
        ("frequency", {"limit": 1, "per": "day"}, None),
        ("quiet_hours", DOCUMENT["quiet_hours"], []),
    ],
)
def test_the_later_change_of_a_field_wins_whichever_comes_first(field: str, first: Any, second: Any) -> None:
    early, late = changed(NOON, **{field: first}), changed(NOON + 1, **{field: second})
    assert preference.state_document(after(early))[field] == first
    assert preference.state_document(after(early, late))[field] == second
    assert preference.state_document(after(late, early))[field] == second


def test_of_changes_at_one_instant_the_later_arrival_wins() -> None:
    assert preference.to_facts(after(changed(NOON, locale="de"), changed(NOON, locale="en"))).locale == "en"
    assert traits(after(identified(NOON, traits={"a": 1}), identified(NOON, traits={"a": 2}))) == {"a": 2}
    assert traits(after(identified(NOON, traits={"a": 1}), changed(NOON, traits={"b": 2}))) == {"b": 2}


def test_a_late_change_still_sets_the_fields_that_nothing_later_has_set() -> None:
    late = changed(NOON - HOUR, opt_outs=[{"all": True}], paused_until="2026-03-02T13:30:00Z")
    facts = preference.to_facts(after(changed(NOON, opt_outs=[]), late))
    assert facts.opt_outs == ()
    assert facts.paused_until == parse_instant("2026-03-02T13:30:00Z")


def test_what_changes_nothing_says_so_and_keeps_the_version() -> None:
    state = after(changed(NOON, locale="de"))
    assert apply_preference_event(state, event(at=NOON - 1), {"locale": "en"}) is None
    assert apply_preference_event(state, event("shop.offer"), {"opt_outs": [{"all": True}]}) is None
    assert apply_preference_event(state, event("tactful.customer.erased"), {}) is None
    assert apply_preference_event(state, event(CUSTOMER_IDENTIFIED), {}) is None
    changed_once = apply_preference_event(state, event(at=NOON), {"locale": "en"})
    assert changed_once is not None
    assert changed_once.version == state.version + 1


def test_a_document_has_no_time_so_any_change_may_replace_its_fields() -> None:
    state = after(changed(0, locale="fr"), identified(0, traits={"vip": None}), start=known())
    assert preference.to_facts(state).locale == "fr"
    assert traits(state) == {"name": "Ada"}


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"opt_outs": [{"chanel": "sms"}]}, "/data/opt_outs/0/chanel"),
        ({"opt_outs": [{"channel": "fax"}]}, "/data/opt_outs/0/channel"),
        ({"opt_outs": [{}]}, "/data/opt_outs/0"),
        ({"opt_outs": None}, "/data/opt_outs"),
        ({"opt_outs": [{"all": True}], "paused_until": "tomorrow"}, "/data/paused_until"),
        ({"optouts": [{"all": True}]}, "/data/optouts"),
        ({"pausedUntil": "2026-03-05T00:00:00Z", "locale": "de"}, "/data/pausedUntil"),
        ({"zone": "Mars/Olympus"}, "/data/zone"),
        ({"customer": "c-2", "locale": "de"}, "/data/customer"),
        ({}, "/data"),
        ({"colour": "red"}, "/data"),
    ],
)
def test_a_change_with_any_wrong_field_is_refused_whole(data: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        apply_preference_event(known(), event(customer="c-1042"), data)
    assert caught.value.pointer == pointer


def test_unknown_fields_that_resemble_none_of_ours_are_passed_over() -> None:
    state = after(changed(NOON, locale="de", channel="web", requested_by="agent-7"))
    assert preference.to_facts(state).locale == "de"


@pytest.mark.parametrize(
    ("data", "pointer"),
    [
        ({"traits": [1]}, "/data/traits"),
        ({"traits": {f"t{number}": 1 for number in range(201)}}, "/data/traits"),
        ({"addresses": [{"channel": "email"}]}, "/data/addresses/0/address"),
        ({"country": "Germany"}, "/data/country"),
    ],
)
def test_an_identifying_event_with_a_wrong_field_is_refused(data: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        apply_preference_event(preference.empty_state("c-1"), event(CUSTOMER_IDENTIFIED), data)
    assert caught.value.pointer == pointer


def test_an_identifying_event_touches_no_choice() -> None:
    found = checked(event(CUSTOMER_IDENTIFIED), {"locale": "fr", "opt_outs": [], "paused_until": None, "consent": []})
    assert [pointer for pointer, _, _ in found.problems] == ["/data/opt_outs", "/data/paused_until", "/data/consent"]
    change = preference.to_change(event(CUSTOMER_IDENTIFIED), found)
    state = None if change is None else preference.apply_change(known(), change)
    assert state is not None
    assert preference.state_document(state) == DOCUMENT | {"customer": "c-1042", "locale": "fr"}


def test_traits_are_merged_by_name_each_with_its_own_time() -> None:
    state = after(
        identified(NOON, traits={"a": 1, "b": 1}),
        identified(NOON - 1, traits={"a": 0, "c": 0}),
        identified(NOON + 1, traits={"b": 2}),
    )
    assert traits(state) == {"a": 1, "b": 2, "c": 0}


def test_a_null_trait_removes_it_and_no_earlier_change_brings_it_back() -> None:
    state = after(identified(NOON, traits={"a": 1}), identified(NOON + 2, traits={"a": None}))
    assert traits(state) == {}
    assert traits(after(identified(NOON + 1, traits={"a": 5}), start=state)) == {}
    assert traits(after(changed(NOON + 1, traits={"a": 5, "b": 6}), start=state)) == {"b": 6}


def test_a_whole_change_of_traits_replaces_all_but_those_merged_later() -> None:
    merged = identified(NOON, traits={"old": 1}), identified(NOON + 2, traits={"new": 1})
    assert traits(after(*merged, changed(NOON + 1, traits={"whole": 1, "new": 0}))) == {"whole": 1, "new": 1}
    assert traits(after(changed(NOON + 1, traits={"whole": 1}), *merged)) == {"whole": 1, "new": 1}


def test_addresses_are_merged_in_place_by_channel_and_address_without_case() -> None:
    state = after(
        identified(NOON, addresses=[mail("a@example.org"), mail("b@example.org")]),
        identified(NOON + 1, addresses=[mail(" A@Example.org", True), {"channel": "sms", "address": "+4930123456"}]),
    )
    assert addresses(state) == [" A@Example.org", "b@example.org", "+4930123456"]
    assert preference.to_facts(state).addresses[0].verified


def test_a_whole_change_of_addresses_replaces_all_but_those_merged_later() -> None:
    whole = changed(NOON + 1, addresses=[mail("w@example.org"), mail("n@example.org")])
    merged = (
        identified(NOON, addresses=[mail("o@example.org")]),
        identified(NOON + 2, addresses=[mail("n@example.org", True), mail("z@example.org")]),
    )
    for order in itertools.permutations([whole, *merged]):
        state = after(*order)
        assert addresses(state) == ["w@example.org", "n@example.org", "z@example.org"]
        assert [entry.verified for entry in preference.to_facts(state).addresses] == [False, True, False]


def test_a_customer_never_grows_beyond_the_documents_limits() -> None:
    state = after(identified(NOON, traits={f"t{number}": 1 for number in range(200)}))
    with pytest.raises(InvalidEvent, match="200 traits"):
        apply_preference_event(state, event(CUSTOMER_IDENTIFIED, NOON + 1), {"traits": {"one": 1}})
    state = after(identified(NOON, addresses=[mail(f"a{number}@example.org") for number in range(100)]))
    with pytest.raises(InvalidEvent, match="100 addresses"):
        apply_preference_event(state, event(CUSTOMER_IDENTIFIED, NOON + 1), {"addresses": [mail("b@example.org")]})


def test_removed_traits_do_not_pile_up() -> None:
    state = preference.empty_state("c-1")
    for number in range(10):
        names = {f"t{number}-{place}": None for place in range(150)}
        state = after(identified(NOON + number, traits=names), start=state)
    assert len(state.trait_times) == 200


def test_a_persons_word_counts_even_against_a_clock_that_ran_ahead() -> None:
    state = after(changed(NOON + HOUR, opt_outs=[], traits={"a": 1}), identified(NOON + 2 * HOUR, traits={"b": 1}))
    state = preference.apply_patch(state, {"opt_outs": [{"all": True}], "traits": {}}, NOON)
    assert preference.to_facts(state).opt_outs[0].all
    assert traits(state) == {}
    assert apply_preference_event(state, event(at=NOON + HOUR - 1), {"opt_outs": []}) is None


def test_a_patch_with_a_wrong_field_changes_nothing() -> None:
    with pytest.raises(DocumentError):
        preference.apply_patch(known(), {"locale": "en", "zone": "nowhere"}, NOON)


POSITION = ("customer.events", 3, 7)


def test_a_quarantine_ends_with_its_letter_and_with_nothing_else() -> None:
    state = preference.quarantine(known(), POSITION, NOON)
    assert preference.to_facts(state).quarantines == (Quarantine(*POSITION, NOON, NOON + DAY),)
    assert preference.to_facts(state).paused_until is None
    assert state.version == 2
    state = after(changed(NOON + 1, opt_outs=[]), identified(NOON, locale="fr"), start=state)
    state = preference.apply_patch(state, {"opt_outs": []}, NOON + 2)
    assert preference.to_facts(state).quarantines
    assert preference.release(state, ("customer.events", 3, 8)) is state
    assert preference.to_facts(preference.release(state, POSITION)).quarantines == ()


def number(text: str, verified: bool = True) -> dict[str, Any]:
    return {"channel": "sms", "address": text, "verified": verified}


def given_and_form(state: preference.PreferenceState) -> list[tuple[str, str]]:
    return [(each.address, each.canonical_form) for each in preference.to_facts(state).addresses]


def test_spellings_of_one_number_are_one_address_as_it_was_last_set() -> None:
    start = preference.apply_patch(preference.empty_state("c-1"), {"country": "GB", "addresses": []}, NOON - DAY)
    first, second = number("07700 900101", False), number("+44 7700 900101")
    for events in itertools.permutations(
        [identified(NOON, addresses=[first]), identified(NOON + 1, addresses=[second]), identified(NOON + 2)]
    ):
        state = after(*events, start=start)
        assert given_and_form(state) == [("+44 7700 900101", "+447700900101")]
        assert preference.to_facts(state).addresses[0].verified


def test_when_the_country_is_known_later_numbers_in_national_form_are_made_anew() -> None:
    events = [
        identified(NOON, addresses=[number("07700 900101")]),
        identified(NOON + 1, addresses=[number("+447700900101")]),
        identified(NOON + 2, country="GB"),
        identified(NOON + 3, addresses=[mail("x@example.org")]),
    ]
    expected = [("+447700900101", "+447700900101"), ("x@example.org", "x@example.org")]
    for order in itertools.permutations(events):
        state = after(*order)
        assert given_and_form(state) == expected
        assert preference.unpack(preference.pack(state), None) == state


def test_the_organisations_country_reads_what_the_customers_does_not() -> None:
    events = [identified(NOON, addresses=[number("07700 900101")])]
    unread, read = after(*events), after(*events, start=preference.empty_state("c-1", "GB"))
    assert preference.to_facts(unread).addresses[0].problem is not None
    assert given_and_form(read) == [("07700 900101", "+447700900101")]
    assert preference.unpack(preference.pack(unread), "GB") == read
    assert preference.read_packed_facts(preference.pack(unread), "GB") == preference.to_facts(read)
    assert isinstance(preference.read_packed_facts(preference.pack(read), "GB"), msgspec.Raw)


def test_an_internationalised_domain_and_its_ascii_form_are_one_address() -> None:
    state = after(
        identified(NOON, addresses=[mail("ada@bücher.example")]),
        identified(NOON + 1, addresses=[mail("Ada@xn--bcher-kva.example")]),
    )
    assert given_and_form(state) == [("Ada@xn--bcher-kva.example", "Ada@xn--bcher-kva.example")]


def test_two_letters_hold_a_customer_until_both_are_closed() -> None:
    other = ("customer.events", 3, 8)
    state = preference.quarantine(preference.quarantine(known(), POSITION, NOON), other, NOON + HOUR)
    state = preference.release(state, POSITION)
    assert [each.until for each in preference.to_facts(state).quarantines] == [NOON + HOUR + DAY]
    assert preference.to_facts(preference.release(state, other)).quarantines == ()


def test_the_block_of_the_version_before_is_a_quarantine_of_an_unknown_record() -> None:
    packed = preference.pack(msgspec.structs.replace(known(), blocked_until=NOON + DAY))
    (quarantine,) = preference.unpack(packed, None).preference.quarantines
    assert (quarantine.start, quarantine.until) == (NOON, NOON + DAY)
    facts = preference.read_packed_facts(packed, None)
    assert isinstance(facts, Preference) and facts.quarantines == (quarantine,)


def test_good_entries_of_a_list_with_a_bad_one_are_added_and_nothing_is_taken_away() -> None:
    state = after(changed(NOON, opt_outs=[{"topic": "news"}]))
    found = checked(event(), {"opt_outs": [{"channel": "sms"}, {"chanel": "email"}, {"topic": "news"}]})
    assert [pointer for pointer, _, _ in found.problems] == ["/data/opt_outs/1/chanel"]
    change = preference.to_change(event(), found)
    assert change is not None
    after_change = preference.apply_change(state, change)
    assert after_change is not None
    assert preference.state_document(after_change)["opt_outs"] == [{"topic": "news"}, {"channel": "sms"}]
    assert preference.apply_change(after_change, change) is None
