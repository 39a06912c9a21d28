"""The record of a message: a CloudEvent in structured mode, the same for every attempt. Its key is the customer id."""

from typing import Final

import msgspec

from schemas.message import Message
from schemas.out_topics import STRUCTURED_HEADERS

TYPE: Final = "tactful.message.outgoing"
SOURCE: Final = "/tactful/deliveries"
HEADERS: Final = [*STRUCTURED_HEADERS]


def encode_record(message: Message) -> tuple[bytes, bytes]:
    """Key and value. The event's id is the message id, by which the reader takes each message once."""
    data = {
        "message_id": message.id,
        "campaign": message.campaign,
        "version": message.version,
        "channel": message.channel,
        "class": message.cls,
        "topic": message.topic,
        "to": message.to,
        "locale": message.locale,
        "content": message.content,
        "event": {"source": message.event_source, "id": message.event_id},
    }
    value = msgspec.json.encode({
        "specversion": "1.0",
        "id": message.id,
        "source": SOURCE,
        "type": TYPE,
        "subject": message.customer,
        "datacontenttype": "application/json",
        "data": {name: each for name, each in data.items() if each is not None},
    })  # fmt: skip
    return message.customer.encode(), value
