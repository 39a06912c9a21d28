"""The example of an Alertmanager's configuration, and the page that explains it."""

import re
from typing import Any

import pytest
import yaml

from schemas.alertmanager import MAX_ALERTS
from services.suppression.alert_holds import KNOWN_LABELS
from tests.support.servers import ROOT

FILE = ROOT / "deploy/prometheus/alertmanager.yml"
PAGE = (ROOT / "docs/holds.md").read_text("utf-8")


@pytest.fixture
def configuration() -> Any:
    return yaml.safe_load(FILE.read_text("utf-8"))


def test_the_receiver_is_our_webhook_with_a_key_from_a_file(configuration: Any) -> None:
    (hook,) = next(each for each in configuration["receivers"] if each["name"] == "tactful")["webhook_configs"]
    assert hook["url"].endswith(":8002/v1/holds/alertmanager") and hook["send_resolved"] is True
    assert hook["max_alerts"] == MAX_ALERTS
    assert hook["http_config"]["authorization"] == {
        "type": "Bearer",
        "credentials_file": "/etc/alertmanager/tactful-key",
    }


def test_only_alerts_that_ask_for_a_hold_are_sent_there_and_people_hear_of_them_too(configuration: Any) -> None:
    first, second = configuration["route"]["routes"]
    assert (first["receiver"], first["matchers"]) == ("tactful", ['tactful_mode=~"drop|defer"'])
    assert first["continue"] is True and second["receiver"] == "people"


def test_the_page_and_the_example_name_our_words_and_no_other() -> None:
    names = set(re.findall(r"\btactful_[a-z]+\b", PAGE)) - {"tactful_hold", "tactful_deferred"}
    assert names == KNOWN_LABELS
    assert set(re.findall(r"^#\s+(tactful_[a-z]+):", FILE.read_text("utf-8"), re.MULTILINE)) <= KNOWN_LABELS
