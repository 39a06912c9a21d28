from services.orchestrator.policy.rank import rank

LOW, HIGH = bytes(16), b"\xff" * 16


def test_class_then_priority_then_seniority_then_key_then_id() -> None:
    ordered = [
        rank("transactional", 0, None, "z", HIGH),
        rank("service", 100, None, "a", LOW),
        rank("service", 0, None, "z", HIGH),
        rank("marketing", 90, None, "z", HIGH),
        rank("marketing", 50, 1, "z", HIGH),
        rank("marketing", 50, 2, "z", HIGH),
        rank("marketing", 50, None, "a", HIGH),  # never planned: last among equals
        rank("marketing", 50, None, "b", LOW),
        rank("marketing", 50, None, "b", HIGH),
        rank("marketing", 10, 0, "a", LOW),
    ]
    assert sorted(ordered) == ordered
