"""The sample of names: bounded, without values, and without keys that are data."""

from services.orchestrator.seen_names.sampler import MAX_NAMES, MAX_SAMPLES, NameSampler


def test_names_are_counted_once_a_sample_with_those_inside_objects_and_lists() -> None:
    sampler = NameSampler()
    sampler.observe("a", {"total": 1, "none": None, "items": [{"name": "x"}, {"name": "y", "b": {"c": 1}}]})
    sampler.observe("a", {"total": 2})
    expected = {"": 2, "total": 2, "items": 1, "items.name": 1, "items.b": 1, "items.b.c": 1}
    assert sampler.take() == {"a": expected}
    assert sampler.take() == {}


def test_keys_that_are_data_are_not_noted() -> None:
    sampler = NameSampler()
    sampler.observe("a", {"ada@example.org": 1, "+49151": {"x": 1}, "a b": 1, "ok": 1, "": 1, "x" * 70: 1})
    assert sampler.take() == {"a": {"": 1, "ok": 1}}


def test_the_sample_is_bounded() -> None:
    sampler = NameSampler()
    for number in range(MAX_SAMPLES + 5):
        sampler.observe("a", {f"n{number}_{each}": 1 for each in range(50)})
    assert not sampler.wants("a") and sampler.wants("b")
    counts = sampler.take()["a"]
    assert counts[""] == MAX_SAMPLES and len(counts) <= MAX_NAMES + 1
    assert sampler.wants("a")
