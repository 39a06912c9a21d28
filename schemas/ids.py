"""Names of things. The message id is deterministic, so it is also the idempotency key that providers see."""

import hashlib
import re

import msgspec

from schemas.text import is_visible

KEY_PATTERN = r"^[a-z0-9][a-z0-9-]{0,62}$"
SITUATION_KIND_PATTERN = r"^[a-z0-9][a-z0-9_-]{0,62}$"
MAX_ID_BYTES = 256

_JSON = msgspec.json.Encoder()
_CONTROL_CHARACTERS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def compute_message_id(
    customer: str, source: str, event_id: str, campaign: str, channel: str, step: str = "", occurrence: int = 0
) -> str:
    """`msg_` and the first 32 hex digits of SHA-256 over the JSON array of its parts (docs/documents.md)."""
    parts = [customer, source, event_id, campaign, step, channel, occurrence]
    return "msg_" + hashlib.sha256(_JSON.encode(parts)).hexdigest()[:32]


def hash_event(source: str, event_id: str) -> int:
    """64 bits that stand for (source, id) on a customer's ledger; signed, as databases keep them."""
    digest = hashlib.blake2b(f"{source}\0{event_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


def describe_invalid_id(text: str) -> str | None:
    """What is wrong with an outsider's id (empty, too long, control or direction marks, invisible), or None."""
    if 0 < len(text) <= MAX_ID_BYTES and text.isascii() and text.isprintable() and not text.isspace():
        return None
    if not text:
        return "is empty"
    if len(text.encode("utf-8", "surrogatepass")) > MAX_ID_BYTES:
        return f"is longer than {MAX_ID_BYTES} bytes"
    if _CONTROL_CHARACTERS.search(text):
        return "holds a control or text-direction character"
    if not is_visible(text):
        return "consists of blanks, marks or invisible characters alone"
    return None
