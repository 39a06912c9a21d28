"""The company's sign-in: who comes in, as whom and for how long, and what is refused in plain words."""

import html
import json
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey

from schemas.times import HOUR, MINUTE, SECOND
from services.kit.http.sessions import COOKIE
from services.orchestrator.console.provider_sign_in_page import ATTEMPT_COOKIE, FAULTS
from tests.orchestrator.console.company_sign_in import Company, company
from tests.orchestrator.console.conftest import ORIGIN
from tests.support.openid_provider import CLIENT_SECRET, Claims, OpenIdProvider, new_key

pytestmark = pytest.mark.wired


@pytest.fixture
async def firm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Company]:
    async with company(tmp_path, monkeypatch) as made:
        yield made


async def audit_entries(firm: Company) -> list[dict[str, Any]]:
    async with firm.house.embedded.services.databases["orchestrator"].read() as tx:
        return [json.loads(row.body) for row in await tx.rows("SELECT body FROM audit_entry ORDER BY seq")]


def assert_refused(answer: httpx.Response, code: str = "", status: int = 403, case: str = "") -> None:
    """Nobody was signed in, and the page says why."""
    assert answer.status_code == status, (case, answer.text[:300])
    assert COOKIE not in answer.cookies, case
    text = html.unescape(answer.text)
    assert (FAULTS[code] if code else "could not be verified, so nobody was signed in") in text, case


async def test_a_person_comes_in_by_the_company_and_is_who_their_keys_belong_to(firm: Company) -> None:
    firm.person("ada", "makers", "somebody-else")
    page = await firm.house.get("/console/sign-in")
    assert 'href="/console/sign-in/begin"' in page.text and 'name="key"' in page.text
    answer = await firm.sign_in("/console/decisions?customer=ada")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/decisions?customer=ada")
    cookie = next(each for each in answer.headers.get_list("set-cookie") if each.startswith(f"{COOKIE}="))
    assert "HttpOnly" in cookie and "SameSite=lax" in cookie and "Max-Age=3600" in cookie and "Path=/console" in cookie
    home = await firm.house.get("/console/")
    assert home.status_code == 200 and "ada" in home.text and "marketer" in home.text
    (entry,) = [each for each in await audit_entries(firm) if each["event"] == "signed_in"]
    assert (entry["name"], entry["person"], entry["role"]) == ("ada", "ada", "marketer")
    assert entry["key_id"].startswith("person_")
    await firm.house.post("/console/sign-out", {"csrf": await firm.house.csrf()})
    assert (await firm.house.get("/console/")).status_code == 303
    assert (await audit_entries(firm))[-1]["key_id"] == entry["key_id"]


async def test_the_provider_is_asked_with_pkce_state_and_nonce(firm: Company) -> None:
    begun = [(await firm.begin()).headers["location"] for _ in range(2)]
    first, second = (parse_qs(urlsplit(each).query) for each in begun)
    assert first["redirect_uri"] == [f"{ORIGIN}/console/sign-in/callback"]
    assert first["code_challenge_method"] == ["S256"] and first["response_type"] == ["code"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(first[name][0]) >= 43 and first[name] != second[name]
    assert len({first[name][0] for name in ("state", "nonce", "code_challenge")}) == 3


async def test_a_cookie_over_https_is_secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with company(tmp_path, monkeypatch) as firm:
        assert "Secure" not in (await firm.begin()).headers["set-cookie"]
    monkeypatch.setenv("TACTFUL_WEB__PUBLIC_URL", "https://tactful.example")
    monkeypatch.setattr("tests.orchestrator.console.company_sign_in.ORIGIN", "https://tactful.example")
    async with company(tmp_path, monkeypatch) as firm:
        begun = (await firm.begin()).headers["set-cookie"]
        assert "Secure" in begun and "HttpOnly" in begun and "SameSite=lax" in begun


async def test_a_state_signs_in_once_and_in_its_browser_alone(firm: Company) -> None:
    firm.person("ada", "staff")
    back = await firm.visit_provider(await firm.begin())
    secret = str(firm.house.browser.cookies[ATTEMPT_COOKIE])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(firm.house.embedded.app), base_url=ORIGIN) as other:
        assert_refused(await other.get(back), "state_refused")
    assert (await firm.house.get(back)).status_code == 303
    assert ATTEMPT_COOKIE not in firm.house.browser.cookies
    assert_refused(await firm.house.get(back, cookie=f"{ATTEMPT_COOKIE}={secret}"), "state_refused")


async def test_a_state_of_another_sign_in_is_refused(firm: Company) -> None:
    """Whoever is led to an answer that somebody else has begun does not come in as them."""
    firm.person("mallory", "admins")
    theirs = await firm.visit_provider(await firm.begin())
    firm.house.browser.cookies.clear()
    await firm.begin()
    assert_refused(await firm.house.get(theirs), "state_refused")


async def test_a_sign_in_takes_ten_minutes_at_most(firm: Company) -> None:
    firm.person("ada", "staff")
    back = await firm.visit_provider(await firm.begin())
    firm.house.clock.advance(10 * MINUTE)
    assert_refused(await firm.house.get(back), "state_refused")


async def test_a_code_without_our_verifier_is_worth_nothing(firm: Company) -> None:
    firm.person("ada", "staff")
    mine, theirs = await firm.visit_provider(await firm.begin()), ""
    firm.house.browser.cookies.clear()
    theirs = await firm.visit_provider(await firm.begin())
    stolen, own = (parse_qs(urlsplit(each).query) for each in (mine, theirs))
    answer = await firm.house.get(f"/console/sign-in/callback?code={stolen['code'][0]}&state={own['state'][0]}")
    assert_refused(answer)


def saying(changes: Claims) -> Callable[[Claims], Claims]:
    """What makes a provider say something else of a person."""
    return lambda claims: claims | changes


WRONG_CLAIMS: dict[str, tuple[Claims, str]] = {
    "another issuer": ({"iss": "https://login.example.org"}, ""),
    "another audience": ({"aud": "another-client"}, ""),
    "no audience": ({"aud": None}, ""),
    "several audiences without a party": ({"aud": ["tactful", "another-client"]}, ""),
    "another party": ({"azp": "another-client"}, ""),
    "another nonce": ({"nonce": "x" * 43}, ""),
    "no nonce": ({"nonce": None}, ""),
    "no subject": ({"sub": ""}, ""),
    "a subject that is none": ({"sub": 7}, ""),
    "no end": ({"exp": None}, ""),
    "no name": ({"preferred_username": None}, "no_name"),
    "a name with something invisible": ({"preferred_username": "ad\u200ba"}, "no_name"),
    "no group with a role": ({"groups": ["others"]}, "no_role"),
    "groups that are none": ({"groups": {"admins": True}}, "no_role"),
}


async def test_a_token_that_says_something_else_signs_nobody_in(firm: Company) -> None:
    firm.person("ada", "staff")
    for case, (wrong, code) in WRONG_CLAIMS.items():
        firm.provider.change = saying(wrong)
        assert_refused(await firm.sign_in(), code, case=case)
    firm.provider.change = lambda claims: claims | {"aud": ["tactful", "another-client"], "azp": "tactful"}
    assert (await firm.sign_in()).status_code == 303


SHIFTS: list[tuple[dict[str, int], str]] = [
    ({"iat": 59, "exp": 300}, ""),
    ({"iat": 61, "exp": 300}, "clocks_differ"),
    ({"iat": 0, "exp": 300, "nbf": 61}, "clocks_differ"),
    ({"iat": -100, "exp": -59}, ""),
    ({"iat": -100, "exp": -60}, "clocks_differ"),
    ({"iat": -661, "exp": 86_400}, "clocks_differ"),
]
"""Seconds by which the times of a token are away from ours, and the code of the refusal."""


async def test_clocks_may_differ_by_a_minute(firm: Company) -> None:
    firm.person("ada", "staff")
    now = firm.house.now // SECOND
    for shift, code in SHIFTS:
        times = {name: now + by for name, by in shift.items()}
        firm.provider.change = saying(times)
        answer = await firm.sign_in()
        if code:
            assert_refused(answer, code, case=str(shift))
        else:
            assert answer.status_code == 303, shift


def _unsigned(provider: OpenIdProvider, claims: Claims) -> str:
    signed = provider.write_token(claims).split(".")
    return f"eyJhbGciOiJub25lIn0.{signed[1]}."


def _by_secret(provider: OpenIdProvider, claims: Claims) -> str:
    return jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(CLIENT_SECRET * 2), algorithms=["HS256"])


def _by_public_key(provider: OpenIdProvider, claims: Claims) -> str:
    """The old trick: the published key taken for a secret."""
    pem = OctKey.import_key(provider.keys[0].as_pem(private=False).hex())
    return jwt.encode({"alg": "HS256", "kid": provider.keys[0].kid}, claims, pem, algorithms=["HS256"])


def _by_another_key(provider: OpenIdProvider, claims: Claims) -> str:
    return provider.write_token(claims, new_key(str(provider.keys[0].kid)))


def _changed(provider: OpenIdProvider, claims: Claims) -> str:
    head, _, signature = provider.write_token(claims).split(".")
    body = provider.write_token(claims | {"groups": ["admins"]}).split(".")[1]
    return f"{head}.{body}.{signature}"


def _by_a_withdrawn_key(provider: OpenIdProvider, claims: Claims) -> str:
    return provider.write_token(claims, provider.rotate())


FORGERIES: dict[str, Callable[[OpenIdProvider, Claims], str]] = {
    "alg none": _unsigned,
    "signed with the secret": _by_secret,
    "signed with the public key": _by_public_key,
    "signed by another key of the same name": _by_another_key,
    "changed": _changed,
    "signed by a withdrawn key": _by_a_withdrawn_key,
    "no token": lambda provider, claims: "x",
    "too long": lambda provider, claims: "x" * 70_000,
}


async def test_a_forged_token_signs_nobody_in(firm: Company) -> None:
    firm.person("ada", "staff")
    for case, forge in FORGERIES.items():
        firm.provider.sign = None
        assert (await firm.sign_in()).status_code == 303, case
        firm.house.browser.cookies.clear()
        firm.provider.sign = partial(forge, firm.provider)
        assert_refused(await firm.sign_in(), case=case)


@pytest.mark.parametrize("keep_old", [True, False])
async def test_a_new_signing_key_is_known_at_once(firm: Company, keep_old: bool) -> None:
    firm.person("ada", "staff")
    assert (await firm.sign_in()).status_code == 303
    old = firm.provider.rotate(keep_old=keep_old)
    assert (await firm.sign_in()).status_code == 303
    if keep_old:
        firm.provider.sign = lambda claims: firm.provider.write_token(claims, old)
        assert (await firm.sign_in()).status_code == 303


BROKEN: list[tuple[str, tuple[int, object]]] = [
    ("/.well-known/openid-configuration", (500, "broken")),
    ("/.well-known/openid-configuration", (200, "no json")),
    ("/.well-known/openid-configuration", (302, "elsewhere")),
    ("/.well-known/openid-configuration", (200, "[" * 5000)),
    ("/.well-known/openid-configuration", (200, "x" * 300_000)),
    ("/token", (500, "broken")),
    ("/token", (302, "elsewhere")),
    ("/token", (200, {"access_token": "x"})),
    ("/keys", (404, "gone")),
    ("/keys", (200, {"keys": "none"})),
]
"""Paths of the provider, and what it answers there."""


async def test_a_provider_that_is_broken_is_told(firm: Company) -> None:
    firm.person("ada", "staff")
    for path, answer in BROKEN:
        firm.house.clock.advance(5 * MINUTE)  # so that its description is read again
        firm.provider.answers = {path: answer}
        begun = await firm.begin()
        refused = begun if begun.status_code != 303 else await firm.house.get(await firm.visit_provider(begun))
        assert_refused(refused, "identity_provider_unavailable", 503, case=f"{path} {str(answer)[:40]}")
        firm.provider.answers.clear()
        firm.house.clock.advance(5 * SECOND)
        assert (await firm.sign_in()).status_code == 303


async def test_a_provider_that_calls_itself_otherwise_is_not_believed(firm: Company) -> None:
    document = {"issuer": "https://login.example.org", "jwks_uri": f"{firm.provider.issuer}/keys"}
    document |= dict.fromkeys(("authorization_endpoint", "token_endpoint"), f"{firm.provider.issuer}/x")
    firm.provider.answers["/.well-known/openid-configuration"] = (200, document)
    assert_refused(await firm.begin(), "identity_provider_unavailable", 503)


async def test_endpoints_that_a_provider_names_are_called_through_the_guard(firm: Company) -> None:
    """A description can name any address; those of this machine's network are not called for it."""
    firm.person("ada", "staff")
    base = firm.provider.issuer
    document = {"issuer": base, "authorization_endpoint": f"{base}/authorize", "token_endpoint": f"{base}/token"}
    document["jwks_uri"] = "http://169.254.169.254/keys"
    firm.provider.answers["/.well-known/openid-configuration"] = (200, document)
    assert_refused(await firm.sign_in(), "identity_provider_unavailable", 503)


async def test_a_provider_that_does_not_listen_is_told_and_not_asked_again_at_once(firm: Company) -> None:
    firm.provider.answers["/.well-known/openid-configuration"] = (503, "later")
    for _ in range(3):
        assert_refused(await firm.begin(), "identity_provider_unavailable", 503)
    assert len(firm.provider.asked) == 1


async def test_a_refusal_of_the_provider_is_told_without_its_words(firm: Company) -> None:
    state = parse_qs(urlsplit((await firm.begin()).headers["location"]).query)["state"][0]
    path = f"/console/sign-in/callback?state={state}&error=access_denied&error_description=<b>call%200800</b>"
    answer = await firm.house.get(path)
    assert_refused(answer, "provider_refused")
    assert "0800" not in answer.text


async def test_an_answer_in_the_name_of_another_provider_is_refused(firm: Company) -> None:
    firm.person("ada", "staff")
    back = await firm.visit_provider(await firm.begin())
    path, _, query = back.partition("?")
    mixed = "&".join(each for each in query.split("&") if not each.startswith("iss="))
    assert_refused(await firm.house.get(f"{path}?{mixed}&iss=https://login.example.org"))


ELSEWHERE = (
    "https://evil.example/console/",
    "//evil.example/console/",
    "/\\evil.example",
    "/console/\\evil.example",
    "/console//evil.example",
    "/console/../v1/keys",
    "/console/%2e%2e/v1/keys",
    "/console/%5c%5cevil.example",
    "/consoles/",
    "/v1/keys",
    "javascript:alert(1)",
    "/console/sign-in?token=x",
    "/console/\r\nset-cookie: x=y",
    "/console/" + "x" * 3000,
    "\t//evil.example",
)
"""What `next` may be made to say."""


async def test_nobody_is_led_out_of_the_console(firm: Company) -> None:
    firm.person("ada", "staff")
    key = await firm.house.key_of("viewer")
    for wanted in ELSEWHERE:
        answer = await firm.sign_in(wanted)
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/"), wanted[:40]
        by_key = await firm.house.post("/console/sign-in", {"key": key, "next": wanted})
        if by_key.status_code != 422:  # a form that holds what is no text
            assert (by_key.status_code, by_key.headers["location"]) == (303, "/console/"), wanted[:40]


async def test_whoever_is_sent_to_the_sign_in_comes_back_to_their_page(firm: Company) -> None:
    firm.person("ada", "staff")
    sent = await firm.house.get("/console/decisions?customer=a%20b")
    assert sent.status_code == 303
    page = await firm.house.get(sent.headers["location"])
    assert "/console/sign-in/begin?next=%2Fconsole%2Fdecisions%3Fcustomer%3Da%2520b" in html.unescape(page.text)
    answer = await firm.sign_in("/console/decisions?customer=a%20b")
    assert answer.headers["location"] == "/console/decisions?customer=a%20b"


async def test_a_session_ends_after_the_time_that_is_set(firm: Company) -> None:
    firm.person("ada", "staff")
    await firm.sign_in()
    firm.house.clock.advance(HOUR - SECOND)
    assert (await firm.house.get("/console/")).status_code == 200
    firm.house.clock.advance(SECOND)
    assert (await firm.house.get("/console/")).status_code == 303


async def test_another_role_ends_the_sessions_from_before(firm: Company) -> None:
    firm.person("ada", "admins")
    await firm.sign_in()
    old = str(firm.house.browser.cookies[COOKIE])
    firm.house.browser.cookies.clear()
    firm.person("ada", "staff")
    await firm.sign_in()
    assert "viewer" in (await firm.house.get("/console/")).text
    firm.house.browser.cookies.clear()
    assert (await firm.house.get("/console/", cookie=f"{COOKIE}={old}")).status_code == 303
    firm.person("ada", "admins")  # a role that comes back does not bring back the session
    await firm.sign_in()
    firm.house.browser.cookies.clear()
    assert (await firm.house.get("/console/", cookie=f"{COOKIE}={old}")).status_code == 303


async def test_a_disabled_person_is_out_at_once_with_their_keys(firm: Company) -> None:
    firm.person("ada", "staff")
    await firm.sign_in()
    made = await firm.house.api("POST", "/v1/keys", {"name": "desk", "role": "viewer", "person": "ada"})
    firm.house.keys["desk"] = made["key"]
    assert await firm.house.api("GET", "/v1/campaigns", by="desk")
    (person,) = (await firm.house.api("GET", "/v1/people"))["items"]
    assert (person["name"], person["role"], person["disabled"]) == ("ada", "viewer", None)
    assert (await firm.house.api("POST", f"/v1/people/{person['id']}/disable"))["disabled"] is not None
    assert (await firm.house.get("/console/")).status_code == 303
    with pytest.raises(AssertionError, match="unknown, revoked or expired"):
        await firm.house.api("GET", "/v1/campaigns", by="desk")
    assert_refused(await firm.sign_in(), "person_disabled")
    assert (await audit_entries(firm))[-1]["event"] == "sign_in_refused"
    await firm.house.api("POST", f"/v1/people/{person['id']}/enable")
    assert (await firm.sign_in()).status_code == 303
    assert await firm.house.api("GET", "/v1/campaigns", by="desk")


async def test_a_person_keeps_their_name_and_nobody_takes_it(firm: Company) -> None:
    firm.person("ada", "makers")
    await firm.sign_in()
    firm.person("zoe", "makers", subject="subject-of-ada")  # renamed at the provider
    await firm.sign_in()
    home = await firm.house.get("/console/")
    assert "ada" in home.text and "zoe" not in home.text
    for name in ("ada", "Ada", "\u0430d\u0430"):
        firm.person(name, "makers", subject="another")
        answer = await firm.sign_in()
        assert answer.status_code in (403, 409) and COOKIE not in answer.cookies
    firm.person("Admin", "staff")
    assert_refused(await firm.sign_in(), "name_taken", 409)
    await firm.house.api("POST", "/v1/keys", {"name": "phone", "role": "viewer", "person": "bob"})
    firm.person("phone", "staff")
    assert_refused(await firm.sign_in(), "name_taken", 409)


async def test_a_name_that_was_released_is_that_of_the_next_account(firm: Company) -> None:
    firm.person("ada", "makers")
    await firm.sign_in()
    (person,) = (await firm.house.api("GET", "/v1/people"))["items"]
    firm.person("ada", "staff", subject="new-account")
    assert_refused(await firm.sign_in(), "name_taken", 409)
    assert (await firm.house.api("POST", f"/v1/people/{person['id']}/release"))["subject"] is None
    assert (await firm.house.get("/console/")).status_code == 303
    firm.person("Ada", "staff", subject="look-alike")
    assert_refused(await firm.sign_in(), "name_taken", 409)
    firm.person("ada", "staff", subject="new-account")
    assert (await firm.sign_in()).status_code == 303
    (again,) = (await firm.house.api("GET", "/v1/people"))["items"]
    assert (again["id"], again["subject"], again["role"]) == (person["id"], "new-account", "viewer")
    firm.person("ada", "makers")
    assert_refused(await firm.sign_in(), "name_taken", 409)


async def test_a_client_whose_secret_is_in_the_form_is_known(firm: Company) -> None:
    firm.person("ada", "staff")
    firm.provider.auth_methods = ["client_secret_post"]
    assert (await firm.sign_in()).status_code == 303


async def test_sign_in_by_key_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with company(tmp_path, monkeypatch) as firm:
        key = await firm.house.key_of("viewer")
        assert (await firm.house.post("/console/sign-in", {"key": key})).status_code == 303
        cookie = str(firm.house.browser.cookies[COOKIE])
    async with company(tmp_path, monkeypatch, KEY_SIGN_IN="false") as firm:
        page = (await firm.house.get("/console/sign-in")).text
        assert 'name="key"' not in page and "Sign in with your company account" in page
        refused = await firm.house.post("/console/sign-in", {"key": key})
        assert refused.status_code == 403 and "Nobody signs in by key here" in refused.text
        assert (await firm.house.get("/console/", cookie=f"{COOKIE}={cookie}")).status_code == 303
        firm.person("ada", "staff")
        assert (await firm.sign_in()).status_code == 303


async def test_a_role_that_the_settings_no_longer_give_ends_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with company(tmp_path, monkeypatch) as firm:
        firm.person("ada", "admins")
        await firm.sign_in()
        cookie = {"cookie": f"{COOKIE}={firm.house.browser.cookies[COOKIE]}"}
        assert (await firm.house.get("/console/", **cookie)).status_code == 200
        port = firm.provider.issuer
    for roles in ("admins=viewer", "staff=admin"):
        async with company(tmp_path, monkeypatch, ROLES=roles, ISSUER=port) as firm:
            assert (await firm.house.get("/console/", **cookie)).status_code == 303
    async with company(tmp_path, monkeypatch, ISSUER=port) as firm:
        assert (await firm.house.get("/console/", **cookie)).status_code == 200
    async with company(tmp_path, monkeypatch) as firm:  # another issuer
        assert (await firm.house.get("/console/", **cookie)).status_code == 303


async def test_a_session_of_the_company_opens_pages_alone(firm: Company) -> None:
    firm.person("ada", "admins")
    await firm.sign_in()
    cookie = f"{COOKIE}={firm.house.browser.cookies[COOKIE]}"
    async with httpx.AsyncClient(transport=httpx.ASGITransport(firm.house.embedded.app), base_url=ORIGIN) as thief:
        for path in ("/v1/keys", "/v1/people", "/v1/campaigns"):
            assert (await thief.get(path, headers={"cookie": cookie})).status_code == 401


async def test_only_digests_of_a_sign_in_are_kept(firm: Company) -> None:
    begun = await firm.begin()
    query = parse_qs(urlsplit(begun.headers["location"]).query)
    secrets = [str(firm.house.browser.cookies[ATTEMPT_COOKIE]), *(query[name][0] for name in ("state", "nonce"))]
    async with firm.house.embedded.services.databases["orchestrator"].read() as tx:
        rows = [str(tuple(row)) for row in await tx.rows("SELECT * FROM sign_in_attempt")]
    assert len(rows) == 1 and not any(secret in rows[0] for secret in secrets)


async def test_strangers_begin_no_more_than_so_many_sign_ins(firm: Company) -> None:
    statuses = [(await firm.begin()).status_code for _ in range(130)]
    assert statuses[:50] == [303] * 50 and statuses[-1] == 429


async def test_without_a_provider_there_is_no_such_page(house: Any) -> None:
    for path in ("/console/sign-in/begin", "/console/sign-in/callback?state=x&code=y"):
        assert (await house.get(path)).status_code == 404
    assert "company account" not in (await house.get("/console/sign-in")).text
