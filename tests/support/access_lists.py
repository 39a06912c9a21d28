"""Kafka's access control lists, as docs/kafka.md writes them for `kafka-acls.sh`, put into force on a broker."""

import argparse
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest

from tests.support.servers import ROOT

DOCUMENT = ROOT / "docs/kafka.md"
_TOPIC, _GROUP, _TRANSACTIONAL_ID = 2, 3, 5
_OPERATIONS = {"Read": 3, "Write": 4}
_LITERAL, _ALLOW = 3, 3
"""Numbers of Kafka's protocol."""


class Grant(NamedTuple):
    """One line of an access control list."""

    principal: str
    operation: str
    kind: int
    name: str


def documented_grants(document: Path = DOCUMENT) -> Iterator[Grant]:
    """What the commands of the document grant. Ends the test for an option that `kafka-acls.sh` does not have."""
    parser = argparse.ArgumentParser(prog="kafka-acls.sh", exit_on_error=False)
    parser.add_argument("--add", action="store_true", required=True)
    parser.add_argument("--allow-principal", required=True)
    parser.add_argument("--operation", action="append", choices=_OPERATIONS, required=True)
    parser.add_argument("--topic")
    parser.add_argument("--group")
    parser.add_argument("--transactional-id")
    for line in document.read_text("utf-8").splitlines():
        if line.startswith("kafka-acls.sh "):
            given = parser.parse_args(shlex.split(line)[1:])
            for operation in given.operation:
                named = {_TOPIC: given.topic, _GROUP: given.group, _TRANSACTIONAL_ID: given.transactional_id}
                ((kind, name),) = ((kind, name) for kind, name in named.items() if name)
                yield Grant(given.allow_principal, operation, kind, name)


async def grant(bootstrap: str, grants: Iterator[Grant]) -> None:
    """Puts them into force, as a superuser of the listener without TLS."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        for each in grants:
            operation = _OPERATIONS[each.operation]
            request = CreateAclsRequest(each.kind, each.name, _LITERAL, each.principal, "*", operation, _ALLOW)
            answer = await admin._send_to_controller(request)
            assert [code for code, *_ in answer.creation_responses] == [0]
    finally:
        await admin.close()
