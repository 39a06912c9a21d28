import io
import json
import logging
import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from services.kit.errors import Conflict
from services.kit.observability import logs

CANARY = "anna.canary@example.com"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    logs.configure_logging("orchestrator", level="debug", stream=stream)
    yield stream
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.getLogger("tactful").setLevel(logging.NOTSET)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_has_its_keys_in_order(stream: io.StringIO) -> None:
    token = logs.trace_id.set("ab" * 16)
    logs.log("message_handed_over", channel="email", attempts=2, retry=False, until=None, ids=["m-1", "m-2"])
    logs.trace_id.reset(token)
    [line] = lines(stream)
    assert list(line) == [
        "time", "level", "service", "action", "trace_id", "channel", "attempts", "retry", "until", "ids"
    ]  # fmt: skip
    assert line["time"].endswith("Z")
    assert (line["level"], line["service"], line["action"]) == ("info", "orchestrator", "message_handed_over")
    assert line["trace_id"] == "ab" * 16
    assert (line["attempts"], line["retry"], line["until"], line["ids"]) == (2, False, None, ["m-1", "m-2"])


@pytest.mark.parametrize(
    "name",
    [
        "address", "addresses", "to_address", "email", "phone", "mobile", "content", "subject", "body", "text", "token",
        "push_token", "traits", "first_name", "api_key", "secret", "password", "authorization", "payload", "data",
    ],
)  # fmt: skip
def test_a_field_with_a_telling_name_is_refused(stream: io.StringIO, name: str) -> None:
    logs.log("x", "info", **{name: "canary"})
    assert lines(stream)[0][name] == "[refused]"
    assert "canary" not in stream.getvalue()


@pytest.mark.parametrize(
    "value", [{"a": "canary"}, b"canary", object(), ValueError("canary"), [{"a": "canary"}], ["canary"] * 21]
)
def test_a_value_that_may_hold_anything_is_refused(stream: io.StringIO, value: object) -> None:
    logs.log("x", thing=value)
    assert "canary" not in stream.getvalue()
    assert "[refused]" in stream.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        f"cannot reach {CANARY}!",
        f"<{CANARY}>",
        "call +49 151 2345-6789 now",
        "+4915123456789",
        "Bearer tk_0123456789abcdefghij",
        "token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.sig",
        "postgresql+asyncpg://tactful:canary@db/tactful",
    ],
)
def test_what_looks_like_an_address_or_a_key_is_cut_out_of_texts(stream: io.StringIO, text: str) -> None:
    logs.log("x", reason=text, several=[text])
    written = stream.getvalue()
    assert "[redacted]" in written
    for piece in ("canary", "2345", "0123456789", "eyJ", "example.com"):
        assert piece not in written


def test_ids_and_times_stay_readable(stream: io.StringIO) -> None:
    plain = "msg_13b99b55b98fbc9da48595ebc16dfbad 2026-03-02T12:00:00+01:00 /v1/campaigns/spring-sale"
    logs.log("x", reason=plain)
    assert lines(stream)[0]["reason"] == plain


def test_an_error_is_its_class_and_place_never_its_message(stream: io.StringIO) -> None:
    try:
        raise KeyError(CANARY)
    except KeyError as error:
        logs.log_error("failed", error, customer="c-1")
    logs.log_error("refused", Conflict(CANARY, code="wrong_state"), "warning")
    first, second = lines(stream)
    assert (first["level"], first["error_class"], first["customer"]) == ("error", "KeyError", "c-1")
    assert first["error_at"][-1].startswith("kit/observability/test_logs.py:")
    assert (second["level"], second["error_code"]) == ("warning", "wrong_state")
    assert "canary" not in stream.getvalue()


def test_libraries_write_the_same_form_without_their_exceptions_words(stream: io.StringIO) -> None:
    library = logging.getLogger("uvicorn.error")
    library.warning("lost %s", CANARY)
    try:
        raise RuntimeError(CANARY)
    except RuntimeError:
        library.exception("failed")
    logging.getLogger("some.library").info("chatter")
    logging.getLogger("uvicorn.access").warning("GET /p/secret-token")
    first, second = lines(stream)
    assert (first["action"], first["logger"], first["message"]) == ("library", "uvicorn.error", "lost [redacted]")
    assert list(first) == ["time", "level", "service", "action", "trace_id", "logger", "message"]
    assert list(second) == [*list(first)[:6], "error_class", "error_at"]
    assert second["error_class"] == "RuntimeError"
    assert "canary" not in stream.getvalue()


def test_warnings_become_lines(stream: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure_logging("x", stream=stream)
        warnings.warn("deprecated thing", stacklevel=1)
    assert lines(stream)[0]["logger"] == "py.warnings"


def test_a_context_adds_its_ids_and_ends(stream: io.StringIO) -> None:
    with logs.log_context(event_id="e-1"), logs.log_context(customer="c-1"):
        logs.log("inside", action_="x")
    logs.log("outside")
    inside, outside = lines(stream)
    assert (inside["event_id"], inside["customer"]) == ("e-1", "c-1")
    assert "event_id" not in outside


def test_a_field_cannot_overwrite_the_lines_own_keys(stream: io.StringIO) -> None:
    logs.log("x", service="other", time="never")
    [line] = lines(stream)
    assert (line["service"], line["service_"], line["time_"]) == ("orchestrator", "other", "never")


def test_the_level_is_a_threshold_and_every_line_is_counted(stream: io.StringIO) -> None:
    seen: list[str] = []
    logs.configure_logging("x", level="warning", stream=stream, on_line=seen.append)
    logs.log("quiet")
    logs.log("loud", "error")
    logging.getLogger("library").warning("w")
    assert [line["action"] for line in lines(stream)] == ["loud", "library"]
    assert seen == ["error", "warning"]


def test_one_line_is_one_line(stream: io.StringIO) -> None:
    logs.log("x", reason="a\nb\r\u2028c")
    assert stream.getvalue().count("\n") == 1
    assert lines(stream)[0]["reason"] == "a\nb\r\u2028c"
