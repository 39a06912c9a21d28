"""Signatures of AWS, version 4. The signatures in VECTORS were made by `SigV4Auth` of botocore 1.44.8."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.times import parse_instant
from services.orchestrator.delivery.adapters.ses.aws_signature import AccessKey, sign_post

NOW = parse_instant("2026-03-02T09:00:07.9Z")
KEY_ID, SECRET, TOKEN = "AKIDEXAMPLE000000000", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "FwoGZXIvYXdzE/+/token=="
URL = "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails"
JSON = "application/json"
NULS = b"\x00" * 5000
VECTORS: list[tuple[str, str, str | None, bytes, str]] = [
    (
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b"",
        "1089baacc2811b342424b88da938108d7b9abb2d970ad17c136e3466a2a58d97",
    ),
    (
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b'{"a": "\xc3\xa4"}',
        "6c0e396782d833a0ab7ff96151ec71564f6faa47c4b6eb7902125a1d411911cd",
    ),
    (
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "eu-west-1",
        None,
        NULS,
        "f28fbb082e5ebc3dfc29cb7d5f42a74bc11ef4c3b25c387731231d8cc809f2a9",
    ),
    (
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b"",
        "f1694dcd64fb6db0fa2fd786ff541658d151f57637dc11e2f7af8145f9417241",
    ),
    (
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b'{"a": "\xc3\xa4"}',
        "9e00485be6d055fb4bd5d703bc742e2ec840e1d06e41e686ec9c5fb19133b512",
    ),
    (
        "https://email.eu-west-1.amazonaws.com/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        NULS,
        "453e4fffc10e81426867c2bf92118c352c15ea6b5468b7bc866c50de7c9933ef",
    ),
    (
        "https://EMAIL.eu-west-1.amazonaws.com:443/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b"",
        "1089baacc2811b342424b88da938108d7b9abb2d970ad17c136e3466a2a58d97",
    ),
    (
        "https://EMAIL.eu-west-1.amazonaws.com:443/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b'{"a": "\xc3\xa4"}',
        "6c0e396782d833a0ab7ff96151ec71564f6faa47c4b6eb7902125a1d411911cd",
    ),
    (
        "https://EMAIL.eu-west-1.amazonaws.com:443/v2/email/outbound-emails",
        "eu-west-1",
        None,
        NULS,
        "f28fbb082e5ebc3dfc29cb7d5f42a74bc11ef4c3b25c387731231d8cc809f2a9",
    ),
    (
        "https://EMAIL.eu-west-1.amazonaws.com:443/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b"",
        "f1694dcd64fb6db0fa2fd786ff541658d151f57637dc11e2f7af8145f9417241",
    ),
    (
        "https://EMAIL.eu-west-1.amazonaws.com:443/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b'{"a": "\xc3\xa4"}',
        "9e00485be6d055fb4bd5d703bc742e2ec840e1d06e41e686ec9c5fb19133b512",
    ),
    (
        "https://EMAIL.eu-west-1.amazonaws.com:443/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        NULS,
        "453e4fffc10e81426867c2bf92118c352c15ea6b5468b7bc866c50de7c9933ef",
    ),
    (
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b"",
        "144199a031cedc0ab51e9b493b8407f64dd103a0d9745fc5004c0424571fde99",
    ),
    (
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b'{"a": "\xc3\xa4"}',
        "b85c5b297f00537bcfaf6f8d8503703d2b0e65e1b4398fa58ea59c636ad920ab",
    ),
    (
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "eu-west-1",
        None,
        NULS,
        "8a2bbf29c94fcd9a3f22a9b98630297e7bdb954120f3edd1ffc3a0883344c01d",
    ),
    (
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b"",
        "6d9dac76780ebc6f621759a5c66e95d6b770847934aab6705f8eeebf4b8ad832",
    ),
    (
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b'{"a": "\xc3\xa4"}',
        "fc2165e8c8d8285752ccc6cecff91ba7204eb588fad114dc6a2fa0548b2fab1a",
    ),
    (
        "https://email.eu-west-1.amazonaws.com:8443/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        NULS,
        "df6000d75be16f4e0e3a12f8fece52ba74c52d2b974cca88e091f71539e292c9",
    ),
    (
        "http://127.0.0.1:5000/ses/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b"",
        "4f56b724c58f3eddd22dad582bc64c01c91bfb340185d9661b238c82eee43daf",
    ),
    (
        "http://127.0.0.1:5000/ses/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b'{"a": "\xc3\xa4"}',
        "58cde026a8e47f5bd3274129b64d3556865109662e1834c5f6441d2b0b466a44",
    ),
    (
        "http://127.0.0.1:5000/ses/v2/email/outbound-emails",
        "eu-west-1",
        None,
        NULS,
        "77eb3d7d349da92985d7a6429ad9f82f1ffb162d620c3eadf417a8d4c6bb5c6e",
    ),
    (
        "http://127.0.0.1:5000/ses/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b"",
        "382962b6f8a3455e33207ebf07378d6d45adf868a827f9145d965b22887c1f05",
    ),
    (
        "http://127.0.0.1:5000/ses/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b'{"a": "\xc3\xa4"}',
        "38cc298a2c3df60623556e554280bfd167532bc1231719f95a977f769fcb4715",
    ),
    (
        "http://127.0.0.1:5000/ses/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        NULS,
        "bac23e7707cc7de7fef0795f6cf554df079ebcef48894067522f3079a4edce89",
    ),
    (
        "http://[::1]:5000/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b"",
        "3f606892b76965c885dc7817c2cf04087174e97533df403de23b9d960bb358a1",
    ),
    (
        "http://[::1]:5000/v2/email/outbound-emails",
        "eu-west-1",
        None,
        b'{"a": "\xc3\xa4"}',
        "d5c857a18fbb8805dcf2c762a408d56356050e62edccf0d996972e81b7f09127",
    ),
    (
        "http://[::1]:5000/v2/email/outbound-emails",
        "eu-west-1",
        None,
        NULS,
        "c3cbf999fb9ff8a6f2da7ee898376549497c92460e7c5bcb96c3b0a082afa4ad",
    ),
    (
        "http://[::1]:5000/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b"",
        "8dba74828ed118ec031b7995e74afb7f8432ff12dab8b20c53914694b9a22906",
    ),
    (
        "http://[::1]:5000/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        b'{"a": "\xc3\xa4"}',
        "f471fba63abe06be0e3e0219bc3c11e314d9bf7ebf9b8a062d61d35e76e1b773",
    ),
    (
        "http://[::1]:5000/v2/email/outbound-emails",
        "eu-west-1",
        TOKEN,
        NULS,
        "7145f78868437965b5bcc81aa5b2be418249197640aa5ffddd35c34db31e93b3",
    ),
    (
        "https://email.us-gov-east-1.amazonaws.com",
        "us-gov-east-1",
        None,
        b"",
        "2e2f2c337369db71b7543b83664db60097fdaa5263a1d4d446d65989c1ca7147",
    ),
    (
        "https://email.us-gov-east-1.amazonaws.com",
        "us-gov-east-1",
        None,
        b'{"a": "\xc3\xa4"}',
        "0292bc2fd545b05e5def9a6e3aef98cb3b9c84e733f466b9d3dfd79993ca09d4",
    ),
    (
        "https://email.us-gov-east-1.amazonaws.com",
        "us-gov-east-1",
        None,
        NULS,
        "05a86e9d77ac3f79fa5aec9676f7d46b0a19fc060aa2b57c4ca48954d2bfce98",
    ),
    (
        "https://email.us-gov-east-1.amazonaws.com",
        "us-gov-east-1",
        TOKEN,
        b"",
        "1b54e8f3658cce29bb1f4efec7ef22c64d91ec64da00152ae99b8c3eb34aa2dd",
    ),
    (
        "https://email.us-gov-east-1.amazonaws.com",
        "us-gov-east-1",
        TOKEN,
        b'{"a": "\xc3\xa4"}',
        "0e25bd66a6b0ed76e0e09572ddc8407a3ca209ece8f2aa879905c8b648d36401",
    ),
    (
        "https://email.us-gov-east-1.amazonaws.com",
        "us-gov-east-1",
        TOKEN,
        NULS,
        "811a69ab2e6c7a72900c32f83993ce5d36f3dee53c4d4aaf111514b6ccc552f4",
    ),
]


@pytest.mark.parametrize(("url", "region", "token", "body", "signature"), VECTORS)
def test_a_signature_is_that_of_botocore(url: str, region: str, token: str | None, body: bytes, signature: str) -> None:
    signed = sign_post(AccessKey(KEY_ID, SECRET, token), region, "ses", url, JSON, body, NOW)
    names = "content-type;host;x-amz-date" + (";x-amz-security-token" if token else "")
    assert signed["authorization"] == (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20260302/{region}/ses/aws4_request, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    assert signed["x-amz-date"] == "20260302T090007Z"
    assert signed.get("x-amz-security-token") == token


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_another_body_has_another_signature(one: bytes, other: bytes) -> None:
    key = AccessKey(KEY_ID, SECRET)
    signed = [sign_post(key, "eu-west-1", "ses", URL, JSON, body, NOW)["authorization"] for body in (one, other)]
    assert (signed[0] == signed[1]) is (one == other)


def test_a_key_does_not_show_its_secret() -> None:
    shown = repr(AccessKey(KEY_ID, SECRET, TOKEN))
    assert KEY_ID in shown and SECRET not in shown and TOKEN not in shown
