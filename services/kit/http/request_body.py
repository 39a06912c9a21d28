"""Request bodies: a route declares what it takes, and the declaration reads it, checks it and describes it in OpenAPI.

    async def place(principal: Principal = requires("holds:write"), hold: Hold = document_body(Hold)) -> Response: ...

The guard comes first in the signature, so that nothing is read of a stranger's request; `build_app` checks that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from fastapi import Depends, Request
from pydantic import BaseModel

from schemas.documents import validate_document
from services.kit.http import request_parsing

Examples = Mapping[str, object]
Shape = type[BaseModel] | Mapping[str, Any]
"""What describes a body: a model, or a JSON Schema, such as that of a `document`."""
DOCUMENT_MARK: Final = "x-tactful-document"
"""Stands in a schema for a document of `schemas/json`, until the OpenAPI document is made."""


def document(name: str, *, optional: Sequence[str] = ()) -> Mapping[str, Any]:
    """The shape of a document of `schemas/json`; `optional`: required fields that this body may leave out."""
    return {DOCUMENT_MARK: name, "optional": list(optional)}


@dataclass(frozen=True, eq=False)
class RequestBody:
    """What a route takes: see the functions below."""

    content: Mapping[str, Shape]
    """The shape of the body by media type."""
    reads: Literal["model", "values", "nothing"]
    required: bool = True
    examples: Examples = field(default_factory=dict)

    async def __call__(self, request: Request) -> object:
        """The body: a model, plain values, or nothing. Raises WrongMediaType for a compressed one, and what
        `read_document` and `validate_document` raise.
        """
        request_parsing.require_identity_encoding(request)
        if self.reads == "nothing":
            return None
        data = await request_parsing.read_document(request, required=self.required)
        model = self.content["application/json"]
        if self.reads == "values" or not isinstance(model, type) or (data is None and not self.required):
            return data
        return validate_document(model, data)


def document_body(model: type[BaseModel], *, required: bool = True, examples: Examples | None = None) -> Any:
    """A body of this model, as JSON or YAML. None where it is absent and not required."""
    return Depends(RequestBody(_as_documents(model), "model", required, examples or {}))


def plain_body(shape: Shape, *, required: bool = True, examples: Examples | None = None) -> Any:
    """A body as plain values, from JSON or YAML, that the route validates."""
    return Depends(RequestBody(_as_documents(shape), "values", required, examples or {}))


def described_body(content: Mapping[str, Shape], *, examples: Examples | None = None) -> Any:
    """In `dependencies=[...]`: a body that the route reads itself, by media type."""
    return Depends(RequestBody(content, "nothing", True, examples or {}))


def _as_documents(shape: Shape) -> Mapping[str, Shape]:
    return dict.fromkeys(request_parsing.DOCUMENT_MEDIA_TYPES, shape)
