"""Reads documents from YAML and JSON files, in the same form as over HTTP. Raises CommandError for what is wrong."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from schemas.documents import DocumentError, load_document, validate_document
from tactful.command_errors import CommandError, error_from_document

DOCUMENT_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
Model = TypeVar("Model", bound=BaseModel)


def find_documents(paths: Sequence[Path]) -> list[Path]:
    """The files to read: a folder stands for the YAML and JSON files in it, sorted by name."""
    files = [file for path in paths for file in _list_files(path)]
    if not files:
        raise CommandError(f"no YAML or JSON file in {', '.join(map(str, paths))}")
    return files


def read_document(path: Path) -> Any:
    """Read a file as plain values."""
    try:
        return load_document(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise error_from_document(str(path), error) from None


def read_and_validate(path: Path, model: type[Model]) -> tuple[Any, Model]:
    """Read a file, and return its plain values and the validated document."""
    data = read_document(path)
    try:
        return data, validate_document(model, data)
    except DocumentError as error:
        raise error_from_document(str(path), error) from None


def is_same_document(model: type[Model], answer: dict[str, Any], document: Model) -> bool:
    """Whether a response of the HTTP API contains the same document."""
    names = {info.alias or name for name, info in model.model_fields.items()}
    try:
        return validate_document(model, {name: value for name, value in answer.items() if name in names}) == document
    except DocumentError:
        return False


def _list_files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from sorted(each for each in path.iterdir() if each.suffix in DOCUMENT_SUFFIXES)
    else:
        yield path
