"""`tactful hold`, and the commands of docs/holds.md."""

import json
import re
import shlex
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import yaml

from tests.support.command_line import NOON, ROOT, RunningProduct, run

pytestmark = pytest.mark.wired

PAGE = (ROOT / "docs/holds.md").read_text("utf-8")
COMMANDS = [
    line for body in re.findall(r"^```\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE) for line in body.splitlines()
]
NARROW = ("--class", "transactional", "--campaign", "order-shipped")


@pytest.fixture
def key(tactful: RunningProduct) -> Iterator[str]:
    """The key of a hold, which is lifted after the test."""
    made = f"h-{uuid.uuid4().hex[:8]}"
    yield made
    tactful.run("hold", "lift", made)


def place(tactful: RunningProduct, key: str, *options: str) -> None:
    done = tactful.run("hold", "place", key, "--mode", "defer", "--reason", "a test", *(options or NARROW))
    assert done.code == 0, done.err


def test_place_says_what_it_placed_and_what_comes_next(tactful: RunningProduct, key: str) -> None:
    done = tactful.run("hold", "place", key, "--mode", "drop", "--reason", "INC-482", *NARROW, "-o", "json")
    assert done.code == 0, done.err
    assert done.data == {
        "key": key,
        "scope": {"classes": ["transactional"], "campaigns": ["order-shipped"]},
        "mode": "drop",
        "from": NOON,
        "reason": "INC-482",
        "placed_by": "admin",
        "placed_at": NOON,
        "state": "active",
        "enforced": True,
    }
    assert f"Next: tactful hold plan {key}" in done.err


def test_lifting_a_hold_that_drops_does_not_promise_a_release(tactful: RunningProduct, key: str) -> None:
    assert tactful.run("hold", "place", key, "--mode", "drop", "--reason", "INC-482", *NARROW).code == 0
    lifted = tactful.run("hold", "lift", key)
    assert "what it dropped stays dropped" in lifted.err and "released" not in lifted.err


def test_a_hold_on_a_campaign_that_nobody_registered_says_that_it_stops_nothing(
    tactful: RunningProduct, key: str
) -> None:
    scope = ("--campaign", "order-shiped", "--campaign", "order-shipped", "--topic", "nowhere")
    done = tactful.run("hold", "place", key, "--mode", "defer", "--reason", "a test", *scope, "-o", "json")
    assert done.code == 0 and done.data["enforced"]
    assert done.data["notes"] == [
        {
            "pointer": "/scope/campaigns/0",
            "code": "no_effect",
            "detail": "there is no campaign `order-shiped`, did you mean `order-shipped`?",
        },
        {"pointer": "/scope/topics/0", "code": "no_effect", "detail": "the active policy has no topic `nowhere`"},
    ]
    assert "/scope/campaigns/0: there is no campaign `order-shiped`" in done.err


def test_every_part_of_a_scope_has_an_option(tactful: RunningProduct, key: str) -> None:
    options = ["--channel", "sms", "--channel", "push", "--class", "marketing", "--topic", "nowhere", "--region", "PT"]
    options += ["--intent", "advertise", "--campaign", "nothing", "--trait", "vip=true", "--trait", "tier=gold"]
    place(tactful, key, *options)
    (hold,) = [item for item in tactful.run("hold", "list", "-o", "json").data if item["key"] == key]
    assert hold["scope"] == {
        "channels": ["sms", "push"],
        "topics": ["nowhere"],
        "classes": ["marketing"],
        "intents": ["advertise"],
        "campaigns": ["nothing"],
        "region": "PT",
        "trait": {"vip": True, "tier": "gold"},
    }


@pytest.mark.parametrize("option", [("--for", "6h"), ("--until", "2026-03-02T19:00:00+01:00")])
def test_a_hold_may_have_an_end(tactful: RunningProduct, key: str, option: tuple[str, str]) -> None:
    place(tactful, key, *NARROW, *option)
    (hold,) = [item for item in tactful.run("hold", "list", "-o", "json").data if item["key"] == key]
    assert hold["until"] == "2026-03-02T18:00:00Z"


def test_a_hold_may_stand_in_a_file(tactful: RunningProduct, key: str, tmp_path: Path) -> None:
    path = tmp_path / "hold.yaml"
    hold = {"key": key, "mode": "defer", "scope": {"campaigns": ["nothing"]}, "reason": "from a file"}
    path.write_text(yaml.safe_dump(hold), "utf-8")
    done = tactful.run("hold", "place", "--file", path, "-o", "json")
    assert (done.code, done.data["reason"]) == (0, "from a file")


def test_the_list_tells_who_when_and_why(tactful: RunningProduct, key: str) -> None:
    place(tactful, key)
    done = tactful.run("hold", "list", COLUMNS="200")
    (line,) = [line for line in done.out.splitlines() if line.startswith(key)]
    assert line.split() == [key, "defer", "active", "transactional", "order-shipped", "-", "admin", NOON, "a", "test"]
    tactful.run("hold", "lift", key, "--reason", "enough")
    assert key not in tactful.run("hold", "list").out
    (hold,) = [item for item in tactful.run("hold", "list", "--all", "-o", "json").data if item["key"] == key]
    assert (hold["state"], hold["lift_reason"]) == ("lifted", "enough")


def test_the_list_fits_80_columns(tactful: RunningProduct, key: str) -> None:
    place(tactful, key)
    assert all(len(line) <= 80 for line in tactful.run("hold", "list").out.splitlines())


def test_plan_and_lift_tell_what_goes(tactful: RunningProduct, key: str) -> None:
    place(tactful, key)
    tactful.run("events", "send", "shop.order.shipped", "--customer", "chiara", "--set", "order=H-1")
    done = tactful.run("hold", "plan", key, "--rate", "5")
    assert done.code == 0, done.err
    assert [line.split() for line in done.out.splitlines()][1:] == [
        ["order-shipped", "email", "send", "eligible", "1", "1"]
    ]
    assert f"{key}: 1 waiting\n" in done.err and "1 are sent (1 without caps), 0 expire" in done.err
    assert tactful.run("hold", "plan", key, "-o", "json").data["rate"] == 50
    lifted = tactful.run("hold", "lift", key, "--reason", "over", "--rate", "5", "-o", "json")
    assert (lifted.code, lifted.data["release_rate"]) == (0, 5)
    assert "are released at 5 a second" in lifted.err
    tactful.ask("POST", "/v1/dev/clock", {"settle": True})
    sent = tactful.ask("GET", "/v1/decisions?customer=chiara&campaign=order-shipped&outcome=send")["items"]
    assert any(line["event"]["id"] for line in sent)


@pytest.mark.parametrize(
    "arguments",
    [
        ("place", "h-1", "--mode", "defer"),
        ("place", "h-1", "--reason", "r"),
        ("place", "--mode", "defer", "--reason", "r"),
        ("place", "h-1", "--mode", "stop", "--reason", "r"),
        ("place", "h-1", "--mode", "defer", "--reason", "r", "--trait", "vip"),
        ("place", "h-1", "--mode", "defer", "--reason", "r", "--for", "long"),
        ("place", "h-1", "--mode", "defer", "--reason", "r", "--for", "1h", "--until", NOON),
        ("lift", "h-1", "--rate", "0"),
        ("plan",),
    ],
)
def test_wrong_usage_is_told_before_anything_is_placed(tactful: RunningProduct, arguments: tuple[str, ...]) -> None:
    assert tactful.run("hold", *arguments).code == 2


def test_faults_that_the_product_finds_are_told_with_their_place(tactful: RunningProduct, key: str) -> None:
    done = tactful.run("hold", "place", key, "--mode", "defer", "--reason", "r", "--region", "Portugal")
    assert done.code == 1 and "/scope/region" in done.err
    place(tactful, key)
    again = tactful.run("hold", "place", key, "--mode", "defer", "--reason", "r", *NARROW)
    assert again.code == 1 and "lift it first, or use another key (hold_stands)" in again.err


@pytest.mark.parametrize("action", ["lift", "plan"])
def test_a_hold_that_never_was_is_not_found(tactful: RunningProduct, action: str) -> None:
    done = tactful.run("hold", action, "nothing")
    assert (done.code, done.out) == (3, "")
    assert "no hold was ever placed under this key" in done.err


def test_a_role_that_may_not_place_is_refused_but_may_look(tactful: RunningProduct, key: str) -> None:
    viewer = tactful.run("keys", "create", f"viewer-{key}", "--role", "viewer", "-o", "json").data["key"]
    done = tactful.run("hold", "place", key, "--mode", "defer", "--reason", "r", TACTFUL_ADMIN_KEY=viewer)
    assert done.code == 4 and "(forbidden)" in done.err
    assert tactful.run("hold", "list", TACTFUL_ADMIN_KEY=viewer).code == 0


def test_holds_are_asked_for_at_the_suppression_service_where_its_address_is_set(tactful: RunningProduct) -> None:
    elsewhere = {"TACTFUL_SERVICES__ORCHESTRATOR_URL": "http://127.0.0.1:9", "TACTFUL_DATA_DIR": str(tactful.directory)}
    assert run("hold", "list", given={**elsewhere, "TACTFUL_SERVICES__SUPPRESSION_URL": tactful.address}).code == 0
    assert "cannot reach Tactful at http://127.0.0.1:9" in run("hold", "list", given=elsewhere).err


def test_the_commands_of_the_page_succeed(tactful: RunningProduct) -> None:
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        done = tactful.run(*shlex.split(command)[1:])
        assert done.code == 0, f"{command}: {done.err}"


def test_a_server_without_holds_is_told_from_a_hold_that_is_not_there(tactful: RunningProduct) -> None:
    class Nothing(BaseHTTPRequestHandler):
        """An orchestrator that runs alone: it has no holds."""

        def do_GET(self) -> None:
            body = json.dumps({"code": "not_found", "detail": "There is nothing at this path."}).encode()
            self.send_response(404)
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Nothing."""

    with HTTPServer(("127.0.0.1", 0), Nothing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        done = tactful.run("hold", "list", TACTFUL_SERVICES__ORCHESTRATOR_URL=address)
        server.shutdown()
    assert done.code == 3 and "set TACTFUL_SERVICES__SUPPRESSION_URL" in done.err
    assert "TACTFUL_SERVICES" not in tactful.run("hold", "plan", "never-placed").err
