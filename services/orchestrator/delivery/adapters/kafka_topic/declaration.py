"""The adapter `kafka_topic`."""

from typing import Annotated, Final

from pydantic import AfterValidator, Field

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.kafka_settings import check_topic
from services.kit.runtime.section import Section

MAX_BYTES: Final = 1_000_000
"""A little less than what Kafka's brokers take by default (1,048,588 bytes, with the batch around the record)."""


class KafkaTopicSettings(Section):
    """The topic that messages are written to, in the Kafka of the log, and the largest record in bytes."""

    topic: Annotated[str, AfterValidator(check_topic)] | None = None
    max_bytes: int = Field(default=MAX_BYTES, ge=1024, le=10_000_000)


def _find_topic_setting(settings: KafkaTopicSettings) -> SettingsCheck:
    if settings.topic is None:
        return SettingsCheck("no topic is set", "set TACTFUL_KAFKA_TOPIC__TOPIC")
    return SettingsCheck(f"topic {settings.topic}")


DECLARATION: Final = AdapterDeclaration(
    id="kafka_topic",
    order=22,
    summary="to a topic for senders of your own",
    settings=KafkaTopicSettings,
    sample=(
        "The kafka_topic adapter: the topic, in the Kafka of the log, that your own sender reads. It must exist.",
        "__MAX_BYTES: the largest record; a message that makes a larger one is refused.",
    ),
    check=_find_topic_setting,
    needs_kafka=True,
)
