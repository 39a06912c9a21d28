"""Every Kafka topic with its key, its model and its partitions: the wiring diagram."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic's default name, what its key is, what a record holds, and how many partitions it is created with."""

    name: str
    key: str
    model: str
    partitions: int


EVENTS = Topic("customer.events", "customer id", "schemas.event.Event (CloudEvent, binary or structured)", 12)
DEAD_LETTERS = Topic("customer.events.dlq", "as received", "original bytes with dlq.* headers", 1)
MESSAGES = Topic("tactful.messages", "customer id", "CloudEvent tactful.message.*", 12)
OPT_OUTS = Topic("tactful.optouts", "customer id and scope", "compacted: one opt-out", 12)
