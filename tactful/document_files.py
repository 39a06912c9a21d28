"""Documents in files: YAML or JSON, in the same form as the HTTP interface's."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from schemas.documents import DocumentError, load_document, validate_document
from tactful.command_errors import CommandError, error_from_document

DOCUMENT_SUFFIXES = frozenset({".yaml", ".yml", ".json"})
Model = TypeVar("Model", bound=BaseModel)


def find_documents(paths: Sequence[Path]) -> list[Path]:
    """The files meant: a folder stands for the YAML and JSON files in it, in order of name."""
    found = [file for path in paths for file in _list_files(path)]
    if not found:
        raise CommandError(f"no YAML or JSON file in {', '.join(map(str, paths))}")
    return found


def read_document(path: Path) -> Any:
    """The plain values of a file."""
    try:
        return load_document(path.read_bytes())
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    except DocumentError as error:
        raise error_from_document(str(path), error) from None


def read_and_validate(path: Path, model: type[Model]) -> tuple[Any, Model]:
    """The plain values of a file, and the document that they are."""
    data = read_document(path)
    try:
        return data, validate_document(model, data)
    except DocumentError as error:
        raise error_from_document(str(path), error) from None


def is_same_document(model: type[Model], answer: dict[str, Any], document: Model) -> bool:
    """Whether an answer of the HTTP interface holds the same document."""
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
