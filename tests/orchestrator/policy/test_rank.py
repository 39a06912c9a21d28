from services.orchestrator.policy.rank import make_rank

LOW, HIGH = bytes(16), b"\xff" * 16


def test_class_then_priority_then_seniority_then_key_then_id() -> None:
    ordered = [
        make_rank("transactional", 0, None, "z", HIGH),
        make_rank("service", 100, None, "a", LOW),
        make_rank("service", 0, None, "z", HIGH),
        make_rank("marketing", 90, None, "z", HIGH),
        make_rank("marketing", 50, 1, "z", HIGH),
        make_rank("marketing", 50, 2, "z", HIGH),
        make_rank("marketing", 50, None, "a", HIGH),  # never planned: last among equals
        make_rank("marketing", 50, None, "b", LOW),
        make_rank("marketing", 50, None, "b", HIGH),
        make_rank("marketing", 10, 0, "a", LOW),
    ]
    assert sorted(ordered) == ordered
