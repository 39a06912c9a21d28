"""The model of a decision in answers: the document of `schemas/json` and its number."""

from pydantic import ConfigDict
from typing_extensions import TypedDict

from services.kit.http.openapi import with_document


class DecisionFields(TypedDict):
    """A decision with its number."""

    __pydantic_config__ = ConfigDict(json_schema_extra=with_document("decision"))  # type: ignore[misc]

    decision_id: int
