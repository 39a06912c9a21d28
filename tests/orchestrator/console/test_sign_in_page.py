"""Signing in: links work once, sessions end, changes need proof that they were meant, and every page says who may."""

import json
from urllib.parse import urlencode

import httpx
import pytest

from schemas.roles import Role
from schemas.times import HOUR, MINUTE, SECOND
from services.kit.http.sessions import COOKIE, derive_csrf_token
from tests.orchestrator.console.conftest import HTML, ORIGIN, House

pytestmark = pytest.mark.wired

PAGES = (
    "/console/",
    "/console/decisions",
    "/console/decisions/1",
    "/console/decisions/stream",
    "/console/inbox",
    "/console/inbox/x/body",
    "/console/inbox/x/document",
    "/console/why",
    "/console/customers",
    "/console/customers/ada",
    "/console/find?q=ada",
)


async def issue(house: House) -> str:
    return await house.embedded.services.orchestrator.sign_in.issue_token("ada", Role.ADMIN)


async def test_strangers_are_led_to_the_sign_in(house: House) -> None:
    for path in PAGES:
        answer = await house.get(path)
        wanted = "" if path == "/console/" else f"?{urlencode({'next': path})}"
        assert (answer.status_code, answer.headers["location"]) == (303, f"/console/sign-in{wanted}")
        assert (await house.browser.get(path)).status_code == 401  # a script, which cannot follow a person's way


async def test_the_root_leads_to_the_console(house: House) -> None:
    answer = await house.get("/")
    assert (answer.status_code, answer.headers["location"]) == (307, "/console/")


async def test_a_link_is_used_by_its_button_alone_and_once(house: House) -> None:
    token = await issue(house)
    for _ in range(2):
        page = await house.get(f"/console/sign-in?token={token}")
        assert page.status_code == 200 and f'value="{token}"' in page.text and COOKIE not in page.cookies
    first = await house.post("/console/sign-in", {"token": token})
    assert first.status_code == 303
    cookie = first.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Path=/console" in cookie
    second = await house.post("/console/sign-in", {"token": token})
    assert second.status_code == 403 and "has been used" in second.text


async def test_a_link_ends_after_fifteen_minutes(house: House) -> None:
    token = await issue(house)
    house.clock.advance(15 * MINUTE)
    assert (await house.post("/console/sign-in", {"token": token})).status_code == 403


async def test_a_session_ends_after_twelve_hours(house: House) -> None:
    await house.sign_in()
    house.clock.advance(12 * HOUR - SECOND)
    assert (await house.get("/console/")).status_code == 200
    house.clock.advance(SECOND)
    assert (await house.get("/console/")).status_code == 303


async def test_signing_out_ends_the_session_everywhere(house: House) -> None:
    await house.sign_in()
    kept = str(house.browser.cookies[COOKIE])
    answer = await house.post("/console/sign-out", {"csrf": await house.csrf()})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/sign-in")
    house.browser.cookies.clear()
    assert (await house.get("/console/", cookie=f"{COOKIE}={kept}")).status_code == 303


async def test_only_digests_are_kept(house: House) -> None:
    token = await issue(house)
    await house.sign_in()
    id = str(house.browser.cookies[COOKIE])
    async with house.embedded.services.databases["orchestrator"].read() as tx:
        rows = [tuple(row) for table in ("session", "sign_in_link") for row in await tx.rows(f"SELECT * FROM {table}")]
    assert len(rows) == 2
    assert not any(secret in str(row) for row in rows for secret in (token, id))


async def test_a_change_from_elsewhere_or_without_the_token_is_refused(house: House) -> None:
    await house.sign_in()
    right, wrong = await house.csrf(), "0" * 64
    cases = [
        ({"origin": "https://evil.example"}, right),
        ({"sec-fetch-site": "cross-site"}, right),
        ({"sec-fetch-site": "same-site"}, right),
        ({"origin": "null"}, right),
        ({}, wrong),
        ({}, ""),
        ({"sec-fetch-site": "same-origin"}, wrong),
    ]
    for headers, token in cases:
        assert (await house.post("/console/sign-out", {"csrf": token}, **headers)).status_code == 403
    assert (await house.get("/console/")).status_code == 200  # still signed in


async def test_a_change_without_any_origin_is_refused(house: House) -> None:
    await house.sign_in()
    token = await house.csrf()
    answer = await house.browser.post("/console/sign-out", data={"csrf": token}, headers={"accept": "text/html"})
    assert answer.status_code == 403
    by_header = {**HTML, "X-CSRF-Token": token}
    assert (await house.browser.post("/console/sign-out", data={}, headers=by_header)).status_code == 303


async def test_nobody_is_signed_in_from_another_site(house: House) -> None:
    answer = await house.post("/console/sign-in", {"token": await issue(house)}, origin="https://evil.example")
    assert answer.status_code == 403 and COOKIE not in house.browser.cookies


async def test_a_session_opened_with_a_key_ends_with_the_key(house: House) -> None:
    made = await house.api("POST", "/v1/keys", {"name": "Vera", "role": "viewer"})
    assert (await house.post("/console/sign-in", {"key": made["key"]})).status_code == 303
    page = await house.get("/console/")
    assert "Vera" in page.text and "viewer" in page.text
    headers = {"authorization": f"Bearer {house.embedded.keys['admin']}"}
    assert (await house.browser.delete(f"/v1/keys/{made['id']}", headers=headers)).is_success
    assert (await house.get("/console/")).status_code == 303


async def test_signing_in_and_out_is_in_the_audit_log(house: House) -> None:
    made = await house.api("POST", "/v1/keys", {"name": "Vera", "role": "viewer", "person": "vera"})
    await house.post("/console/sign-in", {"key": made["key"]})
    await house.post("/console/sign-out", {"csrf": await house.csrf()})
    await house.post("/console/sign-in", {"key": await house.key_of("publisher")})
    await house.post("/console/sign-in", {"token": await issue(house)})
    async with house.embedded.services.databases["orchestrator"].read() as tx:
        rows = await tx.rows("SELECT body FROM audit_entry ORDER BY seq")
    entries = [json.loads(row.body) for row in rows]
    found = [(each["event"], each["name"]) for each in entries if each["event"].startswith("sign")]
    assert [found[0], found[1], found[3]] == [("signed_in", "Vera"), ("signed_out", "Vera"), ("signed_in", "ada")]
    assert found[2][0] == "sign_in_refused"
    assert {each["person"] for each in entries if each["name"] == "Vera" and each["event"] == "signed_in"} == {"vera"}


@pytest.mark.parametrize("key", ["", "tk_nobody", "publisher"])
async def test_a_key_without_pages_signs_nobody_in(house: House, key: str) -> None:
    given = await house.key_of("publisher") if key == "publisher" else key
    assert (await house.post("/console/sign-in", {"key": given})).status_code == 403


async def test_the_api_never_takes_the_cookie(house: House) -> None:
    await house.sign_in()
    assert [cookie.path for cookie in house.browser.cookies.jar] == ["/console"]
    assert (await house.browser.get("/v1/decisions")).status_code == 401


async def test_roles_hold_on_pages_too(shop: House) -> None:
    await shop.sign_in("viewer")
    allowed = {path: (await shop.get(path)).status_code for path in PAGES if "stream" not in path}
    opened = ("/console/", "/console/decisions", "/console/why", "/console/customers")
    assert {allowed[path] for path in (*opened, "/console/customers/ada")} == {200}
    assert {allowed[path] for path in ("/console/inbox", "/console/inbox/x/body", "/console/inbox/x/document")} == {403}
    menu = (await shop.get("/console/")).text
    assert "/console/inbox" not in menu and "/console/customers" in menu


async def test_names_and_contacts_are_for_those_who_may_see_customers(shop: House) -> None:
    why = "/console/why?customer=ada&campaign=referral-ask&channel=email"
    pages = ("/console/decisions?customer=ada", why)
    for path in pages:
        assert "Ada" in (await shop.get(path)).text
    assert "What blocks the message, and until when" in (await shop.get(why)).text
    await shop.sign_in("viewer")
    part = (await shop.get("/console/decisions?decision=1", **{"hx-request": "true"})).text
    assert 'id="trace"' in part and 'href="/console/customers/ada"' in part  # that page is masked too
    for path in pages:
        assert "Ada" not in (await shop.get(path)).text
    assert "What blocks the message, and until when" not in (await shop.get(why)).text


async def test_a_session_opens_the_pages_alone_whatever_a_client_sends(house: House) -> None:
    """Browsers send the cookie to the pages only; whoever has stolen it can send it anywhere."""
    await house.sign_in("admin")
    id = house.browser.cookies[COOKIE]
    headers = {"cookie": f"{COOKIE}={id}", "x-csrf-token": derive_csrf_token(id), "sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(house.embedded.app), base_url=ORIGIN) as thief:
        assert (await thief.get("/console/", headers=headers)).status_code == 200
        for path in ("/v1/campaigns", "/v1/keys", "/v1/messages", "/consoles", "/console/../v1/keys"):
            assert (await thief.get(path, headers=headers)).status_code in (401, 404), path
        made = await thief.post("/v1/keys", json={"name": "kept", "role": "admin"}, headers=headers)
        assert made.status_code == 401


async def test_keys_are_not_guessed_at_the_sign_in_page(house: House) -> None:
    """Twenty a second are let through for ever, so a slow machine needs more of them to meet the limit."""
    statuses: list[int] = []
    while len(statuses) < 1_000 and 429 not in statuses:
        answer = await house.post("/console/sign-in", {"key": f"tk_guess_{len(statuses)}"})
        statuses.append(answer.status_code)
    assert statuses[:50] == [403] * 50
    assert statuses[-1] == 429
