"""The model alone meets every case that was worked out by hand."""

from pathlib import Path

import pytest

from tests.model.reading import FIELDS, decisions_of, json_lines

CASES = sorted(path for path in (Path(__file__).parents[1] / "conformance").iterdir() if path.is_dir())


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_model_gives_the_expected_decisions(case: Path) -> None:
    expected = json_lines(case / "expected.jsonl")
    assert decisions_of(case) == [{name: line[name] for name in FIELDS} for line in expected]
