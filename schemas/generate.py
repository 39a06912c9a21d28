"""`python -m schemas.generate`: the JSON Schema (2020-12) of every form that people and programs write.

The documents come from their models; the event and the decision, which travel as msgspec structs, are written out here.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from schemas.campaign import Campaign
from schemas.customer import Customer
from schemas.ids import KEY, MAX_ID
from schemas.policy import Policy
from schemas.suppression import Hold, Suppression
from schemas.times import format_duration
from schemas.vocabulary import CHANNELS, RULES, Class, Intent, Outcome, Reason

FOLDER = Path(__file__).parent / "json"
DOCUMENTS: Mapping[str, type[BaseModel]] = {
    "campaign": Campaign,
    "policy": Policy,
    "customer": Customer,
    "suppression": Suppression,
    "hold": Hold,
}
_LENGTHS = {"minLength": "minItems", "maxLength": "maxItems"}
_TEXT = {"type": "string"}
_MAYBE = {"type": ["string", "null"]}
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "format": "date-time"}
_MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
_ID = {"type": "string", "minLength": 1, "maxLength": MAX_ID}


def schemas() -> dict[str, dict[str, Any]]:
    """Every form by its name."""
    found = {name: _document(name, model) for name, model in DOCUMENTS.items()}
    return found | {"event": _event(), "decision": _decision()}


def text_of(schema: Mapping[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def write(folder: Path = FOLDER) -> None:
    """Write all files; one that no form stands behind any more is removed."""
    folder.mkdir(exist_ok=True)
    current = {f"{name}.schema.json": text_of(schema) for name, schema in schemas().items()}
    for path in folder.glob("*.schema.json"):
        if path.name not in current:
            path.unlink()
    for name, text in current.items():
        (folder / name).write_text(text, "utf-8")


def _document(name: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    schema["title"] = name.capitalize()
    return {**_head(name), **_mended(schema)}


def _head(name: str) -> dict[str, Any]:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"urn:tactful:schema:{name}"}


def _mended(node: Any) -> Any:
    """Lengths of lists are `minItems`; a default duration is a text; a field's title says no more than its name."""
    if isinstance(node, list):
        return [_mended(item) for item in node]
    if not isinstance(node, dict):
        return node
    plain = {name: _mended(value) for name, value in node.items() if name not in ("properties", "$defs")}
    for part in ("properties", "$defs"):
        if part in node:
            plain[part] = {name: _untitled(_mended(value)) for name, value in node[part].items()}
    if plain.get("type") == "array":
        plain = {_LENGTHS.get(name, name): value for name, value in plain.items()}
    if plain.get("type") == "string" and isinstance(plain.get("default"), int):
        plain["default"] = format_duration(plain["default"])
    if plain.get("default", 0) is None:
        del plain["default"]
    return plain


def _untitled(schema: Any) -> Any:
    return {name: value for name, value in schema.items() if name != "title"} if isinstance(schema, dict) else schema


def _object(properties: Mapping[str, Any], required: tuple[str, ...] | None = None) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties) if required is None else list(required),
    }


def _event() -> dict[str, Any]:
    properties = {
        "specversion": {"const": "1.0"},
        "id": _ID,
        "source": _ID,
        "type": _ID,
        "subject": {**_ID, "description": "The customer's id; the record's key in the log."},
        "time": {**_TIME, "description": "When it happened: RFC 3339 with a zone."},
        "data": {"type": ["object", "null"]},
        "expirytime": {**_TIME, "description": "Nothing is sent for this event from then on."},
        "traceparent": _TEXT,
        "data_base64": False,
    }
    required = ("specversion", "id", "source", "type", "subject", "time")
    about = {"title": "Event", "description": "A CloudEvent 1.0 about one customer. Other extensions are ignored."}
    return {**_head("event"), **about, **_object(properties, required)}


def _decision() -> dict[str, Any]:
    event = _object({"source": _ID, "id": _ID, "type": _ID, "time": _TIME})
    verdict = {
        "rule": {"enum": list(RULES)},
        "id": _MAYBE,
        "verdict": {"enum": ["allow", "defer", "deny", "fail"]},
        "until": _MAYBE_TIME,
        "reason": {"enum": [*Reason, None]},
        "evidence": {"type": "object", "description": "The values that the rule saw."},
    }
    jump = {"at": _TIME, "rule": {"enum": list(RULES)}, "id": _MAYBE, "until": _MAYBE_TIME}
    properties = {
        "time": {**_TIME, "description": "The decision time."},
        "message_id": {"type": "string", "pattern": "^msg_[0-9a-f]{32}$"},
        "customer": _ID,
        "event": event,
        "campaign": {"type": "string", "pattern": KEY},
        **dict.fromkeys(("version", "policy_version", "preference_version"), _COUNT),
        "channel": {"enum": list(CHANNELS)},
        "class": {"enum": list(Class)},
        "intent": {"enum": list(Intent)},
        "topic": _MAYBE,
        "priority": {"type": "integer", "minimum": 0, "maximum": 100},
        "outcome": {"enum": list(Outcome)},
        "reason": {"enum": list(Reason)},
        "rule_id": {**_MAYBE, "description": "The policy's entry, the hold, or the customer's own wish."},
        "until": {**_MAYBE_TIME, "description": "With `defer`: when it is judged again."},
        "allowed_from": {**_MAYBE_TIME, "description": "The earliest instant at which what denied would allow it."},
        "lost_to": {**_MAYBE, "description": "The message that the cap went to."},
        "verdicts": {"type": "array", "items": _object(verdict)},
        "jumps": {"type": "array", "items": _object(jump)},
    }
    required = tuple(name for name in properties if name not in ("verdicts", "jumps"))
    about = {"title": "Decision", "description": "One line each time a message is judged."}
    return {**_head("decision"), **about, **_object(properties, required)}


if __name__ == "__main__":
    write()
