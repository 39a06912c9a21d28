"""All Kafka topics, each with its key, its model and its partitions."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """A topic: default name, meaning of the key, content of a record, and partitions to create it with."""

    name: str
    key: str
    model: str
    partitions: int


EVENTS = KafkaTopic("customer.events", "customer id", "schemas.event.Event (CloudEvent, binary or structured)", 12)
DEAD_LETTERS = KafkaTopic("customer.events.dlq", "as received", "original bytes with dlq.* headers", 1)
MESSAGES = KafkaTopic("tactful.messages", "customer id", "schemas.out_topics.MessageChangeData in a CloudEvent", 12)
OPT_OUTS = KafkaTopic("tactful.optouts", "customer id", "compacted: schemas.out_topics.OptOutsData in a CloudEvent", 12)
OUT_TOPICS = (MESSAGES.name, OPT_OUTS.name)
"""What Tactful publishes for others, where settings say so."""
