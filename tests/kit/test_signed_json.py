"""Signed documents: what was signed verifies, and not one byte of it can be changed."""

import base64
import json
import string
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from services.kit.signed_json import DocumentSigner, NotGenuine, verify_document

SIGNER = DocumentSigner(b"a secret of the tests", b"purpose")
TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)
CONTENTS = st.dictionaries(TEXTS, VALUES, max_size=5)
CONTENT: dict[str, Any] = {"customer": "c-1", "words": "Ja, ä → ☃", "consents": [{"at": "2026-03-02T10:00:00Z"}]}


@given(CONTENTS)
def test_what_was_signed_is_read_back(content: dict[str, Any]) -> None:
    found = verify_document(SIGNER.sign(content), SIGNER.public_key)
    assert found.content == content and found.key == SIGNER.public_key


@given(st.integers(0), st.integers(1, 255))
def test_any_changed_byte_is_noticed_with_and_without_the_key(place: int, change: int) -> None:
    document = bytearray(SIGNER.sign(CONTENT))
    document[place % len(document)] ^= change
    for key in (None, SIGNER.public_key):
        with pytest.raises(NotGenuine):
            verify_document(bytes(document), key)


def test_any_byte_that_is_added_or_taken_away_is_noticed() -> None:
    document = SIGNER.sign(CONTENT)
    for place in range(len(document) + 1):
        for changed in (document[:place] + b" " + document[place:], document[:place] + document[place + 1 :]):
            if changed != document:
                with pytest.raises(NotGenuine):
                    verify_document(changed)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"\xff",
        b'{"content":{},"signature":null}',
        b'{"content":{},"signature":{"algorithm":"none","key":"","value":""}}',
        b'{"content":{},"signature":{"algorithm":"Ed25519","key":"","value":""}}',
        b'{"content":{},"signature":{"algorithm":"Ed25519","key":"\xc3\xa9","value":1}}',
        b"[" * 100_000,
        b'{"content":{"a":"\\ud800"},"signature":{"algorithm":"Ed25519","key":"","value":""}}',
    ],
)
def test_what_is_no_signed_document_is_refused(document: bytes) -> None:
    with pytest.raises(NotGenuine):
        verify_document(document)


def test_a_document_that_somebody_else_has_signed_is_refused_where_the_key_is_known() -> None:
    forged = DocumentSigner(b"another secret", b"purpose").sign(CONTENT)
    assert verify_document(forged).key != SIGNER.public_key  # genuine by its own key: the caller compares it
    with pytest.raises(NotGenuine, match="another key"):
        verify_document(forged, SIGNER.public_key)
    assert DocumentSigner(b"a secret of the tests", b"other").public_key != SIGNER.public_key


def test_anybody_can_verify_it_as_the_documentation_says() -> None:
    document = json.loads(SIGNER.sign(CONTENT))
    signed = json.dumps(document["content"], sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(document["signature"]["key"]))
    key.verify(base64.b64decode(document["signature"]["value"]), signed)


@pytest.mark.parametrize("name", ["key", "value"])
def test_a_signature_has_one_spelling_in_base64(name: str) -> None:
    """The last letter of base64 has bits that no byte takes, and decoders pass over them."""
    document = json.loads(SIGNER.sign(CONTENT))
    text = document["signature"][name]
    place = len(text.rstrip("=")) - 1
    spellings = [text[:place] + letter + text[place + 1 :] for letter in string.ascii_letters + string.digits + "+/"]
    same = [each for each in spellings if base64.b64decode(each) == base64.b64decode(text) and each != text]
    assert same
    for spelling in spellings:
        document["signature"][name] = spelling
        written = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        if spelling != text:
            with pytest.raises(NotGenuine):
                verify_document(written)
