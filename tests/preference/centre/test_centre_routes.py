"""The preference centre over HTTP: it saves what the person has changed and nothing else, and says what is so."""

import html
import re
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx
import pytest

from schemas.link_tokens import LinkToken, create_link_builder, derive_link_keys, sign_token
from schemas.service_api import CONTACT_COUNTS_PATH
from schemas.times import DAY
from services.preference.centre.form import MAX_BYTES
from services.preference.consents.wordings import wording_key
from tests.support.centre_form import FORM, CentreFormFiller, press
from tests.support.preference_service import ADDRESS_KEY, CONNECTOR_KEY, NOW, VIEWER_KEY, Running

pytestmark = pytest.mark.wired

KEYS = derive_link_keys(ADDRESS_KEY)
LINKS = create_link_builder(KEYS, "http://preference")
TOPICS: list[dict[str, Any]] = [
    {"key": "news", "name": "News", "description": "What is new.", "group": "From the shop"},
    {"key": "care", "name": "Care", "channels": ["email"], "translations": {"de": {"name": "Pflege"}}},
    {"key": "visits", "name": "Visits", "class": "service"},
    {"key": "orders", "name": "Orders", "required": True, "reason": "By contract."},
]
GRANTED = {"status": "granted", "at": "2025-01-01T00:00:00Z", "source": "s", "wording": "w"}
CUSTOMER: dict[str, Any] = {
    "zone": "Europe/Berlin",
    "addresses": [
        {"channel": "email", "address": "ada.lovelace@example.org", "verified": True},
        {"channel": "sms", "address": "+491713920417"},
    ],
    "consent": [
        {
            "channel": channel,
            "topic": "*",
            "status": "granted",
            "at": "2025-01-01T00:00:00Z",
            "source": "s",
            "wording": "w",
        }
        for channel in ("email", "sms")
    ],
}


def path(customer: str = "c-1", days_ago: int = 0) -> str:
    return urlsplit(LINKS(customer, None, "marketing", NOW - days_ago * DAY)["preferences"]).path


async def know(at_work: Running, **fields: Any) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    answer = await at_work.http.put("/v1/preferences/c-1", json={**CUSTOMER, **fields})
    assert answer.status_code in (200, 201), answer.text


async def show(at_work: Running, where: str | None = None, **headers: str) -> httpx.Response:
    return await at_work.http.get(where or path(), headers={"authorization": "", **headers})


async def form(at_work: Running) -> CentreFormFiller:
    return CentreFormFiller((await show(at_work)).text)


async def document(at_work: Running) -> dict[str, Any]:
    answer: dict[str, Any] = (await at_work.http.get("/v1/preferences/c-1")).json()
    return answer


def told(answer: httpx.Response) -> str:
    found = re.search(r'<section class="(?:done|faults)".*?</section>', answer.text, re.DOTALL)
    assert found is not None, answer.text[-3000:]
    return html.unescape(re.sub(r"\s+", " ", re.sub("<[^>]+>", " ", found[0])))


async def test_the_page_shows_the_cells_and_shows_no_address_in_full(at_work: Running) -> None:
    await know(at_work, opt_outs=[{"channel": "sms", "topic": "news"}])
    answer = await show(at_work)
    assert answer.status_code == 200
    assert CentreFormFiller(answer.text).ticked == {"news.email", "care.email", "visits.email", "visits.sms"}
    for words in (
        "News",
        "What is new.",
        "From the shop",
        "Orders.",
        "By contract.",
        "a…\u2060@example.org",
        "…\u2060417",
    ):
        assert words in answer.text
    assert "lovelace" not in answer.text and "3920417" not in answer.text
    assert "set-cookie" not in answer.headers and "<script" not in answer.text


async def test_saving_changes_what_was_changed_and_says_so(at_work: Running) -> None:
    await know(at_work)
    filled = (await form(at_work)).untick("news.sms").set(frequency="week", quiet_from="21:00", quiet_to="08:00")
    answer = await filled.set(order_1="sms").save(at_work.http, path())
    assert answer.status_code == 200
    words = told(answer)
    assert "From now on you get nothing about “News” by SMS." in words
    assert "At most one message of advertising a week." in words
    assert "Your quiet hours: 21:00–08:00." in words
    assert "It holds from this moment, 13:00." in words
    now = await document(at_work)
    assert now["opt_outs"] == [{"channel": "sms", "topic": "news"}]
    assert now["frequency"] == {"limit": 1, "per": "week"}
    assert now["quiet_hours"][0]["from"] == "21:00" and len(now["quiet_hours"][0]["days"]) == 7
    assert now["channel_order"] == ["sms"]
    assert [{name: each[name] for name in CUSTOMER["consent"][0]} for each in now["consent"]] == CUSTOMER["consent"]
    history = (await at_work.http.get("/v1/preferences/c-1/history")).json()["items"]
    assert {(item["source"], item["actor"]) for item in history if item["version"] == now_version(history)} == {
        ("centre", None)
    }
    assert await at_work.count("centre", "opted_out") == 1


def now_version(history: list[dict[str, Any]]) -> int:
    return max(int(item["version"]) for item in history)


async def test_switching_on_records_a_consent_by_the_words_of_the_page(at_work: Running) -> None:
    await know(at_work, consent=[], opt_outs=[{"class": "marketing"}])
    answer = await (await form(at_work)).tick("news.email").save(at_work.http, path())
    assert "Saved. From now on you get “News” by e-mail." in told(answer)
    after = await document(at_work)
    (consent,) = after["consent"]
    assert (consent["channel"], consent["topic"], consent["status"]) == ("email", "news", "granted")
    assert (consent["source"], consent["basis"]) == ("preference centre", "consent")
    assert re.fullmatch("sha256:[0-9a-f]{64}", consent["wording"])
    assert {"class": "marketing"} not in after["opt_outs"]
    assert {"class": "marketing", "channel": "sms"} in after["opt_outs"]


async def test_a_form_sent_twice_changes_nothing_the_second_time(at_work: Running) -> None:
    await know(at_work)
    filled = (await form(at_work)).untick("news.sms")
    await filled.save(at_work.http, path())
    before = await document(at_work)
    again = await filled.save(at_work.http, path())
    assert "Saved. It is as it was before." in told(again)
    assert await document(at_work) == before
    assert 'value="undo"' not in again.text


async def test_a_stale_form_changes_only_what_the_person_changed(at_work: Running) -> None:
    await know(at_work)
    stale = (await form(at_work)).untick("care.email")
    await at_work.http.patch(
        "/v1/preferences/c-1", json={"opt_outs": [{"topic": "news"}], "frequency": {"limit": 3, "per": "day"}}
    )
    answer = await stale.save(at_work.http, path())
    assert "nothing about “Care” by e-mail" in told(answer)
    now = await document(at_work)
    assert now["opt_outs"] == [{"topic": "news"}, {"channel": "email", "topic": "care"}]
    assert now["frequency"] == {"limit": 3, "per": "day"}
    assert "As you have chosen" in answer.text and "At most 3 messages of advertising a day." in answer.text


async def test_what_may_still_come_is_admitted_also_when_it_is_asked_again(at_work: Running) -> None:
    await know(at_work)
    filled = (await form(at_work)).untick("news.sms")
    at_work.orchestrator.reachable = False
    for _ in range(2):
        answer = await filled.save(at_work.http, path())
        assert answer.status_code == 202
        assert "may still reach you" in told(answer)
    at_work.orchestrator.reachable = True
    assert (await filled.save(at_work.http, path())).status_code == 200


async def test_undo_takes_back_one_change_unless_something_has_changed_since(at_work: Running) -> None:
    await know(at_work)
    before = await document(at_work)
    saved = await (await form(at_work)).untick("news.sms").set(frequency="month").save(at_work.http, path())
    version = re.search(r'class="more".*?name="version" value="(\d+)"', saved.text, re.DOTALL)
    assert version is not None
    undone = await press(at_work.http, path(), "undo", version[1])
    assert "From now on you get “News” by SMS." in told(undone)
    assert await document(at_work) == before
    for refused in (version[1], "1", "0", "99"):  # changed since; made by the API; never made
        answer = await press(at_work.http, path(), "undo", refused)
        assert "This cannot be undone any more." in told(answer)
    assert await document(at_work) == before


async def test_undo_does_not_take_back_what_others_have_changed(at_work: Running) -> None:
    await know(at_work)
    await at_work.http.patch("/v1/preferences/c-1", json={"opt_outs": [{"topic": "news"}]})
    version = (await form(at_work))["version"]
    answer = await press(at_work.http, path(), "undo", version)
    assert "This cannot be undone any more." in told(answer)
    assert (await document(at_work))["opt_outs"] == [{"topic": "news"}]


async def test_pause_and_its_end_and_stop_and_service_messages(at_work: Running) -> None:
    await know(at_work, opt_outs=[{"class": "service"}])
    assert "You get no service messages" in (await show(at_work)).text
    assert "You get service messages again" in told(await press(at_work.http, path(), "service", 1)).replace(
        "From now on you get", "You get"
    )
    paused = await press(at_work.http, path(), "pause", 1)
    assert "Until Wednesday, 1 April 2026 you get nothing but what you need." in told(paused)
    assert (await document(at_work))["paused_until"] == "2026-04-01T12:00:00Z"
    assert "The pause is over." in told(await press(at_work.http, path(), "resume", 1))
    assert (await document(at_work))["paused_until"] is None
    stopped = await press(at_work.http, path(), "stop", 1)
    assert "From now on you get no advertising from us." in told(stopped)
    assert (await document(at_work))["opt_outs"] == [{"class": "marketing"}]
    assert CentreFormFiller(stopped.text).ticked == {"visits.email", "visits.sms"}


async def test_what_is_wrong_is_said_and_nothing_is_saved_and_nothing_lost(at_work: Running) -> None:
    await know(at_work)
    before = await document(at_work)
    filled = (await form(at_work)).untick("news.sms").set(quiet_from="21:00", frequency="week")
    answer = await filled.save(at_work.http, path())
    assert answer.status_code == 422
    assert "Nothing has been saved yet." in told(answer) and "choose both, or neither" in told(answer)
    assert 'href="#quiet_to"' in answer.text and 'aria-describedby="fault-quiet_to"' in answer.text
    kept = CentreFormFiller(answer.text)
    assert "news.sms" not in kept.ticked and kept["frequency"] == "week" and kept["quiet_from"] == "21:00"
    assert await document(at_work) == before
    assert (await kept.set(quiet_to="08:00").save(at_work.http, path())).status_code == 200
    assert (await document(at_work))["opt_outs"] == [{"channel": "sms", "topic": "news"}]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"zone": "Mars/Olympus"}, "We do not know this choice"),
        ({"language": "tlh"}, "We do not know this choice"),
        ({"frequency": "hourly"}, "We do not know this choice"),
        ({"quiet_from": "25:00", "quiet_to": "08:00"}, "We do not know this choice"),
        ({"quiet_from": "08:00", "quiet_to": "08:00"}, "an end that differ"),
        ({"order_1": "fax"}, "We do not know this choice"),
        ({"order_1": "sms", "order_2": "sms"}, "The same way stands at two places"),
    ],
)
async def test_values_that_no_page_offers_are_refused(at_work: Running, fields: dict[str, str], words: str) -> None:
    await know(at_work)
    before = await document(at_work)
    answer = await (await form(at_work)).set(**fields).save(at_work.http, path())
    assert answer.status_code == 422 and words in told(answer)
    assert await document(at_work) == before


async def test_words_that_have_changed_meanwhile_are_no_consent(at_work: Running) -> None:
    await know(at_work, consent=[])
    filled = (await form(at_work)).tick("news.email")
    await at_work.doors.set_topics(2, [{**TOPICS[0], "description": "And our partners' news."}, *TOPICS[1:]])
    answer = await filled.save(at_work.http, path())
    assert answer.status_code == 422 and "The texts of this page have changed meanwhile." in told(answer)
    assert (await document(at_work))["consent"] == []
    off = (await form(at_work)).untick("visits.sms")
    await at_work.doors.set_topics(3, TOPICS)
    assert (await off.save(at_work.http, path())).status_code == 200  # refusing needs no words


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "application/x-www-form-urlencoded"),
        (b"action=save", "application/x-www-form-urlencoded"),
        (b"action=explode&version=1", "application/x-www-form-urlencoded"),
        (b"action=save&version=-1", "application/x-www-form-urlencoded"),
        (b"action=save&version=1&cells=news.email", "application/x-www-form-urlencoded"),
        (b"action=save&version=1&cells=" + b"a.b=1+" * 4000, "application/x-www-form-urlencoded"),
        (b"\xff\xfe=1&version=1", "application/x-www-form-urlencoded"),
        (b"a=1&" * 5000 + b"version=1", "application/x-www-form-urlencoded"),
        (b"version=1&x=" + b"x" * (MAX_BYTES + 1), "application/x-www-form-urlencoded"),
        (b"version=1&zone=" + b"x" * 500 + b"&was_zone=", "application/x-www-form-urlencoded"),
        (b'{"version": 1}', "application/json"),
    ],
)
async def test_what_is_no_form_of_ours_changes_nothing(at_work: Running, content: bytes, kind: str) -> None:
    await know(at_work)
    before = await document(at_work)
    answer = await at_work.http.post(path(), content=content, headers={**FORM, "content-type": kind})
    assert answer.status_code == 422 and "Nothing has been changed." in answer.text
    assert await document(at_work) == before


async def test_cells_that_are_none_are_passed_over(at_work: Running) -> None:
    await know(at_work)
    cells = "orders.email=1 unknown.email=1 care.sms=1 news.fax=1 news.email=1"
    body = urlencode([("version", "1"), ("cells", cells), ("cell", "news.email")])
    answer = await at_work.http.post(path(), content=body, headers=FORM)
    assert "Saved. It is as it was before." in told(answer)
    assert (await document(at_work))["opt_outs"] == []


async def test_forged_foreign_and_old_links_do_not_edit(at_work: Running) -> None:
    await know(at_work)
    before = await document(at_work)
    body = (await form(at_work)).untick("news.sms").body()
    other = derive_link_keys("another-address-key")
    forged = [
        path()[:-1],
        f"/p/{sign_token(other.signing, LinkToken('p', 'c-1', None, NOW // DAY))}",
        path().replace("/p/", "/u/").replace("/u/", "/p/", 1) + "A",
        urlsplit(LINKS("c-1", None, "marketing", NOW)["unsubscribe"]).path.replace("/u/", "/p/"),
        "/p/" + "A" * 3000,
    ]
    answers = []
    for where in forged:
        for way in (where, where + "/data"):
            answers.append(await show(at_work, way))
        answers.append(await at_work.http.post(where, content=body, headers=FORM))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert "This link does not work" in answers[0].text and "c-1" not in answers[0].text
    old = path(days_ago=91)
    for answer in (
        await show(at_work, old),
        await show(at_work, old + "/data"),
        await at_work.http.post(old, content=body, headers=FORM),
    ):
        assert "This link is too old to change your choices" in answer.text
    assert await document(at_work) == before
    action = re.search(r'action="([^"]+)"', (await show(at_work, old)).text)
    assert action is not None
    assert (await at_work.http.post(action[1])).status_code == 200
    assert (await document(at_work))["opt_outs"] == [{"class": "marketing"}]
    assert "Your topics" in (await show(at_work, path(days_ago=90))).text


async def test_hostile_names_stay_text(at_work: Running) -> None:
    hostile = "<script>alert(1)</script>\"'&"
    await at_work.doors.set_topics(
        1,
        [
            {
                "key": "x",
                "name": hostile,
                "description": hostile,
                "group": hostile,
                "translations": {"de": {"name": hostile}},
            }
        ],
    )
    await at_work.http.put(
        "/v1/preferences/c-1", json={**CUSTOMER, "traits": {hostile: hostile}, "zone": "Europe/Berlin"}
    )
    for where in (path(), path() + "/data", path() + "?lang=de"):
        assert "<script" not in (await show(at_work, where)).text
    saved = await (await form(at_work)).untick("x.email").save(at_work.http, path())
    assert "<script" not in saved.text and hostile in told(saved)


@pytest.mark.parametrize(
    ("query", "locale", "accepted", "language"),
    [
        ("", None, "", "en"),
        ("", None, "fr-CH, fr;q=0.9, en;q=0.8", "fr"),
        ("", None, "tlh, pl;q=0.5, de;q=0", "pl"),
        ("", "de-AT", "fr", "de"),
        ("?lang=ar", "de-AT", "fr", "ar"),
        ("?lang=tlh", "de-AT", "fr", "de"),
        ("?lang=x-y_z", None, "\xff", "en"),
    ],
)
async def test_the_language_is_chosen(
    at_work: Running, query: str, locale: str | None, accepted: str, language: str
) -> None:
    await know(at_work, locale=locale)
    headers = {"accept-language": accepted.encode("latin-1")}
    answer = await at_work.http.get(path() + query, headers=headers)  # type: ignore[arg-type]
    direction = "rtl" if language == "ar" else "ltr"
    assert f'<html lang="{language}" dir="{direction}">' in answer.text
    if language == "de":
        assert "Pflege" in answer.text


async def test_saving_keeps_the_language_that_was_asked_for_and_may_change_that_of_messages(at_work: Running) -> None:
    await know(at_work, locale="de")
    where = path() + "?lang=ar"
    filled = CentreFormFiller((await show(at_work, where)).text).set(language="fr")
    answer = await filled.save(at_work.http, where)
    assert '<html lang="ar" dir="rtl">' in answer.text and "?lang=ar" in answer.text
    assert (await document(at_work))["locale"] == "fr"
    assert '<html lang="fr"' in (await show(at_work)).text


async def test_how_many_have_come_is_said_if_it_is_known(at_work: Running) -> None:
    await know(at_work)
    assert "in the last 90 days" not in (await show(at_work)).text  # this orchestrator does not know the question
    at_work.orchestrator.contacts = {"news": 7, "care": 1}
    page = (await show(at_work)).text
    assert "You got 7 in the last 90 days." in page and "You got one in the last 90 days." in page
    assert at_work.orchestrator.counted == [("c-1", NOW - 90 * DAY)]
    at_work.orchestrator.slow = True
    assert "in the last 90 days" not in (await show(at_work)).text
    assert CONTACT_COUNTS_PATH.startswith("/internal/orchestrator/")


async def test_what_is_held_is_named_without_values(at_work: Running) -> None:
    await know(at_work, traits={"name": "Ada", "salary": 77123}, opt_outs=[{"channel": "sms", "topic": "news"}])
    page = (await show(at_work, path() + "/data")).text
    for words in ("a…\u2060@example.org", "salary", "name", "1 January 2025", "News · SMS", "All topics · E-mail"):
        assert words in page
    for value in ("Ada", "77123", "lovelace", "3920417"):
        assert value not in page


async def test_an_unknown_customer_has_a_page_and_can_still_stop(at_work: Running) -> None:
    await at_work.doors.set_topics(1, TOPICS)
    where = path("nobody")
    assert "We have no address" in (await show(at_work, where)).text
    assert (await press(at_work.http, where, "stop", 0)).status_code == 200
    assert (await at_work.http.get("/v1/preferences/nobody")).json()["opt_outs"] == [{"class": "marketing"}]


async def test_links_for_the_companys_own_site(at_work: Running) -> None:
    await know(at_work)
    answer = await at_work.http.post("/v1/preferences/c-1/links", json={"topic": "news"})
    assert answer.status_code == 200
    links = answer.json()
    assert links["edit_until"] == "2026-06-01T00:00:00Z"
    assert "Your topics" in (await show(at_work, urlsplit(links["preferences"]).path)).text
    await at_work.http.post(urlsplit(links["unsubscribe"]).path)
    assert (await document(at_work))["opt_outs"] == [{"topic": "news"}]
    for key, status in ((VIEWER_KEY, 403), (CONNECTOR_KEY, 200), ("", 401)):
        headers = {"authorization": f"Bearer {key}" if key else ""}
        assert (await at_work.http.post("/v1/preferences/c-1/links", headers=headers)).status_code == status


async def test_the_way_back_removes_the_opt_out_and_records_a_consent_of_now(at_work: Running) -> None:
    await know(at_work)
    unsubscribe = urlsplit(LINKS("c-1", "news", "marketing", NOW)["unsubscribe"]).path
    page = (await at_work.http.post(unsubscribe)).text
    assert "Yes, write to me about “News” (E-mail, SMS) again, as before." in page
    assert "#how-often" in page
    wording = re.search(r'name="wording" value="([^"]+)"', page)
    assert wording is not None
    wrong = await at_work.http.post(f"{unsubscribe}/back", content=urlencode({"wording": "x"}), headers=FORM)
    assert "Please look again." in wrong.text and (await document(at_work))["opt_outs"] == [{"topic": "news"}]
    back = await at_work.http.post(f"{unsubscribe}/back", content=urlencode({"wording": wording[1]}), headers=FORM)
    assert "You are back." in back.text and "From now on you get “News” by e-mail and SMS." in back.text
    after = await document(at_work)
    assert after["opt_outs"] == []
    assert [(each["channel"], each["topic"], each["wording"]) for each in after["consent"][2:]] == [
        ("email", "news", wording[1]),
        ("sms", "news", wording[1]),
    ]
    again = await at_work.http.post(f"{unsubscribe}/back", content=urlencode({"wording": wording[1]}), headers=FORM)
    assert "Nothing has been changed." in again.text and await document(at_work) == after


async def test_an_old_unsubscribe_link_stops_for_ever_and_leads_nowhere_else(at_work: Running) -> None:
    await know(at_work)
    old = urlsplit(LINKS("c-1", "news", "marketing", NOW - 400 * DAY)["unsubscribe"]).path
    page = (await at_work.http.post(old)).text
    assert "You are unsubscribed" in page and "/back" not in page and "#how-often" not in page
    assert (await document(at_work))["opt_outs"] == [{"topic": "news"}]
    back = await at_work.http.post(f"{old}/back", content=urlencode({"wording": "x"}), headers=FORM)
    assert "Nothing has been changed." in back.text
    assert (await document(at_work))["opt_outs"] == [{"topic": "news"}]


async def test_the_words_of_a_ticked_box_are_kept_with_the_consent(at_work: Running) -> None:
    await know(at_work, consent=[])
    answer = await (await form(at_work)).tick("news.email").save(at_work.http, path())
    assert "From now on you get “News” by e-mail." in told(answer)
    (consent,) = (await document(at_work))["consent"]
    async with at_work.database.read() as tx:
        rows = await tx.rows("SELECT key, locale, text FROM consent_wording")
    assert [(row.key, row.locale) for row in rows] == [(consent["wording"], "en")]
    assert rows[0].text.startswith("A ticked box says: yes") and "News: What is new." in rows[0].text
    assert consent["wording"] == wording_key(rows[0].text)


async def test_what_has_to_be_confirmed_is_asked_for_and_not_granted(at_work: Running) -> None:
    await know(at_work, consent=[])
    await at_work.doors.set_topics(2, [{**each, "double_opt_in": ["email"]} for each in TOPICS])
    answer = await (await form(at_work)).tick("news.email").tick("news.sms").save(at_work.http, path())
    words = told(answer)
    assert "To get “News” by e-mail, please use the link in the message that we are sending you." in words
    assert "From now on you get “News” by SMS." in words
    assert [(each["channel"], each["topic"]) for each in (await document(at_work))["consent"]] == [("sms", "news")]
    async with at_work.database.read() as tx:
        asked = await tx.rows("SELECT channel, topic FROM consent_request")
    assert [tuple(row) for row in asked] == [("email", "news")]
