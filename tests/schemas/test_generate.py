"""The files in schemas/json are up to date, agree with the models, and accept the examples."""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schemas import generate
from schemas.documents import DocumentError, load_document, validate_document
from services import simulation

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
CASES = ROOT / "tests" / "conformance"
FOLDERS = (EXAMPLES, *sorted(path for path in CASES.iterdir() if path.is_dir()))
FILES = {"customers.jsonl": "customer", "preferences.jsonl": "customer", "events.jsonl": "event"}
CAP = {"id": "a", "limit": 1, "window": {"rolling": "24h"}, "on_exceed": "drop"}


def documents() -> list[tuple[str, str, Any]]:
    """(form, where, document) of all documents in examples/ and in the conformance cases."""
    found: list[tuple[str, str, Any]] = []
    for folder in FOLDERS:
        for form, name in (
            ("customer", "customers.jsonl"),
            ("customer", "preferences.jsonl"),
            ("event", "events.jsonl"),
        ):
            found += [(form, f"{folder.name}/{name}", line) for line in lines(folder / name)]
        for line in lines(folder / "suppressions.jsonl"):
            found.append(("hold" if "mode" in line else "suppression", f"{folder.name}/suppressions.jsonl", line))
    return found


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def validator(form: str) -> Any:
    return jsonschema_rs.validator_for(generate.schemas()[form], validate_formats=True)


def test_the_files_are_current() -> None:
    files = {path.name: path.read_text("utf-8") for path in generate.FOLDER.iterdir()}
    assert files == {
        f"{name}.schema.json": generate.format_schema(schema) for name, schema in generate.schemas().items()
    }, "run `make schemas`"


def test_write_removes_a_form_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "gone.schema.json").write_text("{}", "utf-8")
    generate.write_schemas(tmp_path)
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == set(generate.schemas())


@pytest.mark.parametrize("form", generate.schemas())
def test_a_schema_is_a_schema(form: str) -> None:
    jsonschema_rs.meta.validate(generate.schemas()[form])


@pytest.mark.parametrize("form", ["customer", "suppression", "hold", "event"])
def test_what_is_written_down_fits_its_schema(form: str) -> None:
    check = validator(form)
    found = [(place, document) for name, place, document in documents() if name == form]
    assert found
    for place, document in found:
        assert [error.message for error in check.iter_errors(document)] == [], place


@pytest.mark.parametrize("folder", [EXAMPLES, *sorted(path for path in CASES.iterdir() if path.is_dir())], ids=str)
def test_campaigns_and_policies_fit_their_schemas(folder: Path) -> None:
    for form, paths in (
        ("campaign", sorted((folder / "campaigns").glob("*.yaml"))),
        ("policy", [folder / "policy.yaml"]),
    ):
        for path in paths:
            assert [error.message for error in validator(form).iter_errors(load_document(path.read_bytes()))] == [], (
                path
            )


@pytest.mark.parametrize(
    ("form", "document"),
    [
        ("campaign", {"priorty": 3}),
        ("policy", {"zone": "Europe/Berlin", "min_gaps": [{"id": "a", "gap": "2 hours"}]}),
        (
            "policy",
            {"zone": "Europe/Berlin", "frequency_caps": [{"id": "a", "limit": 0, "window": {}, "on_exceed": "drop"}]},
        ),
        ("policy", {"zone": "Europe/Berlin", "situations": [{"kind": "complaint", "opens": []}]}),
        ("customer", {"customer": "c", "adresses": []}),
        ("suppression", {"customer": "c", "reason": "because", "at": "2026-03-01T09:00:00Z"}),
        ("hold", {"key": "k", "mode": "defer", "from": "yesterday", "reason": "r"}),
    ],
)
def test_what_a_model_refuses_its_schema_refuses_too(form: str, document: dict[str, Any]) -> None:
    with pytest.raises(DocumentError):
        validate_document(generate.DOCUMENTS[form], document)
    assert not validator(form).is_valid(document)


def test_decisions_of_a_simulation_fit_their_schema(tmp_path: Path) -> None:
    out, check = tmp_path / "out.jsonl", validator("decision")
    simulation.simulate_files(
        EXAMPLES / "campaigns",
        EXAMPLES / "policy.yaml",
        EXAMPLES / "customers.jsonl",
        EXAMPLES / "suppressions.jsonl",
        EXAMPLES / "events.jsonl",
        None,
        out,
        "full",
    )
    decisions = lines(out)
    assert decisions
    for decision in decisions:
        assert [error.message for error in check.iter_errors(decision)] == []
