"""Every Kafka topic with its key, its model and its partitions: the wiring diagram."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class KafkaTopic:
    """A topic's default name, what its key is, what a record holds, and how many partitions it is created with."""

    name: str
    key: str
    model: str
    partitions: int


EVENTS = KafkaTopic("customer.events", "customer id", "schemas.event.Event (CloudEvent, binary or structured)", 12)
DEAD_LETTERS = KafkaTopic("customer.events.dlq", "as received", "original bytes with dlq.* headers", 1)
MESSAGES = KafkaTopic("tactful.messages", "customer id", "CloudEvent tactful.message.*", 12)
OPT_OUTS = KafkaTopic("tactful.optouts", "customer id and scope", "compacted: one opt-out", 12)
