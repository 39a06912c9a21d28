"""How long a log keeps its records, which those who forget events must know."""

from __future__ import annotations

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.bus.local_bus import LocalBus
from services.kit.errors import BusGone
from services.kit.runtime.settings import SettingsError
from services.retention.log_retention import MarkRetention, check_retention

DAY = 24 * 3600
FOR_EVER = {"retention.ms": "-1"}
COMPACTED = {"cleanup.policy": "compact"}


@pytest.mark.integration
@pytest.mark.parametrize(
    ("configuration", "kept"),
    [({}, 7 * DAY), ({"retention.ms": str(40 * DAY * 1000)}, 40 * DAY), (FOR_EVER, None), (COMPACTED, None)],
    ids=["default", "longer", "for ever", "compacted"],
)
async def test_a_topic_says_how_long_it_keeps_records(
    kafka_bootstrap: str, request: pytest.FixtureRequest, configuration: dict[str, str], kept: float | None
) -> None:
    topic = f"retention-{request.node.callspec.id.replace(' ', '-')}"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1, topic_configs=configuration)])
    await admin.close()
    bus = KafkaBus(KafkaConnection(kafka_bootstrap))
    try:
        assert await bus.retention(topic) == kept
        if kept is None or kept > 30 * DAY:
            with pytest.raises(SettingsError, match=f"retention.decisions is 30 days, but the topic {topic} keeps"):
                await check_retention(bus, topic, 30, "decisions", "it would be decided again")
        else:
            await check_retention(bus, topic, 30, "decisions", "it would be decided again")
    finally:
        await bus.close()


@pytest.mark.wired
async def test_an_embedded_log_is_read_once(tmp_path: Path) -> None:
    bus = LocalBus(tmp_path / "log.db")
    await bus.ensure_topics({"t": 1})
    await check_retention(bus, "t", 30, "decisions", "it would be decided again")
    await bus.close()


class TopicWithRetention(LocalBus):
    """A log that keeps its records for so many seconds, for ever (None), or does not say."""

    seconds: float | Exception | None = None

    async def retention(self, topic: str) -> float | None:
        if isinstance(self.seconds, Exception):
            raise self.seconds
        return self.seconds


@pytest.mark.wired
@pytest.mark.parametrize(
    ("seconds", "days", "kept"),
    [
        (7 * DAY, None, 30),
        (40 * DAY + 1, None, 48),
        (None, None, None),
        (BusGone("not allowed to ask"), None, None),
        (7 * DAY, 35, 35),
    ],
)
async def test_marks_of_applied_events_outlive_their_records(
    tmp_path: Path, seconds: float | Exception | None, days: int | None, kept: int | None
) -> None:
    bus = TopicWithRetention(tmp_path / "log.db")
    bus.seconds = seconds
    told: list[int | None] = []
    marks = MarkRetention(bus, "t", days, told.append)
    await marks.check_days()
    await marks.refresh()
    assert told == [kept]
    await bus.close()


@pytest.mark.wired
async def test_a_start_is_refused_where_marks_would_go_before_their_records(tmp_path: Path) -> None:
    bus = TopicWithRetention(tmp_path / "log.db")
    for bus.seconds in (None, 31 * DAY):
        with pytest.raises(SettingsError, match=r"retention.inbox_keys is 30 days, but .* applied again"):
            await MarkRetention(bus, "t", 30, print).check_days()
    await bus.close()
