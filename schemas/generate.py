"""`python -m schemas.generate`: writes the JSON Schema (2020-12) of every document, of events, of decisions and of the
records of our topics, and the AsyncAPI document of all topics.

Schemas of documents and of records are generated from their models. Those of the event (`event_schema.py`) and the
decision, which are msgspec structs, are written by hand.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.async_api import async_api_document, message_change_schema, opt_outs_schema
from schemas.campaign import Campaign
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.customer import Customer
from schemas.event_schema import ID, TIME, event_schema, object_schema
from schemas.finding import Severity
from schemas.ids import KEY_PATTERN
from schemas.policy import Policy
from schemas.reasons import CHANNEL_CHOICE, RULES, Reason
from schemas.suppression import Hold, Suppression
from schemas.times import format_duration
from schemas.vocabulary import CHANNELS, Class, Intent, Outcome

FOLDER = Path(__file__).parent / "json"
ASYNC_API_FILE = Path(__file__).parent / "asyncapi.json"
DOCUMENTS: Mapping[str, type[BaseModel]] = {
    "campaign": Campaign,
    "policy": Policy,
    "customer": Customer,
    "suppression": Suppression,
    "hold": Hold,
}
_LIST_LENGTHS = {"minLength": "minItems", "maxLength": "maxItems"}
_TEXT = {"type": "string"}
_NULLABLE_TEXT = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_NULLABLE_TIME = {"type": ["string", "null"], "format": "date-time"}


def schemas() -> dict[str, dict[str, Any]]:
    """All schemas by name."""
    return {name: generate_schema(name) for name in (*DOCUMENTS, *_OTHERS)}


def generate_schema(name: str) -> dict[str, Any]:
    """One schema. That of the campaign imports the code of every channel."""
    if name in _OTHERS:
        return _OTHERS[name]()
    schema = _document_schema(name, DOCUMENTS[name])
    if name == "campaign":
        _describe_channel_contents(schema)
    return schema


def format_schema(schema: Mapping[str, Any]) -> str:
    """The text of a schema's file."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write_schemas(folder: Path = FOLDER) -> None:
    """Write all files, and remove those of schemas that no longer exist."""
    folder.mkdir(exist_ok=True)
    current = {f"{name}.schema.json": format_schema(schema) for name, schema in schemas().items()}
    for path in folder.glob("*.schema.json"):
        if path.name not in current:
            path.unlink()
    for name, text in current.items():
        (folder / name).write_text(text, "utf-8")


def write_async_api(file: Path = ASYNC_API_FILE) -> None:
    """Write the AsyncAPI document."""
    file.write_text(format_schema(generate_async_api()), "utf-8")


def generate_async_api() -> dict[str, Any]:
    """The AsyncAPI document."""
    return async_api_document(generate_schema("customer"))


def _document_schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    schema["title"] = name.capitalize()
    return {**_schema_header(name), **_normalise(schema)}


def _describe_channel_contents(campaign: dict[str, Any]) -> None:
    """Adds the fields that each channel's content may have; they are declared by the channel's own code."""
    content = campaign["properties"]["content"]
    of_any_channel = content["additionalProperties"]
    (locale,) = of_any_channel["patternProperties"]
    content["properties"] = {}
    for channel in CHANNELS:
        fields: type[BaseModel] = CHANNEL_REGISTRY.load_module(channel, "channel").CHANNEL.fields
        schema = _without_title(_normalise(fields.model_json_schema()))
        for name, field in schema["properties"].items():
            if "anyOf" in field:  # a field that may be absent; a document has no null there
                schema["properties"][name] = field["anyOf"][0]
        content["properties"][channel] = {**of_any_channel, "patternProperties": {locale: schema}}


def _schema_header(name: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:tactful:schema:{name}"}


def _normalise(node: Any) -> Any:
    """Use `minItems` for lengths of lists and texts for default durations, and drop titles that only repeat a name."""
    if isinstance(node, list):
        return [_normalise(item) for item in node]
    if not isinstance(node, dict):
        return node
    normalised = {name: _normalise(value) for name, value in node.items() if name not in ("properties", "$defs")}
    for part in ("properties", "$defs"):
        if part in node:
            normalised[part] = {name: _without_title(_normalise(value)) for name, value in node[part].items()}
    if normalised.get("type") == "array":
        normalised = {_LIST_LENGTHS.get(name, name): value for name, value in normalised.items()}
    if normalised.get("type") == "string" and isinstance(normalised.get("default"), int):
        normalised["default"] = format_duration(normalised["default"])
    if normalised.get("default", 0) is None:
        del normalised["default"]
    return normalised


def _without_title(schema: Any) -> Any:
    return {name: value for name, value in schema.items() if name != "title"} if isinstance(schema, dict) else schema


def _event_schema() -> dict[str, Any]:
    about = {"title": "Event", "description": "A CloudEvent 1.0 about one customer. Other extensions are ignored."}
    return {**_schema_header("event"), **about, **event_schema()}


def _message_change_schema() -> dict[str, Any]:
    about = {"title": "Message change", "description": "A record of tactful.messages: a step in a message's life."}
    return {**_schema_header("message-change"), **about, **message_change_schema()}


def _opt_outs_schema() -> dict[str, Any]:
    about = {"title": "Opt-outs", "description": "A record of tactful.optouts: all present opt-outs of a customer."}
    return {**_schema_header("opt-outs"), **about, **opt_outs_schema()}


def _finding_schema() -> dict[str, Any]:
    position = {"type": ["integer", "null"], "minimum": 1}
    properties = {
        "pointer": {"type": "string", "description": "A JSON pointer into the campaign."},
        "line": position,
        "column": position,
        "code": _TEXT,
        "detail": _TEXT,
        "suggestion": _NULLABLE_TEXT,
        "severity": {"enum": list(Severity)},
        "variable": {"type": "string", "description": "The path whose value is the cause."},
        "found": {"type": "string", "description": "The kind of value that was met."},
        "expected": {"type": "string", "description": "The kind of value that is needed."},
    }
    required = tuple(name for name in properties if name not in ("variable", "found", "expected"))
    return object_schema(properties, required)


def _decision_schema() -> dict[str, Any]:
    event = object_schema({"source": ID, "id": ID, "type": ID, "time": TIME})
    verdict = {
        "rule": {"enum": [*RULES, CHANNEL_CHOICE]},
        "id": _NULLABLE_TEXT,
        "verdict": {"enum": ["allow", "defer", "deny", "fail"]},
        "until": _NULLABLE_TIME,
        "reason": {"enum": [*Reason, None]},
        "evidence": {"type": "object", "description": "The values that the rule saw."},
        "words": {**_TEXT, "description": "What the rule saw, for people; only where a decision is explained."},
    }
    jump = {"at": TIME, "rule": {"enum": list(RULES)}, "id": _NULLABLE_TEXT, "until": _NULLABLE_TIME}
    properties = {
        "time": {**TIME, "description": "The decision time."},
        "message_id": {"type": "string", "pattern": "^msg_[0-9a-f]{32}$"},
        "customer": ID,
        "event": event,
        "campaign": {"type": "string", "pattern": KEY_PATTERN},
        **dict.fromkeys(("version", "policy_version", "preference_version"), _COUNT),
        "channel": {"enum": list(CHANNELS)},
        "class": {"enum": list(Class)},
        "intent": {"enum": list(Intent)},
        "topic": _NULLABLE_TEXT,
        "priority": {"type": "integer", "minimum": 0, "maximum": 100},
        "outcome": {"enum": list(Outcome)},
        "reason": {"enum": list(Reason)},
        "rule_id": {**_NULLABLE_TEXT, "description": "The policy entry, the hold, or the customer's own limit."},
        "until": {**_NULLABLE_TIME, "description": "With `defer`: when it is evaluated again."},
        "allowed_from": {
            **_NULLABLE_TIME,
            "description": "The earliest instant at which the rules that denied it would allow it.",
        },
        "lost_to": {**_NULLABLE_TEXT, "description": "The message that the cap went to."},
        "failure": {
            "anyOf": [_finding_schema(), {"type": "null"}],
            "description": "With `render_error`: the cause, its place in the campaign, and the variable.",
        },
        "verdicts": {
            "type": "array",
            "items": object_schema(verdict, tuple(name for name in verdict if name != "words")),
        },
        "jumps": {"type": "array", "items": object_schema(jump)},
    }
    required = tuple(name for name in properties if name not in ("verdicts", "jumps"))
    about = {"title": "Decision", "description": "One for each time a message is evaluated."}
    return {**_schema_header("decision"), **about, **object_schema(properties, required)}


_OTHERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "event": _event_schema,
    "decision": _decision_schema,
    "message-change": _message_change_schema,
    "opt-outs": _opt_outs_schema,
}


if __name__ == "__main__":
    write_schemas()
    write_async_api()
