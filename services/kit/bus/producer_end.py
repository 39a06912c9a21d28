"""Ends a producer of aiokafka at once, whatever its brokers do."""

import asyncio
import itertools
from typing import Any, Final

from aiokafka import AIOKafkaProducer

END_TIMEOUT: Final = 0.5
"""Seconds that the tasks of a producer have to see that it is ended. Nothing is written meanwhile."""


async def end_producer(producer: AIOKafkaProducer) -> None:
    """Ends a producer at once: what it holds is dropped, and so is what its connections have not given to the kernel.

    Its own `stop` would wait until the brokers have everything. Nothing public ends it otherwise, so this reaches into
    aiokafka: no new connection, no further request, and the ones there are cut off.
    """
    client, held = producer.client, producer._message_accumulator
    client._get_conn = _no_connection
    if (sending := producer._sender.sender_task) is not None:
        sending.cancel()
    dropped = {*itertools.chain(*held._batches.values()), *held._pending_batches}
    held._batches.clear()
    for connection in list(client._conns.values()):
        if connection._writer is not None:
            connection._writer.transport.abort()
    producer._closed = True  # or it would complain of not having been stopped
    tasks = [asyncio.ensure_future(client.close()), *([sending] if sending is not None else [])]
    await asyncio.wait(tasks, timeout=END_TIMEOUT)
    for batch in dropped:  # a `stop` that was cut off waits for them; only now, as the sending task counts on them
        if not batch.future.done():
            held._pending_batches.add(batch)  # whence its callback takes it
            batch.future.cancel()


async def _no_connection(*_: Any, **__: Any) -> None:
    return None
