"""The metrics of the whole product: the page that lists them, their first values, and what is never in them."""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from schemas.times import SECOND
from services.kit.bus.dead_letters import store_dead_letter
from services.kit.bus.protocol import Outgoing, Record
from services.kit.db.database import Database
from services.kit.db.database_series import DatabaseMetrics
from services.kit.observability import logs
from services.kit.observability.metrics import MetricFamily, Registry, log_counter
from services.kit.runtime.clock import ManualClock
from services.orchestrator.decisions.backlog_gauges import backlog_check
from services.orchestrator.decisions.message_store import OUTBOX_COLUMNS, TimerRow
from services.orchestrator.decisions.metrics import BacklogMetrics
from tests.support.document_builders import MONDAY, campaign, cap, customer, event, policy
from tests.support.fresh_databases import migrate
from tests.support.live_product import CLOUD_EVENT, Live, live
from tests.support.metrics_table import PAGE, page, registry

pytestmark = pytest.mark.wired

PARTLY = {
    "tactful_decisions_total": "only the reasons that an outcome can have",
    "tactful_renders_total": "only the reasons that a result can have",
    "tactful_consumer_lag_records": "only the partitions that there are",
    "tactful_dependency_up": "only the servers that a process needs, once they have been asked",
    "http_server_request_duration_seconds": "only the answers that there were",
    "tactful_expired_rows_total": "only the kinds that a service keeps",
    "tactful_retention_oldest_seconds": "only the kinds that a service keeps",
    "tactful_retention_overdue_seconds": "only the kinds that a service keeps",
    "tactful_retention_last_run_timestamp_seconds": "only the kinds that a service keeps",
}
"""Metrics whose labels are closed, but of which not every combination makes sense."""
AT_ONCE = (
    *("tactful_build_info", "tactful_rules_loaded", "tactful_db_pool", "tactful_consumer_activity", "process_"),
    "tactful_retention_last_run_timestamp_seconds",
)
"""What has a value as soon as a process runs."""


def parsed(text: str) -> dict[str, Metric]:
    return {metric.name: metric for metric in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    """A counter's or gauge's value, or a histogram's count."""
    metric = found[name.removesuffix("_total")]
    wanted = {name, f"{name}_count"}
    return sum(s.value for s in metric.samples if s.name in wanted and labels.items() <= s.labels.items())


async def scraped(product: Live) -> dict[str, Metric]:
    return parsed((await product.editor.get("/metrics")).text)


def test_the_page_lists_exactly_the_metrics_that_there_are(tmp_path: Path) -> None:
    assert PAGE.read_text("utf-8") == page(registry(tmp_path)), "run python -m tests.support.metrics_table"


def test_every_label_has_few_values_that_are_known_beforehand(tmp_path: Path) -> None:
    for name, family in registry(tmp_path).families.items():
        if isinstance(family, MetricFamily):
            most = 600 if name in PARTLY else 60
            assert all(0 < len(known) <= most for known in family._allowed_values), name


def test_every_series_is_there_at_the_start(tmp_path: Path) -> None:
    declared = registry(tmp_path)
    list(declared.collect())
    for name, family in declared.families.items():
        if isinstance(family, MetricFamily) and name not in PARTLY:
            assert set(family._children) == set(itertools.product(*family._allowed_values)), name


async def test_every_series_starts_at_zero(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        for metric in (await scraped(product)).values():
            for sample in metric.samples:
                if not sample.name.startswith(AT_ONCE) and not sample.name.endswith("_created"):
                    waits = sample.name.startswith(("tactful_consumer_rebalances", "tactful_consumer_lag"))
                    assert waits or sample.value == 0, sample


async def test_an_id_with_another_content_is_counted_over_http_and_from_the_log(tmp_path: Path) -> None:
    """In the same batch too, and the same event again, stamped anew, is none."""
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy())
        await product.campaign(campaign())
        await product.customer(customer())
        first, other = event("shop.offer", "1", total=1), event("shop.offer", "1", total=2)
        later = event("shop.offer", "1", MONDAY - SECOND, total=1)
        await product.send(first)
        await product.settle()
        await product.send(other)
        records = [first, other, later, event("shop.offer", "2", total=1), event("shop.offer", "2", total=2)]
        await product.together.bus.publish(
            [Outgoing("customer.events", b"c-1", json.dumps(each).encode()) for each in records]
        )
        await product.settle()
        found = await _when_read(product, 6)
        decided = [line["event"]["id"] for line in await product.decisions()]
    assert value(found, "tactful_ingest_events_total", outcome="id_reused") == 1
    assert value(found, "tactful_pipeline_events_total", outcome="id_reused") == 2
    assert value(found, "tactful_pipeline_events_total", outcome="duplicate") == 2
    assert sorted(decided) == ["1", "2"]


async def test_an_event_is_counted_at_every_stage(tmp_path: Path) -> None:
    async with live(tmp_path, MONDAY) as product:
        await product.policy(policy(frequency_caps=[cap("defer")]))
        await product.campaign(campaign())
        await product.customer(customer())
        trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        await product.send({**event("shop.offer", "1", MONDAY - 90 * SECOND), "traceparent": trace})
        await product.settle()
        await product.send(event("shop.offer", "1"))
        await product.send(event("shop.offer", "2"))
        await product.send(event("shop.else", "3"))
        broken = {**event("shop.offer", "4"), "time": "yesterday"}
        batch = {"content-type": "application/cloudevents-batch+json"}
        await product.editor.post("/v1/events", content=json.dumps([broken]), headers=batch)
        await backlog_check(product.database, product.clock, product.together.orchestrator.components.backlog_metrics)()
        found = await _when_read(product, 3)
        text = (await product.editor.get("/metrics")).text

    assert value(found, "tactful_ingest_events_total", outcome="accepted") == 3
    assert value(found, "tactful_ingest_events_total", outcome="duplicate") == 1
    assert value(found, "tactful_ingest_events_total", outcome="invalid") == 1
    assert value(found, "tactful_ingest_event_age_seconds") == 3
    assert value(found, "tactful_duplicates_prevented_total", stage="ingest") == 1
    assert value(found, "tactful_decisions_total", channel="email", reason="eligible", **{"class": "marketing"}) == 1
    assert value(found, "tactful_decisions_total", outcome="defer", reason="cap_window") == 1
    assert value(found, "tactful_cap_hits_total", channel="email", rule="frequency_cap") == 1
    assert value(found, "tactful_decision_duration_seconds", **{"class": "marketing"}) == 2
    assert '# {trace_id="0af7651916cd43dd8448eb211c80319c"}' in text
    assert value(found, "tactful_renders_total", channel="email", outcome="rendered", reason="none") == 1
    assert value(found, "tactful_render_duration_seconds", channel="email") >= 1
    assert value(found, "tactful_delivery_attempts_total", adapter="sandbox", outcome="accepted") == 1
    assert value(found, "tactful_contacts_total", stage="outbound") == 1
    assert value(found, "tactful_delivery_attempt_duration_seconds", channel="email", adapter="sandbox") == 1
    assert value(found, "tactful_event_to_handover_seconds", channel="email", **{"class": "marketing"}) == 1
    assert value(found, "tactful_deferred_messages", channel="email", reason="cap_window") == 1


async def _when_read(product: Live, records: int) -> dict[str, Metric]:
    """The metrics once all three services have applied so many records, which not all of them were waited for."""
    async with asyncio.timeout(30):
        while True:
            found = await scraped(product)
            processed = [
                value(found, "tactful_consumer_records_total", group=f"tactful-{group}", outcome="processed")
                for group in ("orchestrator", "preference", "suppression")
            ]
            if processed == [records] * 3:
                return found
            await asyncio.sleep(0.1)


async def test_what_waits_is_found_with_the_instant_since_when(database_url: str) -> None:
    migrate(database_url, "services.orchestrator")
    database, made = Database.open(database_url), Registry()
    async with database.write() as tx:
        for number, (kind, due) in enumerate(_WAITING):
            await tx.execute(_MESSAGE, id=f"m{number}", ready=MONDAY + number * SECOND)
            if kind == "outbox":
                await tx.bulk_insert("outbox", OUTBOX_COLUMNS, [(number, "email", f"m{number}", "c")])
            else:
                await tx.bulk_insert("timer", TimerRow._fields, [(f"m{number}", "c", kind, due, 0)])
        await tx.execute(_REVIEW)
    await backlog_check(database, ManualClock(MONDAY), BacklogMetrics(made))()
    await database.close()

    def shown(name: str, **labels: str) -> float | None:
        return made.get_sample_value(f"tactful_{name}", labels)

    assert shown("approvals_pending", kind="policy") == 1
    assert shown("approvals_pending", kind="campaign") == 0
    assert shown("deferred_messages", channel="email", reason="quiet_hours") == 2
    assert shown("deferred_messages", channel="email", reason="retry") == 2
    assert shown("deferred_due_timestamp_seconds", channel="email") == MONDAY / SECOND - 60
    assert shown("deferred_due_timestamp_seconds", channel="sms") == 0
    assert shown("deferred_due_soon_messages", channel="email") == 1, "not the overdue, the retry, the one of the day"
    assert shown("delivery_queue_messages", channel="email") == shown("outbox_pending_rows") == 2
    assert shown("delivery_queue_oldest_timestamp_seconds", channel="email") == MONDAY / SECOND + 3
    assert shown("outbox_oldest_timestamp_seconds") == MONDAY / SECOND + 3


_WAITING = (
    ("quiet_hours", MONDAY - 60 * SECOND),
    ("quiet_hours", MONDAY + 60 * SECOND),
    ("retry", MONDAY - 900 * SECOND),
    ("outbox", 0),
    ("outbox", 0),
    ("cap_window", MONDAY + 1801 * SECOND),
    ("retry", MONDAY + 900 * SECOND),
)
_MESSAGE = (
    "INSERT INTO message (message_id, customer, campaign, version, policy_version, channel, cls, intent, priority, "
    "event_source, event_id, state, expires_at, attempts, created, updated) VALUES (:id, 'c', 'offer', 1, 1, 'email', "
    "'marketing', 'advertise', 5, '/s', :id, 'planned', 9223372036854775807, 0, 0, :ready)"
)
_REVIEW = "INSERT INTO policy_version (version, status, document, editor, created) VALUES (1, 'submitted', '', 'ed', 0)"


async def test_services_in_one_process_share_the_series_of_their_databases(tmp_path: Path) -> None:
    made = Registry()
    for service, at in (("orchestrator", 70), ("preference", 0), ("suppression", 50)):
        url = f"sqlite+aiosqlite:///{tmp_path / service}.db"
        migrate(url, f"services.{service}")
        database = Database.open(url)
        series = DatabaseMetrics(made, service, database, ["t"])
        if at:
            async with database.write() as tx:
                await store_dead_letter(tx, _RECORD, ValueError("no"), stage="s", attempts=1, at=at * SECOND)
        await series.update_gauges()
        await database.close()
    for service, letters, at in (("orchestrator", 1, 70), ("preference", 0, 0), ("suppression", 1, 50)):
        labels = {"service": service, "topic": "t"}
        assert made.get_sample_value("tactful_dead_letter_unresolved_records", labels) == letters
        assert made.get_sample_value("tactful_dead_letter_oldest_timestamp_seconds", labels) == at
    assert made.get_sample_value("tactful_db_pool_connections", {"state": "idle"}) == 3
    assert (made.get_sample_value("tactful_db_pool_wait_seconds_count") or 0) >= 5


_RECORD = Record("t", 0, 7, b"k", b"v", (), 0)

CANARIES = {
    "name": "Zaphodine Canary",
    "address": "canary.7f3a@private-mail.example",
    "phone": "+4915112345678",
    "token": "tk_canaryCanaryCanaryCanary",
    "data": "canary-in-the-event-data",
}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """All that is logged, debugging included."""
    root, stream = logging.getLogger(), io.StringIO()
    before, level = list(root.handlers), logging.getLogger("tactful").level
    logs.configure_logging("tests", level="debug", stream=stream)
    yield stream
    root.handlers[:] = before
    logging.getLogger("tactful").setLevel(level)
    logging.captureWarnings(False)


async def test_no_personal_data_leaves_by_metrics_logs_or_problems(tmp_path: Path, lines: io.StringIO) -> None:
    async with live(tmp_path, MONDAY) as product:
        problems = await _traffic(product)
        metrics = (await product.editor.get("/metrics")).text
    written = lines.getvalue()
    assert '"action": "dead_letter"' in written and '"action": "request"' in written
    assert all(isinstance(json.loads(line), dict) for line in written.splitlines())
    assert len(problems) >= 8
    for what, canary in CANARIES.items():
        assert canary not in metrics, what
        assert canary not in written, what
        assert not [problem for problem in problems if canary in problem], what
    assert "c-canary" not in metrics and "offer" not in metrics


async def _traffic(product: Live) -> list[str]:
    """Send canaries in by every door, well and badly; returns the bodies of all answers that are errors."""
    addresses = [
        {"channel": "email", "address": CANARIES["address"], "verified": True},
        {"channel": "sms", "address": CANARIES["phone"], "verified": True},
    ]
    person = customer("c-canary", traits={"name": CANARIES["name"]}, addresses=addresses)
    await product.policy(policy())
    await product.campaign(campaign())
    broken = {"subject": "Hi {{ customer.traits.nothing }}", "html": "<p>{{ links.unsubscribe }}</p>"}
    await product.campaign(campaign("broken", content={"email": {"en": broken}}))
    await product.customer(person)
    await product.send(event("shop.offer", "1", subject="c-canary", note=CANARIES["data"], email=CANARIES["address"]))
    await product.send(event("shop.broken", "2", subject="c-canary", note=CANARIES["data"], email=CANARIES["address"]))
    await product.settle()
    await _poison(product)
    entry = {"address": {"channel": "email", "address": CANARIES["address"]}, "reason": "manual"}
    await product.editor.post("/v1/suppressions", json={**entry, "at": "2026-03-01T00:00:00Z"})
    return [body async for body in _refusals(product, person)]


async def _poison(product: Live) -> None:
    """Records that nobody can read, and some that only look right."""
    log, topic = product.together.bus, product.together.settings.kafka.events_topic
    headers = (("content-type", b"application/cloudevents+json"),)
    bad = {**event("shop.offer", "9", subject="c-canary", email=CANARIES["address"]), "time": CANARIES["name"]}
    change = {**event("tactful.preference.changed", "8", subject="c-canary"), "data": {"locale": CANARIES}}
    values = [json.dumps(bad).encode(), json.dumps(change).encode(), f"{{{CANARIES}".encode()]
    await log.publish([Outgoing(topic, b"c-canary", value, headers) for value in values])
    await product.send(event("shop.else", "last", subject="c-canary"))


async def _refusals(product: Live, person: dict[str, Any]) -> Any:
    wrong = [
        ("PUT", "/v1/preferences/c-canary", {**person, "traits": [CANARIES["name"]]}),
        (
            "PUT",
            "/v1/preferences/c-canary",
            {**person, "addresses": [{"channel": "fax", "address": CANARIES["phone"]}]},
        ),
        ("PUT", "/v1/preferences/c-canary", {**person, "addresses": CANARIES["address"]}),
        ("POST", "/v1/suppressions", {"address": CANARIES["address"], "source": CANARIES["name"]}),
        ("POST", "/v1/holds", {"key": "h", "mode": "defer", "from": CANARIES["phone"], "reason": CANARIES["name"]}),
        ("POST", "/v1/campaigns/offer/preview", {"customer": person, "event": CANARIES["data"]}),
    ]
    for method, path, body in wrong:
        yield await _refused(product.editor.request(method, path, json=body))
    late = {**event("shop.offer", "7", subject="c-canary", note=CANARIES["data"]), "time": CANARIES["address"]}
    for content in (json.dumps(late), f'{{"data": "{CANARIES["address"]}'):
        yield await _refused(product.editor.post("/v1/events", content=content, headers=CLOUD_EVENT))
    bearer = {"authorization": f"Bearer {CANARIES['token']}"}
    yield await _refused(product.editor.get("/v1/campaigns", headers=bearer))


async def _refused(request: Any) -> str:
    answer: httpx.Response = await request
    assert answer.status_code >= 400, answer.text
    assert answer.status_code < 500, answer.text
    return answer.text


async def test_log_lines_are_counted_by_level(tmp_path: Path) -> None:
    made = registry(tmp_path)
    seen = log_counter(made)
    seen("warning")
    assert made.get_sample_value("tactful_log_messages_total", {"level": "warning"}) == 1
