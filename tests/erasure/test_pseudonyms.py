"""Pseudonyms are the same everywhere, differ by key and by what they stand for, and hold nothing of it."""

from services.erasure.pseudonyms import Pseudonyms

ONE, OTHER = Pseudonyms(b"one key"), Pseudonyms(b"another key")


def test_a_customer_has_one_under_each_key() -> None:
    assert ONE.of_customer("ada") == Pseudonyms(b"one key").of_customer("ada")
    names = {ONE.of_customer("ada"), OTHER.of_customer("ada"), ONE.of_customer("Ada"), ONE.of_event("ada", "ada")}
    assert len(names) == 4
    assert all(name.startswith("erased-") and len(name) == 47 and "ada" not in name for name in names)
