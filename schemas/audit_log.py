"""The audit log as a value: its entries, the chain of digests over them, and the check that finds where it was changed.

Every entry carries SHA-256 over the digest before it and its own bytes. So whoever changes, removes or moves an entry
has to write all later digests anew, and then the log no longer agrees with a head that was signed and kept elsewhere.
The same functions write the log and check it; they need no database and no key.
"""

from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

FIRST_DIGEST = "0" * 64
"""What stands before the first entry."""

AuditEvent: TypeAlias = Literal["asked", "answered", "refused", "signed_in", "sign_in_refused", "signed_out"]


class AuditEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is recorded of one request: who asked for what, about whom, and how it ended.

    `asked` is written before anything is done, `answered` afterwards, with the number of the first in `request`. One
    that was asked and not answered ended with its process: nobody knows how. `refused`: the role forbids it.

    `about`: customers, as keyed hashes. `objects`: the parts of the path that name no customer, such as the key of a
    campaign. `key_id`: the key, `env` for the initial admin key, or a session. `person`: who holds the key, if it is a
    person's. `reason`: why, in the words of who asked; of an `answered` entry.
    """

    service: str
    event: AuditEvent
    name: str
    key_id: str
    role: str
    person: str | None = None
    action: str = ""
    method: str = ""
    route: str = ""
    about: tuple[str, ...] = ()
    objects: dict[str, str] = {}
    request: int | None = None
    status: int | None = None
    reason: str = ""


class AuditRecord(msgspec.Struct, frozen=True):
    """A row of the log. `body`: the entry with `seq` and `at`, as JSON, exactly the bytes that `digest` covers."""

    seq: int
    body: str
    digest: str


class AuditHead(msgspec.Struct, frozen=True):
    """Up to which entry the log was there at an instant, with the digest of that entry.

    `signature`: Ed25519 over `head_bytes`, by the key whose public half is `public_key`; both in hexadecimal.
    """

    seq: int
    digest: str
    at: int
    public_key: str
    signature: str


class BrokenPlace(msgspec.Struct, frozen=True):
    """The first place where a log is not what was written. `seq`: the number of the entry there."""

    seq: int
    code: Literal["missing", "moved", "changed", "rewritten", "cut", "bad_signature"]
    detail: str


def make_record(previous_digest: str, seq: int, at: int, entry: AuditEntry) -> AuditRecord:
    """The row for an entry that follows the one with this digest. `at` is in microseconds since 1970 UTC."""
    body = msgspec.json.encode({"seq": seq, "at": at, **msgspec.to_builtins(entry)}, order="sorted").decode()
    return AuditRecord(seq, body, chain_digest(previous_digest, body))


def chain_digest(previous_digest: str, body: str) -> str:
    """SHA-256 over the digest before and the bytes of the entry, in hexadecimal."""
    return sha256(f"{previous_digest}\n{body}".encode("utf-8", "surrogatepass")).hexdigest()


def head_bytes(seq: int, digest: str, at: int) -> bytes:
    """What the signature of a head covers."""
    return f"tactful audit head\n{seq}\n{digest}\n{at}".encode()


class ChainCheck:
    """Checks records in the order in which the log has them, one after the other, in bounded memory.

    `heads`: signed heads whose signatures were checked by the caller. After `feed` of all records, `check_end` says
    whether the end is missing. `checked`: how many entries were found to be in order.
    """

    def __init__(self, heads: Iterable[AuditHead] = ()) -> None:
        self._heads: dict[int, list[AuditHead]] = {}
        for head in heads:
            self._heads.setdefault(head.seq, []).append(head)
        self._digest = FIRST_DIGEST
        self._last_agreed = 0
        self.checked = 0

    def feed(self, records: Iterable[AuditRecord]) -> BrokenPlace | None:
        """Checks further records. Returns the first place that is wrong; do not feed more after that."""
        for record in records:
            if (broken := self._check_record(record)) is not None:
                return broken
            self._digest = record.digest
            self.checked = record.seq
        return None

    def check_end(self) -> BrokenPlace | None:
        """Returns where entries are missing at the end, by the heads."""
        last = max(self._heads, default=0)
        if last <= self.checked:
            return None
        signed = f"a head of {last} entries was signed, and the log ends after {self.checked}"
        return BrokenPlace(self.checked + 1, "cut", f"{signed}: its end has been removed")

    def _check_record(self, record: AuditRecord) -> BrokenPlace | None:
        expected = self.checked + 1
        if record.seq != expected:
            if record.seq > expected:
                detail = f"after entry {self.checked} comes {record.seq}: entry {expected} was removed or moved"
                return BrokenPlace(expected, "missing", detail)
            detail = f"after entry {self.checked} comes {record.seq} again: entries were moved or repeated"
            return BrokenPlace(expected, "moved", detail)
        if (own := _own_seq(record.body)) != expected:
            found = "is not readable" if own is None else f"is that of entry {own}"
            code: Literal["moved", "changed"] = "changed" if own is None else "moved"
            return BrokenPlace(expected, code, f"what stands as entry {expected} {found}")
        if chain_digest(self._digest, record.body) != record.digest:
            detail = f"entry {expected}, its digest, or the digest of the one before it has been changed"
            return BrokenPlace(expected, "changed", detail)
        return self._check_heads(record)

    def _check_heads(self, record: AuditRecord) -> BrokenPlace | None:
        for head in self._heads.get(record.seq, ()):
            if head.digest != record.digest:
                first = self._last_agreed + 1
                detail = (
                    f"entries {first} to {record.seq} are not those of the head that was signed: one of them was "
                    "changed, and all digests after it were written anew"
                )
                return BrokenPlace(first, "rewritten", detail)
            self._last_agreed = record.seq
        return None


def _own_seq(body: str) -> int | None:
    try:
        seq = msgspec.json.decode(body, type=dict).get("seq")
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return None
    return seq if isinstance(seq, int) else None


def check_log(records: Sequence[AuditRecord], heads: Iterable[AuditHead] = ()) -> BrokenPlace | None:
    """The first place where a whole log is not what was written; None if it is in order."""
    check = ChainCheck(heads)
    return check.feed(records) or check.check_end()


def write_lines(records: Iterable[AuditRecord]) -> Iterator[str]:
    """The records as JSON lines: the form of an export."""
    for record in records:
        yield msgspec.json.encode(record).decode()


def read_line(line: str) -> AuditRecord:
    """One line of an export. Raises ValueError."""
    try:
        return msgspec.json.decode(line, type=AuditRecord)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise ValueError(f"this line is no entry of an audit log ({error})") from None


def read_head_line(line: str) -> AuditHead:
    """One line of a file of heads: JSON, or a log line whose JSON has the head in `head`. Raises ValueError."""
    try:
        found = msgspec.json.decode(line, type=dict)
        return msgspec.convert(found.get("head", found), AuditHead)
    except (msgspec.MsgspecError, UnicodeEncodeError) as error:
        raise ValueError(f"this line is no head of an audit log ({error})") from None
