"""Authentication, health and metrics of the preference service."""

import pytest

from schemas.facts import Preference
from schemas.service_api import PREFERENCE_FACTS_PATH, PreferenceRequest
from services.clients.preference import PreferenceClient
from services.kit.errors import Permanent
from services.kit.http import internal_api
from tests.preference.test_api import C
from tests.support.preference_service import SERVICE_KEY, VIEWER_KEY, Running

pytestmark = pytest.mark.wired


async def test_roles_and_keys_are_asked_for(at_work: Running) -> None:
    viewer = {"Authorization": f"Bearer {VIEWER_KEY}"}
    for method, path in [("GET", C), ("PUT", C), ("PATCH", C), ("POST", f"{C}/optout"), ("GET", f"{C}/history")]:
        assert (await at_work.http.request(method, path, json={}, headers=viewer)).status_code == 403
        assert (await at_work.http.request(method, path, json={}, headers={"Authorization": ""})).status_code == 401
    assert (await at_work.http.post(PREFERENCE_FACTS_PATH, content=b"")).status_code == 401
    stranger = PreferenceClient(at_work.http, "another-service-key")
    with pytest.raises(Permanent):
        await stranger.get_facts(["c-1"], {})


async def test_only_those_who_changed_are_answered_again(at_work: Running) -> None:
    names = ["c-1", "c-2", "c-3"]
    for name in names[:2]:
        await at_work.http.patch(f"/v1/preferences/{name}", json={"locale": "de"})
    known = await at_work.doors.get_facts(names, {})
    assert [known[name].locale for name in names] == ["de", "de", None]
    again = await at_work.doors.get_facts(names, {}, known)
    assert all(again[name] is known[name] for name in names)
    await at_work.http.patch("/v1/preferences/c-2", json={"locale": "fr"})
    await at_work.http.patch("/v1/preferences/c-3", json={"locale": "it"})
    changed = await at_work.doors.get_facts(names, {}, known)
    assert [changed[name].locale for name in names] == ["de", "fr", "it"]
    assert changed["c-1"] is known["c-1"]


async def test_what_is_known_of_a_customer_who_is_not_there_any_more_is_answered(at_work: Running) -> None:
    await at_work.http.patch("/v1/preferences/c-1", json={"locale": "de"})
    known = await at_work.doors.get_facts(["c-1"], {})
    async with at_work.database.write() as tx:
        await tx.execute("DELETE FROM preference_state")
    assert (await at_work.doors.get_facts(["c-1"], {}, known))["c-1"].locale is None


async def test_a_question_with_fewer_versions_than_customers_is_not_answered_in_part(at_work: Running) -> None:
    lame = PreferenceRequest(("c-1", "c-2"), {}, (0,))
    with pytest.raises(Permanent):
        await internal_api.call(at_work.http, PREFERENCE_FACTS_PATH, lame, list[Preference], key=SERVICE_KEY)


async def test_ids_that_could_confuse_are_refused(at_work: Running) -> None:
    assert (await at_work.http.patch("/v1/preferences/c%0A1", json={"locale": "de"})).status_code == 422
    assert (await at_work.http.patch(f"/v1/preferences/{'c' * 257}", json={"locale": "de"})).status_code == 422
    assert (await at_work.http.patch("/v1/preferences/Zo%C3%AB", json={"locale": "de"})).status_code == 201


async def test_the_service_says_that_it_is_ready(at_work: Running) -> None:
    assert (await at_work.http.get("/readyz", params={"verbose": "1"})).json()["status"] == "ready"
    assert (await at_work.http.get("/startupz")).status_code == 200
    await at_work.http.post(f"{C}/optout", json={"all": True})
    metrics = (await at_work.http.get("/metrics")).text
    assert 'tactful_optout_enforced_seconds_count{source="api"} 1.0' in metrics
    assert await at_work.count("api", "opted_out") == 1
