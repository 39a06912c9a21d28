"""`tactful doctor`."""

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from schemas.topics import DEAD_LETTERS
from services.kit.bus.kafka_bus import KafkaBus
from services.kit.bus.kafka_connection import KafkaConnection
from services.kit.db import migrate
from tactful.doctor_checks import CheckState, check_database
from tests.support.command_line import CommandResult, RunningProduct, run
from tests.support.servers import free_port

pytestmark = pytest.mark.wired


def states(done: CommandResult) -> dict[str, str]:
    """The state of each check, by name."""
    return {each["check"]: each["state"] for each in done.data}


def test_a_running_product_is_well_except_for_its_standing_clock(tactful: RunningProduct) -> None:
    done = run("doctor", "-o", "json", given={"TACTFUL_DATA_DIR": str(tactful.directory)})
    assert done.code == 0, done.screen
    assert {check for check, state in states(done).items() if state != "green"} - {"python"} == {"time"}
    assert {"settings", "data", "db orchestrator", "log", "services", "key", "policy"} <= set(states(done))


async def test_a_database_of_another_service_is_told_from_one_that_cannot_be_reached(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'preference.db'}"
    await migrate.upgrade_schema(url, "services.preference")
    found = await check_database(url, "suppression")
    assert found.state is CheckState.RED
    assert found.detail.startswith("the database is that of another service")
    assert "cannot be reached" not in found.detail
    assert (await check_database(url, "preference")).state is CheckState.GREEN


def test_the_table_fits_80_columns(tactful: RunningProduct) -> None:
    done = run("doctor", given={"TACTFUL_DATA_DIR": str(tactful.directory)})
    assert max(map(len, done.out.splitlines())) <= 80
    assert "\x1b" not in done.screen


def test_what_is_not_there_is_told_with_how_to_mend_it(nothing: dict[str, str]) -> None:
    done = run("doctor", "-o", "json", given=nothing)
    assert done.code == 1
    found = states(done)
    assert found["orchestrator"] == found["preference"] == found["key"] == "red"
    assert found["db suppression"] == found["log"] == found["send sms"] == "amber"
    assert all(each["mend"] for each in done.data if each["state"] != "green")
    assert "checks are red" in done.err


def test_settings_that_cannot_be_used_end_the_examination(nothing: dict[str, str]) -> None:
    done = run("doctor", "-o", "json", given={**nothing, "TACTFUL_DATADIR": "x"})
    assert done.code == 1
    assert [each["check"] for each in done.data] == ["settings"]
    assert "did you mean `TACTFUL_DATA_DIR`?" in done.data[0]["detail"]


def test_keys_that_others_can_read_are_red(nothing: dict[str, str], tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_text('{"admin": "a-key-that-is-long-enough"}', "utf-8")
    keys.chmod(0o644)
    found = {each["check"]: each for each in run("doctor", "-o", "json", given=nothing).data}
    assert (found["data"]["state"], found["data"]["mend"]) == ("red", f"chmod 600 {keys}")


def test_a_database_that_is_behind_is_red_until_it_is_upgraded(nothing: dict[str, str], tmp_path: Path) -> None:
    given = {**nothing, "TACTFUL_DATABASE__URL": f"sqlite+aiosqlite:///{tmp_path / 'service.db'}"}
    before = {each["check"]: each for each in run("doctor", "--service", "preference", "-o", "json", given=given).data}
    assert before["db preference"]["state"] == "red"
    assert before["db preference"]["mend"] == "tactful db upgrade --service preference"
    run("db", "upgrade", "--service", "preference", given=given)
    after = states(run("doctor", "--service", "preference", "-o", "json", given=given))
    assert after["db preference"] == after["clock"] == "green"


@pytest.mark.parametrize(
    ("adapter", "more", "state"),
    [
        ("webhook", {}, "red"),
        (
            "webhook",
            {"TACTFUL_WEBHOOK__URL": "https://mail.example", "TACTFUL_WEBHOOK__SECRET": "0123456789abcdef"},
            "green",
        ),
        (
            "webhook",
            {
                "TACTFUL_WEBHOOK__URL": "https://mail.example",
                "TACTFUL_WEBHOOK__SECRET": "0123456789abcdef",
                "TACTFUL_DISPATCH__ONLY_TO": "+4915112345678",
            },
            "amber",
        ),
        ("pigeon", {}, "red"),
        ("off", {}, "amber"),
    ],
)
def test_the_adapter_of_each_channel(nothing: dict[str, str], adapter: str, more: dict[str, str], state: str) -> None:
    done = run("doctor", "-o", "json", given={**nothing, **more, "TACTFUL_ADAPTERS__SMS": adapter})
    assert states(done)["send sms"] == state


def test_mails_need_a_server_and_a_sender(nothing: dict[str, str]) -> None:
    given = {**nothing, "TACTFUL_ADAPTERS__EMAIL": "smtp"}
    sender, server = {"TACTFUL_MAIL__FROM_ADDRESS": "shop@example.org"}, {"TACTFUL_SMTP__HOST": "mx.example.org"}
    for more, remedy in ((sender, "set TACTFUL_SMTP__HOST"), (server, "set TACTFUL_MAIL__FROM_ADDRESS")):
        done = run("doctor", "-o", "json", given={**given, **more})
        [found] = [each for each in done.data if each["check"] == "send email"]
        assert (found["state"], found["mend"]) == ("red", remedy)
    complete = {**given, **sender, **server}
    assert states(run("doctor", "-o", "json", given=complete))["send email"] == "amber"  # no postal address
    complete |= {"TACTFUL_MAIL__POSTAL_ADDRESS": "1 Example Street, Exampleton"}
    assert states(run("doctor", "-o", "json", given=complete))["send email"] == "amber"  # bounces do not come back
    complete |= {"TACTFUL_SMTP__BOUNCE_SECRET": "0123456789abcdef", "TACTFUL_SMTP__RETURN_PATH": "b@shop.example"}
    assert states(run("doctor", "-o", "json", given=complete))["send email"] == "green"


@pytest.mark.parametrize(
    ("status", "body", "state", "found"),
    [
        (404, "<h1>This link does not work</h1>", "green", "marketing, service, for 180 days"),
        (404, "<h1>Not found</h1>", "red", "does not lead to the orchestrator"),
        (200, "<h1>This link does not work</h1>", "red", "does not lead to the orchestrator"),
        (None, "", "red", "does not respond"),
    ],
)
def test_links_of_messages_have_to_lead_to_the_orchestrator(
    nothing: dict[str, str], status: int | None, body: str, state: str, found: str
) -> None:
    with answering(status or 200, body) as address:
        base = address if status else f"http://127.0.0.1:{free_port()}"
        links = {
            "TACTFUL_TRACKED_LINKS__BASE_URL": base,
            "TACTFUL_TRACKED_LINKS__KEY": "0123456789abcdef0123456789abcdef",
        }
        given = {**nothing, **links, "TACTFUL_TRACKED_LINKS__CLASSES": "service, marketing"}
        [check] = [each for each in run("doctor", "-o", "json", given=given).data if each["check"] == "links"]
    assert check["state"] == state
    assert found in check["detail"]
    assert "links" not in states(run("doctor", "-o", "json", given=nothing))


@contextmanager
def answering(status: int, body: str) -> Iterator[str]:
    """A server on this machine that answers every GET so; yields its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/l/doctor"
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is logged."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_separate_services_are_not_told_to_start_a_development_server(nothing: dict[str, str]) -> None:
    given = {**nothing, "TACTFUL_KAFKA__BOOTSTRAP": "127.0.0.1:1"}
    found = {each["check"]: each for each in run("doctor", "-o", "json", given=given).data}
    assert "data" not in found and not any(
        "tactful dev" in (found[name]["mend"] or "") for name in ("db orchestrator", "log")
    )
    assert "TACTFUL_DATABASE__URL is not set" in found["db orchestrator"]["detail"]


def test_a_broker_that_does_not_answer_is_red(nothing: dict[str, str]) -> None:
    done = run("doctor", "-o", "json", given={**nothing, "TACTFUL_KAFKA__BOOTSTRAP": f"127.0.0.1:{free_port()}"})
    found = {each["check"]: each for each in done.data}
    assert found["log"]["state"] == "red" and "listeners" in found["log"]["mend"]


@pytest.mark.integration
def test_a_broker_is_asked_for_the_topics(nothing: dict[str, str], kafka_bootstrap: str) -> None:
    given = {**nothing, "TACTFUL_KAFKA__BOOTSTRAP": kafka_bootstrap, "TACTFUL_KAFKA__EVENTS_TOPIC": "doctor.events"}
    before = {each["check"]: each for each in run("doctor", "-o", "json", given=given).data}
    assert before["log"]["state"] == "amber" and "no topic doctor.events" in before["log"]["detail"]
    asyncio.run(KafkaBus(KafkaConnection(kafka_bootstrap)).ensure_topics({"doctor.events": 3, DEAD_LETTERS.name: 1}))
    after = {each["check"]: each for each in run("doctor", "-o", "json", given=given).data}
    assert after["log"]["detail"] == "doctor.events: 3 partitions, 1 replicas"


@pytest.mark.integration
def test_postgresql_is_reached_and_its_clock_compared(nothing: dict[str, str], pg_url: str) -> None:
    found = states(run("doctor", "-o", "json", given={**nothing, "TACTFUL_DATABASE__URL": pg_url}))
    assert (found["db orchestrator"], found["clock"]) == ("red", "green")


@pytest.mark.parametrize(
    ("weights", "state"), [((1, 1), "amber"), ((1, 0), "green")], ids=["two that send", "one that stands by"]
)
def test_two_adapters_of_a_channel_with_a_reply_window_are_amber(
    nothing: dict[str, str], weights: tuple[int, int], state: str
) -> None:
    secrets = {"key": "key-of-an-account-0001", "app_secret": "secret-of-the-app-0001", "verify_token": 24 * "t"}
    accounts = {
        name: {"adapter": "whatsapp_cloud", "phone_number_id": f"1065403{number}", **secrets}
        for number, name in enumerate(("north", "south"))
    }
    routes = [{"adapter": name, "weight": weight} for name, weight in zip(accounts, weights, strict=True)]
    given = {
        **nothing,
        "TACTFUL_ADAPTERS__WHATSAPP": json.dumps(routes),
        "TACTFUL_ACCOUNTS": json.dumps(accounts),
    }
    found = [each for each in run("doctor", "-o", "json", given=given).data if each["check"] == "send whatsapp"]
    assert [each["state"] for each in found] == [state, state]
    assert ("TACTFUL_ADAPTERS__WHATSAPP" in (found[0]["mend"] or "")) == (state == "amber")


def test_an_adapter_whose_receipts_are_not_set_up_is_amber_and_says_what_to_set(nothing: dict[str, str]) -> None:
    vonage = {"adapter": "vonage", "key": "0123456789abcdef", "key_id": "abc12345", "sender": "Shop"}
    given = {
        **nothing,
        "TACTFUL_ADAPTERS__EMAIL": "sendgrid",
        "TACTFUL_MAIL__FROM_ADDRESS": "shop@example.org",
        "TACTFUL_SENDGRID__KEY": "SG.0123456789abcdef",
        "TACTFUL_ADAPTERS__SMS": "second",
        "TACTFUL_ACCOUNTS": json.dumps({"second": vonage}),
    }
    found = {each["check"]: each for each in run("doctor", "-o", "json", given=given).data}
    assert found["send email"]["state"] == found["send sms"]["state"] == "amber"
    assert found["send email"]["mend"] == "set TACTFUL_SENDGRID__VERIFICATION_KEY (docs/receipts.md)"
    assert found["send sms"]["mend"] == "set in TACTFUL_ACCOUNTS, for `second`, signature_secret (docs/receipts.md)"


def test_a_channel_of_posts_whose_adapter_has_nowhere_to_post_is_red(nothing: dict[str, str]) -> None:
    given = {**nothing, "TACTFUL_ADAPTERS__SOCIAL": "telegram", "TACTFUL_TELEGRAM__KEY": f"12345678:{'a' * 35}"}
    [found] = [each for each in run("doctor", "-o", "json", given=given).data if each["check"] == "send social"]
    assert (found["state"], found["mend"]) == ("red", "set POSTS of telegram")
    named = {**given, "TACTFUL_TELEGRAM__POSTS": "@shop_news"}
    assert states(run("doctor", "-o", "json", given=named))["send social"] == "green"
