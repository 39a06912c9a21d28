import pytest

from schemas.facts import MessageScope as Written
from services.orchestrator.policy.scope import CompiledScope, MessageAttributes

OFFER = MessageAttributes("offer", "news", "email", "marketing", "advertise")


@pytest.mark.parametrize(
    ("written", "kind", "covered"),
    [
        (Written(), OFFER, True),
        (Written(), OFFER._replace(cls="service"), True),
        (Written(), OFFER._replace(cls="transactional"), False),
        (Written(classes=frozenset({"transactional"})), OFFER._replace(cls="transactional"), True),
        (Written(channels=frozenset({"push"})), OFFER, False),
        (Written(topics=frozenset({"news"})), OFFER._replace(topic=None), False),
        (Written(intents=frozenset({"advertise"})), OFFER._replace(intent=None), False),
        (Written(campaigns=frozenset({"offer", "x"})), OFFER, True),
    ],
)
def test_every_field_must_match(written: Written, kind: MessageAttributes, covered: bool) -> None:
    assert CompiledScope.from_fields(written).covers(kind) is covered


def test_a_cap_leaves_in_app_out_unless_it_names_it() -> None:
    note = OFFER._replace(channel="in_app")
    assert CompiledScope.from_fields(Written()).covers(note)
    assert not CompiledScope.from_fields(Written()).for_cap().covers(note)
    assert CompiledScope.from_fields(Written(channels=frozenset({"in_app"}))).for_cap().covers(note)
