"""The reference: the same job as a careful team writes it in a week. `python -m tests.bench.reference`.

One event at a time, `async for`; one transaction of SQLAlchemy's ORM with a COUNT of what the customer got; a template
of Jinja2, compiled once; the offset committed when the event is done, as aiokafka's manual advises where nothing may be
lost. It is correct under repeated events and loses none. It judges less than Tactful does: one cap in place of
ten rules, no plan for later, no second look before the handover, no explanation kept.
"""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jinja2
import msgspec
import uvloop
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError
from sqlalchemy import BigInteger, DateTime, Index, Text, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from tests.bench import load

GROUP = "reference"
CAP = 40
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Base(DeclarativeBase):
    """All tables."""


class Customer(Base):
    """Preferences and what speaks against speaking to a customer."""

    __tablename__ = "customer"
    id: Mapped[str] = mapped_column(Text, primary_key=True)
    zone: Mapped[str] = mapped_column(Text)
    device: Mapped[str] = mapped_column(Text)
    traits: Mapped[dict[str, Any]] = mapped_column(JSONB)
    consent: Mapped[bool]
    suppressed: Mapped[bool]


class Processed(Base):
    """Events that have been dealt with."""

    __tablename__ = "processed"
    event_id: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class Sent(Base):
    """Messages."""

    __tablename__ = "sent"
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=True)
    customer_id: Mapped[str] = mapped_column(Text)
    event_id: Mapped[str] = mapped_column(Text)
    campaign: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    outcome: Mapped[str] = mapped_column(Text)
    event_time: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    __table_args__ = (Index("sent_customer", "customer_id", "at"),)


class Worker:
    """Deals with one event after the other."""

    def __init__(self, sessions: async_sessionmaker[AsyncSession], send: Send) -> None:
        self._sessions, self._send = sessions, send
        environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
        self._campaigns = {}
        for number in range(load.CAMPAIGNS):
            document = load.campaign(number)
            content = document["content"]["push"]["en"]
            title, body = environment.from_string(content["title"]), environment.from_string(content["body"])
            self._campaigns[document["trigger"]["event"]] = (document["key"], title, body)

    async def handle(self, value: bytes) -> None:
        """One event."""
        event = msgspec.json.decode(value)
        campaign = self._campaigns.get(event["type"])
        if campaign is None or event["data"]["total"] < 1.0:
            return
        key, title, body = campaign
        now = datetime.now(UTC)
        async with self._sessions() as session, session.begin():
            if await session.get(Processed, event["id"]) is not None:
                return
            customer = await session.get(Customer, event["subject"])
            session.add(Processed(event_id=event["id"], at=now))
            if customer is None or customer.suppressed or not customer.consent:
                return
            got = await session.scalar(
                select(func.count()).where(Sent.customer_id == customer.id, Sent.at > now - timedelta(days=7))
            )
            if got is not None and got >= CAP:
                return
            values = {"customer": {"id": customer.id, "traits": customer.traits}, "event": event}
            row = Sent(
                customer_id=customer.id, event_id=event["id"], campaign=key, title=title.render(values),
                body=body.render(values), outcome="accepted", event_time=datetime.fromisoformat(event["time"]), at=now,
            )  # fmt: skip
            await self._send({"id": event["id"], "to": customer.device, "title": row.title, "body": row.body})
            row.at = datetime.now(UTC)
            session.add(row)


async def forget(_message: dict[str, Any]) -> None:
    """The null adapter."""


async def main() -> None:
    """Read for ever."""
    engine = create_async_engine(os.environ["REFERENCE_DATABASE"])
    consumer = AIOKafkaConsumer(
        os.environ["REFERENCE_TOPIC"], bootstrap_servers=os.environ["REFERENCE_KAFKA"], group_id=GROUP,
        auto_offset_reset="earliest", enable_auto_commit=False,
    )  # fmt: skip
    send, url = forget, os.environ.get("REFERENCE_URL")
    async with httpx.AsyncClient() as client:

        async def post(message: dict[str, Any]) -> None:
            (await client.post(str(url), json=message, headers={"idempotency-key": message["id"]})).raise_for_status()

        worker = Worker(async_sessionmaker(engine, expire_on_commit=False), post if url else send)
        await consumer.start()
        try:
            async for record in consumer:
                await worker.handle(record.value)
                with suppress(CommitFailedError):  # the partition is another's now, who will find the event dealt with
                    await consumer.commit()
        finally:
            await consumer.stop()
            await engine.dispose()


if __name__ == "__main__":
    time.tzset()
    uvloop.run(main())
