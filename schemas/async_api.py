"""The AsyncAPI 3.0 document of the topics: what Tactful reads, and what it publishes. Generated from the models."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from schemas.event_schema import event_schema
from schemas.out_topics import (
    CHANGE_MEANINGS,
    MESSAGE_CHANGE_KINDS,
    MESSAGE_TYPE_PREFIX,
    MESSAGES_SOURCE,
    OPT_OUTS_CHANGED,
    OPT_OUTS_SOURCE,
    MessageChangeData,
    OptOutsData,
    ReceiptData,
)
from schemas.own_events import OF_CUSTOMER, OWN_EVENT_TYPES
from schemas.reasons import Reason
from schemas.receipt import RECEIPT_KINDS
from schemas.topics import EVENTS, MESSAGES, OPT_OUTS
from schemas.vocabulary import CHANNELS

CONTENT_TYPE: Final = "application/cloudevents+json"
_KEY: Final = {"type": "string", "description": "The customer's id."}
_OWN_EVENTS: Final[Mapping[str, str]] = {
    "tactful.preference.changed": "A customer's preferences have changed: the fields that are given replace those of "
    "before.",
    "tactful.customer.identified": "What is known of a customer: traits and addresses are added to those of before.",
    "tactful.customer.erased": "A customer is to be erased in Tactful.",
    "tactful.situation.opened": "A situation of the customer has begun, such as a complaint.",
    "tactful.situation.closed": "A situation of the customer has ended.",
    "tactful.situation.corrected": "A person says when the newest situation of this kind and ref began or ended, or "
    "that there never was one.",
    "tactful.contact.reported": "Another tool has contacted the customer.",
    "tactful.feedback.given": "The customer has given feedback.",
    "tactful.consent.requested": "Tactful asks a customer to confirm a consent; it publishes this itself.",
    "tactful.address.verification_requested": "Tactful asks a customer to show that an address is theirs; it publishes "
    "this itself. `address` is the opaque id of the address.",
    "tactful.agent.message": "An agent sends the message of a campaign to a customer; Tactful publishes this itself.",
}


def message_change_schema() -> dict[str, Any]:
    """The schema of a record of `tactful.messages`."""
    data = data_schema(MessageChangeData)
    data["properties"]["reason"] = {"enum": list(Reason), "description": "Why it was decided, or why it failed."}
    data["properties"]["channel"] = {"enum": list(CHANNELS)}
    types = [MESSAGE_TYPE_PREFIX + kind for kind in MESSAGE_CHANGE_KINDS]
    return _envelope(MESSAGES_SOURCE, {"enum": types}, data)


def opt_outs_schema() -> dict[str, Any]:
    """The schema of a record of `tactful.optouts` that has a value."""
    return _envelope(OPT_OUTS_SOURCE, {"const": OPT_OUTS_CHANGED}, data_schema(OptOutsData))


def data_schema(model: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a model, without references."""
    (schema,), parts = msgspec.json.schema_components([model], ref_template="{name}")
    inlined: dict[str, Any] = _inline(schema, parts)
    return {name: value for name, value in inlined.items() if name != "title"}


def _inline(node: Any, parts: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inline(each, parts) for each in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        found = _inline(parts[node["$ref"].rpartition("/")[2]], parts)
        return {**found, **{name: value for name, value in node.items() if name != "$ref"}}
    found = {name: _inline(value, parts) for name, value in node.items()}
    if "anyOf" in found and found.get("default", 0) is None:  # a field that is absent where nothing is known
        of_value = found.pop("anyOf")[0]
        del found["default"]
        found |= of_value
    return found


def _envelope(source: str, type_schema: Mapping[str, Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """A CloudEvent 1.0 with these data, which a reader may meet with further attributes."""
    schema = event_schema()
    kept = {name: schema["properties"][name] for name in ("specversion", "id", "subject", "time")}
    properties = {
        **kept,
        "source": {"const": source},
        "type": dict(type_schema),
        "datacontenttype": {"const": "application/json"},
        "data": dict(data),
    }
    return {"type": "object", "properties": properties, "required": list(properties)}


def async_api_document(customer: Mapping[str, Any]) -> dict[str, Any]:
    """The document. `customer`: the schema of a customer's document, whose fields some events have."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Tactful: topics",
            "version": "1.0.0",
            "description": "What Tactful reads from Kafka, and what it publishes there. The names of the topics are "
            "those of the defaults; settings may give them others. All records are CloudEvents 1.0.",
            "license": {"name": "Apache 2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": _channels(),
        "operations": _operations(),
        "components": {"messages": _messages(_inline(customer["properties"], customer["$defs"]))},
    }


def _channels() -> dict[str, Any]:
    of_events = ["customerEvent", *map(_name_of, OWN_EVENT_TYPES), *(_receipt_name(kind) for kind in RECEIPT_KINDS)]
    return {
        "customerEvents": _channel(
            EVENTS.name, EVENTS.partitions, of_events, "Events about customers, in order for each."
        ),
        "messages": _channel(
            MESSAGES.name,
            MESSAGES.partitions,
            [_change_name(kind) for kind in MESSAGE_CHANGE_KINDS],
            "The life of each message, in order for each customer. At least once: what comes twice has the same id.",
        ),
        "optOuts": _channel(
            OPT_OUTS.name,
            OPT_OUTS.partitions,
            ["optOutsChanged"],
            "The present opt-outs of each customer: the newest record counts. One without a value: the customer was "
            "erased.",
            {"cleanup.policy": ["compact"]},
        ),
    }


def _channel(
    address: str, partitions: int, messages: list[str], description: str, configuration: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    kafka: dict[str, Any] = {"topic": address, "partitions": partitions, "bindingVersion": "0.5.0"}
    if configuration is not None:
        kafka["topicConfiguration"] = dict(configuration)
    return {
        "address": address,
        "description": description,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"kafka": kafka},
    }


def _operations() -> dict[str, Any]:
    taken = ["customerEvent", *map(_name_of, OWN_EVENT_TYPES)]
    told = [_receipt_name(kind) for kind in RECEIPT_KINDS]
    changes = [_change_name(kind) for kind in MESSAGE_CHANGE_KINDS]
    return {
        "readCustomerEvents": _operation("receive", "customerEvents", taken, "Takes events of others."),
        "publishReceipts": _operation("send", "customerEvents", told, "Tells what providers say of messages."),
        "publishMessageChanges": _operation("send", "messages", changes, "Tells the life of each message."),
        "publishOptOuts": _operation("send", "optOuts", ["optOutsChanged"], "Tells the opt-outs of each customer."),
    }


def _operation(action: str, channel: str, messages: list[str], summary: str) -> dict[str, Any]:
    return {
        "action": action,
        "summary": summary,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in messages],
    }


def _messages(customer_fields: Mapping[str, Any]) -> dict[str, Any]:
    change, receipt = message_change_schema(), data_schema(ReceiptData)
    messages = {"customerEvent": _message("Any event about a customer", "It may trigger campaigns.", event_schema())}
    for kind in OWN_EVENT_TYPES:
        known = customer_fields if kind in OF_CUSTOMER else {}
        data = {"type": "object", "properties": {field: known.get(field, {}) for field in OWN_EVENT_TYPES[kind]}}
        messages[_name_of(kind)] = _message(kind, _OWN_EVENTS[kind], _typed_event(kind, data))
    for told in RECEIPT_KINDS:
        name = MESSAGE_TYPE_PREFIX + told
        messages[_receipt_name(told)] = _message(
            name, f"From a receipt. {CHANGE_MEANINGS[told]}", _typed_event(name, receipt)
        )
    for step in MESSAGE_CHANGE_KINDS:
        name = MESSAGE_TYPE_PREFIX + step
        properties = {**change["properties"], "type": {"const": name}}
        messages[_change_name(step)] = _message(name, CHANGE_MEANINGS[step], {**change, "properties": properties})
    messages["optOutsChanged"] = _message(
        OPT_OUTS_CHANGED, "All present opt-outs of a customer, in place of those of before.", opt_outs_schema()
    )
    return messages


def _typed_event(kind: str, data: Mapping[str, Any]) -> dict[str, Any]:
    schema = event_schema()
    return {**schema, "properties": {**schema["properties"], "type": {"const": kind}, "data": dict(data)}}


def _message(title: str, summary: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "title": title,
        "summary": summary,
        "contentType": CONTENT_TYPE,
        "payload": dict(payload),
        "bindings": {"kafka": {"key": _KEY, "bindingVersion": "0.5.0"}},
    }


def _name_of(kind: str) -> str:
    """The name of a message in the document: `preferenceChanged` for `tactful.preference.changed`."""
    first, *others = kind.removeprefix("tactful.").replace("_", ".").split(".")
    return first + "".join(each.capitalize() for each in others)


def _change_name(kind: str) -> str:
    return _name_of(f"message.{kind}")


def _receipt_name(kind: str) -> str:
    return _name_of(f"receipt.{kind}")
