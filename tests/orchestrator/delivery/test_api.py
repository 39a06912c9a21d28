"""Messages over HTTP."""

import pytest

from schemas.message import HandoverResult
from schemas.times import SECOND
from services.kit.db.database import Tx
from services.orchestrator.delivery import store as delivery_store
from services.orchestrator.delivery.attempts import AttemptEnd, AttemptResult
from tests.support.decision_records import decision, event, keep, keep_message
from tests.support.handovers import claim
from tests.support.orchestrator_app import NOON, World

pytestmark = pytest.mark.wired


async def again(tx: Tx, message: str) -> None:
    """Its first attempt ends without an answer, its second one well."""
    await tx.execute("UPDATE message SET state = 'pending', attempts = 0 WHERE message_id = :id", id=message)
    first = await claim(tx, message)
    ends = [AttemptEnd(message, "retry", "no answer")]
    assert await delivery_store.end_attempts(tx, first, ends, NOON) == {message: False}
    await tx.execute("UPDATE message SET state = 'pending' WHERE message_id = :id", id=message)
    assert await delivery_store.close_handover(tx, first, [], NOON)
    accepted = AttemptResult("c-1", 2, HandoverResult(message, "accepted", "p-1"), True, "webhook")
    second = await claim(tx, message, at=NOON + SECOND)
    assert await delivery_store.close_handover(tx, second, [accepted], NOON + SECOND)


async def test_messages_are_listed_and_shown_with_attempts_and_decisions(here: World) -> None:
    of = decision(event("e-1"), outcome="send", reason="eligible", verdicts=())
    other = decision(event("e-2"))
    async with here.database.write() as tx:
        await keep(tx, event("e-1"), of)
        await keep_message(tx, of)
        await keep_message(tx, other, created=NOON + 1, state="pending", content=None, to_address=None)
        await again(tx, of.message_id)
    every = (await here.call("viewer", "GET", "/v1/messages?customer=c-1&limit=1")).json()
    assert [item["message_id"] for item in every["items"]] == [of.message_id]
    rest = (await here.call("viewer", "GET", f"/v1/messages?customer=c-1&limit=1&after={every['next']}")).json()
    assert ([item["status"] for item in rest["items"]], rest["next"]) == (["pending"], None)
    accepted = (await here.call("viewer", "GET", "/v1/messages?campaign=referral-ask&status=accepted")).json()
    assert len(accepted["items"]) == 1
    assert (await here.call("viewer", "GET", "/v1/messages?status=lost")).status_code == 422
    for role in ("viewer", "marketer", "approver", "operator"):
        for path in (f"/v1/messages/{of.message_id}", "/v1/messages?customer=c-1&limit=1"):
            answer = (await here.call(role, "GET", path)).json()
            hidden = answer if "items" not in answer else answer["items"][0]
            assert (hidden["content"], hidden["to"]) == (None, None)
            assert hidden["hidden"] == f"the role {role} may not see customers' data"
    one = (await here.call("agent", "GET", f"/v1/messages/{of.message_id}")).json()
    assert (one["content"], one["to"], one["class"]) == ({"text": "Hi"}, "+491701234567", "marketing")
    assert [(item["number"], item["state"], item["outcome"], item["marked_at"]) for item in one["attempts"]] == [
        (1, "closed", "retry", "2026-03-02T12:00:00Z"),
        (2, "closed", "accepted", "2026-03-02T12:00:01Z"),
    ]
    assert [item["outcome"] for item in one["decisions"]] == ["send"]
    assert (await here.call("viewer", "GET", "/v1/messages/msg_none")).status_code == 404
