"""The chain of the audit log: whatever is changed is found, and where."""

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.audit_log import (
    FIRST_DIGEST,
    AuditEntry,
    AuditHead,
    AuditRecord,
    check_log,
    make_record,
    read_line,
    write_lines,
)
from schemas.audited_actions import FLOW_ACTIONS, UNAUDITED_LOOKS, is_audited
from schemas.roles import ALLOWED_ACTIONS
from services.kit.audit_signature import HeadKey, is_signed

KEY = HeadKey("a-key-for-the-heads-of-tests")


def entry_of(seq: int, name: str = "ada") -> AuditEntry:
    return AuditEntry("orchestrator", "asked", name, "key_1", "agent", action="customers:read", about=(f"h-{seq}",))


def log_of(count: int, name: str = "ada") -> list[AuditRecord]:
    records, digest = [], FIRST_DIGEST
    for seq in range(1, count + 1):
        entry = entry_of(seq, name)
        records.append(make_record(digest, seq, seq * 1000, entry))
        digest = records[-1].digest
    return records


def head_of(records: list[AuditRecord]) -> AuditHead:
    return KEY.sign(records[-1].seq, records[-1].digest, 5)


def rewrite(records: list[AuditRecord], seq: int) -> list[AuditRecord]:
    """Change one entry, and write all later digests anew: what somebody does who knows the chain."""
    kept, digest = records[: seq - 1], records[seq - 2].digest if seq > 1 else FIRST_DIGEST
    for number in range(seq, len(records) + 1):
        name = "mallory" if number == seq else "ada"
        entry = entry_of(number, name)
        kept.append(make_record(digest, number, number * 1000, entry))
        digest = kept[-1].digest
    return kept


def test_a_log_as_it_was_written_is_in_order() -> None:
    records = log_of(9)
    assert check_log(records, [head_of(records[:4]), head_of(records)]) is None
    assert check_log([]) is None
    assert [read_line(line) for line in write_lines(records)] == records


def _swapped(records: list[AuditRecord]) -> list[AuditRecord]:
    return [*records[:3], records[4], records[3], *records[5:]]


def _swapped_under_their_numbers(records: list[AuditRecord]) -> list[AuditRecord]:
    a, b = records[3], records[4]
    return [*records[:3], AuditRecord(4, b.body, b.digest), AuditRecord(5, a.body, a.digest), *records[5:]]


@pytest.mark.parametrize(
    "tamper, seq, code",
    [
        (lambda r: [*r[:3], *r[4:]], 4, "missing"),
        (lambda r: r[1:], 1, "missing"),
        (_swapped, 4, "missing"),
        (_swapped_under_their_numbers, 4, "moved"),
        (lambda r: [*r[:4], r[3], *r[4:]], 5, "moved"),
        (lambda r: r[:6], 7, "cut"),
        (lambda r: [], 1, "cut"),
        (lambda r: rewrite(r, 7), 5, "rewritten"),  # between the head at 4, which agrees, and the one at 9
        (lambda r: rewrite(r, 2), 1, "rewritten"),
    ],
)
def test_the_place_is_named(tamper: Callable[[list[AuditRecord]], list[AuditRecord]], seq: int, code: str) -> None:
    records = log_of(9)
    broken = check_log(tamper(records), [head_of(records[:4]), head_of(records)])
    assert broken is not None
    assert (broken.seq, broken.code) == (seq, code), broken.detail


@given(st.integers(1, 6), st.data())
def test_any_one_changed_byte_is_found_where_it_is(seq: int, data: st.DataObject) -> None:
    records = log_of(6)
    victim = records[seq - 1]
    field = data.draw(st.sampled_from(["body", "digest"]))
    text = getattr(victim, field)
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda each: each != text[at]))
    records[seq - 1] = msgspec.structs.replace(victim, **{field: text[:at] + other + text[at + 1 :]})
    broken = check_log(records)
    assert broken is not None
    assert broken.seq == seq


def test_heads_are_signed_by_the_key_alone() -> None:
    head = head_of(log_of(3))
    assert is_signed(head, KEY.public_key)
    assert not is_signed(head, HeadKey("another-key-of-these-tests").public_key)
    for changed in ({"seq": 4}, {"digest": "0" * 64}, {"at": 6}, {"signature": "00" * 64}, {"signature": "no"}):
        assert not is_signed(msgspec.structs.replace(head, **changed), KEY.public_key)


def test_what_is_not_named_is_audited() -> None:
    actions = frozenset().union(*ALLOWED_ACTIONS.values()) - {"*"}
    for action in actions:
        assert is_audited(action, by_program=False) is (action not in UNAUDITED_LOOKS)
        assert is_audited(action, by_program=True) is (action not in UNAUDITED_LOOKS | FLOW_ACTIONS)
    assert is_audited("holds:read", by_program=False, shows_customers=True)
    assert is_audited("something:new", by_program=True)
    assert {action for action in UNAUDITED_LOOKS if not action.endswith(":read")} == set()
