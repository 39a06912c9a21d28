"""The pure parts of consent: evidence, terms, double opt-in, and what a record says now."""

from typing import Any

import msgspec
import pytest

from schemas.consent_evidence import LEGAL_BASES, agent_family, check_network, find_unproven, network_of
from schemas.customer import ConsentRecord, Customer
from schemas.documents import DocumentError, validate_document
from schemas.facts import Consent, OptOut, Preference
from schemas.policy_topics import PolicyTopic, PolicyTopics
from schemas.times import DAY, parse_instant
from schemas.vocabulary import CHANNELS
from services.preference import preference_state
from services.preference.consents.consent_report import consent_state
from services.preference.consents.consent_requests import forbids
from services.preference.consents.consent_terms import ConsentTerms
from services.preference.consents.double_opt_in import hold_unconfirmed, lift_opt_outs, must_be_confirmed
from services.preference.preference_state import read_packed_facts

AT = parse_instant("2026-03-02T10:00:00Z")
GRANT = {
    "channel": "email",
    "topic": "news",
    "status": "granted",
    "at": "2026-03-02T10:00:00Z",
    "source": "checkout",
    "wording": "newsletter-3",
}
TOPICS = PolicyTopics(1, (PolicyTopic("news", "News", double_opt_in=("email",)), PolicyTopic("sales", "Sales")))


def consent(topic: str = "news", at: int = AT, **fields: Any) -> Consent:
    return Consent(fields.pop("channel", "email"), topic, fields.pop("status", "granted"), at, **fields)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("203.0.113.0/24", "203.0.113.0/24"),
        ("203.0.113.7/24", "203.0.113.0/24"),  # the rest of the address is not kept
        ("203.0.0.0/16", "203.0.0.0/16"),
        ("2001:db8:1::/48", "2001:db8:1::/48"),
        ("ipv4 from DE", "ipv4 from DE"),
        ("ipv6", "ipv6"),
        ("203.0.113.7", None),
        ("203.0.113.7/32", None),
        ("203.0.113.0/25", None),
        ("2001:db8::1", None),
        ("2001:db8:1:2::/64", None),
        ("ipv4 from Germany", None),
        ("somewhere", None),
    ],
)
def test_a_network_is_kept_and_an_address_refused(text: str, kept: str | None) -> None:
    if kept is None:
        with pytest.raises(ValueError):
            check_network(text)
    else:
        assert check_network(text) == kept


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("198.51.100.77", "198.51.100.0/24"),
        ("::ffff:198.51.100.77", "198.51.100.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("testclient", None),
        ("", None),
        (None, None),
    ],
)
def test_of_a_callers_address_the_network_is_kept(host: str | None, network: str | None) -> None:
    assert network_of(host) == network


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0 Safari/537.36", "Chrome"),
        ("Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0", "Edge"),
        ("Mozilla/5.0 (iPhone) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/604.1", "Safari"),
        ("ada@example.org", "other"),
        ("", None),
        (None, None),
    ],
)
def test_of_a_user_agent_the_family_is_kept(agent: str | None, family: str | None) -> None:
    assert agent_family(agent) == family


@pytest.mark.parametrize(
    ("evidence", "pointer"),
    [
        ({"form": "https://shop.example/form?email=ada@example.org"}, "form"),
        ({"form": "https://ada@shop.example/form"}, "form"),
        ({"form": "ftp://shop.example"}, "form"),
        ({"form": "https://shop.example/#ada"}, "form"),
        ({"network": "203.0.113.7"}, "network"),
        ({"agent": "Mozilla/5.0 (X11; Linux x86_64)"}, "agent"),
        ({"ip": "203.0.113.7"}, "ip"),
    ],
)
def test_evidence_that_says_too_much_is_refused_with_its_place(evidence: dict[str, str], pointer: str) -> None:
    with pytest.raises(DocumentError) as refused:
        validate_document(Customer, {"customer": "c-1", "consent": [GRANT | {"evidence": evidence}]})
    assert [each[0] for each in refused.value.errors] == [f"/consent/0/evidence/{pointer}"]


@pytest.mark.parametrize(
    ("entry", "missing"),
    [
        (GRANT, []),
        (GRANT | {"source": None}, ["source"]),
        ({"status": "granted"}, ["source", "wording"]),
        (GRANT | {"basis": "newsletter law"}, ["basis"]),
        *((GRANT | {"basis": basis}, []) for basis in LEGAL_BASES),
        ({"status": "withdrawn", "basis": "newsletter law"}, []),  # a refusal never needs anything
        ({"status": "refused"}, []),
        ("nonsense", []),
    ],
)
def test_a_grant_needs_proof_and_a_refusal_nothing(entry: Any, missing: list[str]) -> None:
    assert [name for name, _, _ in find_unproven(entry)] == missing


def test_a_basis_of_before_stays_readable() -> None:
    customer = validate_document(Customer, {"customer": "c-1", "consent": [GRANT | {"basis": "newsletter law"}]})
    assert preference_state.state_document(preference_state.from_document(customer))["consent"][0]["basis"] == (
        "newsletter law"
    )


@pytest.mark.parametrize(
    ("fields", "days"),
    [
        ({"basis": "implied", "occasion": "purchase"}, 730),
        ({"basis": "implied", "occasion": "inquiry"}, 181),
        ({"basis": "implied"}, 181),  # whoever does not say gets the shorter term
        ({"basis": "soft_opt_in"}, 365),
        ({"basis": "consent"}, None),
        ({"basis": "contract"}, None),
        ({"basis": "legitimate_interest"}, None),
        ({}, None),
        ({"basis": "implied", "status": "withdrawn"}, None),
    ],
)
def test_a_consent_that_must_end_gets_an_end(fields: dict[str, Any], days: int | None) -> None:
    terms, record = ConsentTerms(soft_opt_in_days=365), consent(**fields)
    assert terms.with_end(record).expires == (None if days is None else AT + days * DAY)
    ends = msgspec.structs.replace(record, expires=AT + DAY)
    assert terms.with_end(ends) is ends


def test_terms_are_never_longer_than_the_law() -> None:
    """Two years and six months of the calendar, from any day, are no shorter than what counts here."""
    for month in range(1, 13):
        at = parse_instant(f"2025-{month:02d}-01T00:00:00Z")
        half, year = (month + 5) % 12 + 1, 2025 + (month + 5) // 12
        terms = ConsentTerms()
        inquiry = terms.with_end(consent(at=at, basis="implied", occasion="inquiry")).expires
        purchase = terms.with_end(consent(at=at, basis="implied", occasion="purchase")).expires
        assert inquiry is not None and inquiry <= parse_instant(f"{year}-{half:02d}-01T00:00:00Z")
        assert purchase is not None and purchase <= parse_instant(f"2027-{month:02d}-01T00:00:00Z")


@pytest.mark.parametrize(
    ("record", "needed"),
    [
        (consent(), True),
        (consent("*"), True),  # it would cover the topic as well
        (consent(requested=AT - DAY), False),
        (consent(imported=True), False),
        (consent(status="withdrawn"), False),
        (consent(channel="sms"), False),
        (consent("sales"), False),
    ],
)
def test_which_grants_must_be_confirmed(record: Consent, needed: bool) -> None:
    assert must_be_confirmed(record, TOPICS) is needed
    assert must_be_confirmed(record, None) is False
    held = hold_unconfirmed({"consent": (record,)}, (), TOPICS)["consent"][0]
    assert (held.status == "unconfirmed") is needed
    assert hold_unconfirmed({"consent": (record,)}, (record,), TOPICS)["consent"] == (record,)


def test_asking_again_lifts_the_opt_out_from_just_that() -> None:
    wide = (OptOut(all=True), OptOut(cls="marketing"), OptOut(channel="email"), OptOut(topic="sales"))
    assert lift_opt_outs(wide, "email", "news") == wide
    assert lift_opt_outs((OptOut(channel="email", topic="news"),), "email", "news") == ()
    others = lift_opt_outs((OptOut(topic="news"),), "email", "news")
    assert {entry.channel for entry in others} == {*CHANNELS} - {"email"} and {each.topic for each in others} == {
        "news"
    }


@pytest.mark.parametrize(
    ("entry", "forbidden"),
    [
        (OptOut(all=True), True),
        (OptOut(cls="marketing"), True),
        (OptOut(cls="service"), False),
        (OptOut(channel="email"), True),
        (OptOut(topic="news"), True),
        (OptOut(channel="email", topic="sales"), False),
        (OptOut(channel="sms"), False),
    ],
)
def test_what_still_forbids_a_confirmed_consent(entry: OptOut, forbidden: bool) -> None:
    assert forbids((entry,), "email", "news") is forbidden


@pytest.mark.parametrize(
    ("records", "states"),
    [
        ([consent()], ["in_force"]),
        ([consent(at=AT + DAY)], ["not_yet"]),
        ([consent(at=AT - 2 * DAY, expires=AT)], ["expired"]),
        ([consent(status="unconfirmed")], ["unconfirmed"]),
        ([consent(at=AT - DAY), consent(status="withdrawn")], ["superseded", "refused"]),
        ([consent(), consent(status="withdrawn")], ["superseded", "refused"]),
        ([consent(at=AT - DAY), consent("*", status="withdrawn")], ["superseded", "refused"]),
        ([consent("*", at=AT - DAY), consent(status="withdrawn")], ["in_force", "refused"]),
        ([consent(at=AT - DAY), consent(channel="sms")], ["in_force", "in_force"]),
    ],
)
def test_what_a_record_says_now(records: list[Consent], states: list[str]) -> None:
    assert [consent_state(record, records, AT) for record in records] == states


def test_facts_of_before_are_read_and_facts_of_now_by_processes_of_before() -> None:
    class ConsentOfBefore(msgspec.Struct, frozen=True, array_like=True):
        channel: str
        topic: str
        status: str
        at: int
        expires: int | None = None
        source: str | None = None
        wording: str | None = None
        basis: str | None = None

    old = ConsentOfBefore("email", "news", "granted", AT, None, "checkout", "newsletter-3", "consent")
    packed = msgspec.msgpack.encode(old)
    assert msgspec.msgpack.decode(packed, type=Consent) == consent(
        source="checkout", wording="newsletter-3", basis="consent"
    )
    document = {**GRANT, "requested": GRANT["at"], "evidence": {"agent": "Firefox"}, "imported": True}
    record = validate_document(ConsentRecord, document)
    state = preference_state.from_document(Customer(customer="c-1", consent=(record,)))
    facts = msgspec.msgpack.decode(
        msgspec.msgpack.encode(read_packed_facts(preference_state.pack(state), None)), type=Preference
    )
    assert facts == preference_state.to_facts(state)
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(facts.consent[0]), type=ConsentOfBefore).wording == (
        "newsletter-3"
    )
