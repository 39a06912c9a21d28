"""The checks of `tactful doctor`. A check never raises: a failure is its finding."""

import asyncio
import logging
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import httpx

from schemas.adapter_registry import ADAPTER_REGISTRY, OFF, AdapterDeclaration, adapter_choices
from schemas.channel_registry import CHANNEL_REGISTRY
from schemas.dead_letters import OLD_LETTER_AGE
from schemas.times import SECOND, Instant, parse_instant
from schemas.topics import DEAD_LETTERS
from schemas.vocabulary import CHANNELS_WITHOUT_ADDRESS, Class
from services.deployment_settings import DeploymentSettings
from services.kit.bus.kafka_connection import KafkaConnection, connect_by, find_broker
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.errors import Permanent, TactfulError
from services.kit.http.path_segments import quote_segment
from services.kit.runtime.settings import SettingsError
from tactful.command_errors import EXIT_NOT_FOUND, CommandError
from tactful.connection import ADDRESS_FILE, KEYS_FILE, connect, service_tls, service_url

CHECK_TIMEOUT_SECONDS = 5.0
"""Seconds that one check may take."""
MAX_CLOCK_SKEW_SECONDS = 1.0
"""Seconds by which clocks may differ; a service refuses to start if it is more."""
MIN_FREE_BYTES = 1024**3
"""Bytes below which a disk is nearly full."""


class CheckState(StrEnum):
    """How serious a finding is: fine, worth checking, or broken."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """What a check found, and how to fix it."""

    check: str
    state: CheckState
    detail: str
    mend: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """For JSON and YAML."""
        return {**asdict(self), "state": self.state.value}


def is_development(settings: DeploymentSettings) -> bool:
    """Whether this is an installation of `tactful dev`, with all services at one address."""
    return settings.database.url is None and (settings.data_dir / ADDRESS_FILE).exists()


def check_data_directory(settings: DeploymentSettings) -> DoctorFinding:
    """Whether the data directory exists, has free space, and only its owner can read its keys."""
    check, path = "data", settings.data_dir
    if not path.is_dir():
        return DoctorFinding(
            check, CheckState.AMBER, f"{path} does not exist", "`tactful dev` creates it, or set TACTFUL_DATA_DIR"
        )
    keys = path / KEYS_FILE
    if keys.exists() and stat.S_IMODE(keys.stat().st_mode) & 0o077:
        return DoctorFinding(check, CheckState.RED, f"others can read {keys}", f"chmod 600 {keys}")
    free_bytes = shutil.disk_usage(path).free
    if free_bytes < MIN_FREE_BYTES:
        return DoctorFinding(
            check, CheckState.AMBER, f"{path} has {free_bytes // 1024**2} MiB free", "free space on its disk"
        )
    return DoctorFinding(check, CheckState.GREEN, f"{path}, {free_bytes // 1024**3} GiB free")


async def check_database_file(settings: DeploymentSettings, service: str) -> DoctorFinding:
    """Whether a database of `tactful dev` exists and is up to date."""
    path = settings.data_dir / f"{service}.db"
    if not path.exists():
        return DoctorFinding(f"db {service}", CheckState.AMBER, f"{path} does not exist", "`tactful dev` creates it")
    return await check_database(
        f"sqlite+aiosqlite:///{path}", service, f"start `tactful dev` on {settings.data_dir} again"
    )


def missing_database_url(service: str) -> DoctorFinding:
    """What is said of the database of a service of its own when nothing names it."""
    detail = "not checked: TACTFUL_DATABASE__URL is not set"
    return DoctorFinding(f"db {service}", CheckState.AMBER, detail, f"run it with the settings of the {service}")


async def check_database(url: str, service: str, mend: str | None = None) -> DoctorFinding:
    """Whether the database can be reached and its schema is up to date."""
    check = f"db {service}"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            is_current = await migrate.is_up_to_date(url, f"services.{service}")
    except Permanent as error:  # it was reached, and is none for this version of this service
        return DoctorFinding(check, CheckState.RED, error.detail, "check TACTFUL_DATABASE__URL and the version")
    except (TactfulError, OSError, TimeoutError) as error:
        return DoctorFinding(
            check, CheckState.RED, f"cannot be reached: {_error_summary(error)}", "check TACTFUL_DATABASE__URL"
        )
    if not is_current:
        mend = mend or f"tactful db upgrade --service {service}"
        return DoctorFinding(check, CheckState.RED, "the schema is not up to date", mend)
    return DoctorFinding(
        check, CheckState.GREEN, f"reached; schema up to date ({migrate.latest_revision(f'services.{service}')})"
    )


async def check_database_clock(url: str) -> DoctorFinding:
    """Whether this machine's clock and the database's agree."""
    database = Database.open(url, pool=1)
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            skew_seconds = (await database.now()) / SECOND - time.time()
    except (TactfulError, OSError, TimeoutError) as error:
        return DoctorFinding(
            "clock",
            CheckState.RED,
            f"cannot read the database's clock: {_error_summary(error)}",
            "check TACTFUL_DATABASE__URL",
        )
    finally:
        await database.close()
    return _clock_finding("clock", "the database's", skew_seconds, MAX_CLOCK_SKEW_SECONDS)


async def check_event_log(settings: DeploymentSettings) -> DoctorFinding:
    """Whether the log can be reached and its topics exist."""
    if settings.kafka.bootstrap is None:
        path = settings.data_dir / "log.db"
        if path.exists():
            return DoctorFinding("log", CheckState.GREEN, f"embedded, {path}")
        return DoctorFinding(
            "log",
            CheckState.AMBER,
            f"{path} does not exist",
            "`tactful dev` creates it, or set TACTFUL_KAFKA__BOOTSTRAP",
        )
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            topics = await _list_topics(connect_by(settings))
    except SettingsError as error:
        return DoctorFinding("log", CheckState.RED, str(error), "correct this setting")
    except Exception as error:  # aiokafka passes on any error of the network
        return DoctorFinding(
            "log", CheckState.RED, f"{settings.kafka.bootstrap} cannot be reached: {_error_summary(error)}", _KAFKA_HINT
        )
    name = settings.kafka.events_topic
    wanted = (name, DEAD_LETTERS.name, settings.kafka.messages_topic, settings.kafka.optouts_topic)
    missing = [each for each in wanted if each is not None and each not in topics]
    if missing:
        missing_text = f"there is no topic {' and no topic '.join(missing)}"
        return DoctorFinding("log", CheckState.AMBER, missing_text, "the services create it when they start")
    partitions = topics[name]
    replicas = min(len(each["replicas"]) for each in partitions)
    detail = f"{name}: {len(partitions)} partitions, {replicas} replicas"
    if replicas < 2:
        return DoctorFinding(
            "log", CheckState.AMBER, detail, "use three brokers in production: with one, its loss loses events"
        )
    return DoctorFinding("log", CheckState.GREEN, detail)


_KAFKA_HINT = "check TACTFUL_KAFKA__BOOTSTRAP and the listeners that the broker advertises"


async def _list_topics(connection: KafkaConnection) -> Mapping[str, list[dict[str, Any]]]:
    from aiokafka.admin import AIOKafkaAdminClient

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    await find_broker(connection, CHECK_TIMEOUT_SECONDS)
    admin = AIOKafkaAdminClient(**connection.arguments(), request_timeout_ms=round(CHECK_TIMEOUT_SECONDS * 1000))
    try:
        await admin.start()
        return {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
    finally:
        await admin.close()


def service_urls(settings: DeploymentSettings, development: bool) -> Mapping[str, str]:
    """The addresses of the services."""
    if development:
        return {"services": service_url(settings)}
    urls = settings.services
    return {
        "orchestrator": urls.orchestrator_url,
        "preference": urls.preference_url,
        "suppression": urls.suppression_url,
    }


async def check_readiness(settings: DeploymentSettings, name: str, url: str) -> DoctorFinding:
    """Whether a service is ready; if not, which of its own checks fail."""
    try:
        tls = service_tls(settings)
    except CommandError as error:
        return DoctorFinding(name, CheckState.RED, error.message, "correct this setting")
    try:
        async with httpx.AsyncClient(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False, verify=tls) as client:
            response = await client.get(f"{url}/readyz", params={"verbose": "1"})
        body = response.json()
        checks = body.get("checks", {})
        failing = [_failed_check(each, result) for each, result in checks.items() if not result["ok"]]
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return DoctorFinding(
            name, CheckState.RED, f"{url} does not respond: {_error_summary(error)}", "start it, or correct its address"
        )
    if not response.is_success:
        return DoctorFinding(
            name, CheckState.RED, f"{url} is not ready: {', '.join(failing)}", "search its log for these checks"
        )
    date_header = response.headers.get("date")
    skew_seconds = parsedate_to_datetime(date_header).timestamp() - time.time() if date_header else 0.0
    if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS + 1.0:  # the header has whole seconds
        return _clock_finding(name, f"the clock of {url}", skew_seconds, MAX_CLOCK_SKEW_SECONDS + 1.0)
    if failing:
        return DoctorFinding(
            name, CheckState.AMBER, f"{url} is ready, but: {', '.join(failing)}", "start what does not answer"
        )
    return DoctorFinding(name, CheckState.GREEN, f"{url} is ready")


def _failed_check(name: str, result: Mapping[str, Any]) -> str:
    """Which check failed and why, such as "kafka: no answer for 17 s from kafka:9092"."""
    detail = str(result.get("detail") or "")
    return detail if detail.startswith(f"{name}:") else f"{name}: {detail}" if detail else name


_REFUSED_LINK = "This link does not work"
"""Stands on the page that the orchestrator answers for a link that it did not make."""


async def check_links(settings: DeploymentSettings) -> DoctorFinding:
    """Whether the links that messages get lead to the orchestrator."""
    base = settings.tracked_links.base_url
    remedy = "route /l/ and /o/ of TACTFUL_TRACKED_LINKS__BASE_URL to the orchestrator (docs/links.md)"
    try:
        async with httpx.AsyncClient(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False) as client:
            answer = await client.get(f"{base}/l/doctor")
    except httpx.HTTPError as error:
        return DoctorFinding("links", CheckState.RED, f"{base} does not respond: {_error_summary(error)}", remedy)
    if answer.status_code != HTTPStatus.NOT_FOUND or _REFUSED_LINK not in answer.text:
        return DoctorFinding("links", CheckState.RED, f"{base} does not lead to the orchestrator", remedy)
    if settings.tracked_links.previous_key == settings.tracked_links.key:
        return DoctorFinding(
            "links", CheckState.AMBER, f"{base}: one key twice", "unset TACTFUL_TRACKED_LINKS__PREVIOUS_KEY"
        )
    classes = ", ".join(sorted(settings.tracked_links.tracked_classes)) or "no message"
    return DoctorFinding("links", CheckState.GREEN, f"{base}: {classes}, for {settings.tracked_links.days} days")


def check_api() -> Iterator[DoctorFinding]:
    """Whether the key is valid, a policy is active, and the server's clock runs."""
    try:
        with connect() as api:
            now = api.now()
            version = api.get("/v1/policy")["version"]
    except CommandError as error:
        if error.exit_code == EXIT_NOT_FOUND:
            yield DoctorFinding(
                "policy", CheckState.AMBER, "none is active, so nothing is decided", "tactful policy apply FILE"
            )
        else:
            yield DoctorFinding("key", CheckState.RED, error.message, error.hint)
        return
    yield DoctorFinding("key", CheckState.GREEN, "accepted")
    yield DoctorFinding("policy", CheckState.GREEN, f"version {version} is active")
    skew_seconds = abs(parse_instant(now) / SECOND - time.time())
    if skew_seconds > 60:
        yield DoctorFinding(
            "time", CheckState.AMBER, f"the clock is stopped at {now}", "start without --clock to let it run"
        )


def check_campaigns() -> DoctorFinding:
    """Whether every active campaign could be saved today; an earlier version of Tactful may have taken more."""
    unusable, refused = [], []
    try:
        with connect() as api:
            active = [each["key"] for each in api.list_all("/v1/campaigns") if each["active_status"] == "active"]
            for key in active:
                found = api.get(f"/v1/campaigns/{quote_segment(key)}/findings")
                if not found["usable"]:
                    unusable.append(key)
                elif any(each["severity"] == "error" for each in found["findings"]):
                    refused.append(key)
    except CommandError as error:
        return DoctorFinding("campaigns", CheckState.RED, error.message, error.hint)
    mend = "tactful campaigns check KEY says why; mend the document and apply it"
    if unusable:
        return DoctorFinding("campaigns", CheckState.RED, f"active, but decides nothing: {', '.join(unusable)}", mend)
    if refused:
        detail = f"active, but could not be saved today: {', '.join(refused)}"
        return DoctorFinding("campaigns", CheckState.AMBER, detail, mend)
    return DoctorFinding("campaigns", CheckState.GREEN, f"{len(active)} active")


def check_dead_letters() -> Iterator[DoctorFinding]:
    """Whether any service has open dead letters; old ones are what the alert TactfulDeadLettersOld rings for."""
    try:
        with connect() as api:
            now, services = parse_instant(api.now()), api.get("/v1/dead-letters", limit=1)["services"]
    except CommandError as error:
        yield DoctorFinding("dead letters", CheckState.RED, error.message, error.hint)
        return
    for each in services:
        yield _dead_letter_finding(each, now)


def _dead_letter_finding(counted: Mapping[str, Any], now: Instant) -> DoctorFinding:
    service = counted["service"]
    check = f"dead letters {service}"
    if not counted["answers"]:
        return DoctorFinding(check, CheckState.RED, counted["detail"], f"start {service}, or correct its address")
    if not counted["open"]:
        return DoctorFinding(check, CheckState.GREEN, "none is open")
    old = now - parse_instant(counted["oldest"]) > OLD_LETTER_AGE
    return DoctorFinding(
        check,
        CheckState.RED if old else CheckState.AMBER,
        f"{counted['open']} open, the oldest since {counted['oldest']}",
        f"tactful dlq list --service {service}; then redrive or discard them",
    )


def check_adapter(settings: DeploymentSettings, channel: str, name: str, development: bool) -> DoctorFinding:
    """Can a channel send."""
    check = f"send {channel}"
    declaration = ADAPTER_REGISTRY.declarations.get(settings.kind_of(name) or "")
    if name != OFF and declaration is None:
        return DoctorFinding(check, CheckState.RED, f"there is no adapter `{name}`", f"use {adapter_choices()}")
    if declaration is not None and not declaration.serves(channel):
        detail = f"the adapter `{name}` does not serve this channel"
        return DoctorFinding(check, CheckState.RED, detail, f"use {adapter_choices()}")
    if declaration is not None and declaration.reaches_customers:
        if declaration.needs_kafka and settings.kafka.bootstrap is None:
            return DoctorFinding(
                check, CheckState.RED, f"{name} without Kafka", "set TACTFUL_KAFKA__BOOTSTRAP, or use another adapter"
            )
        if declaration.sends_mail and not settings.mail.has_sender:
            return DoctorFinding(check, CheckState.RED, f"{name} without a sender", "set TACTFUL_MAIL__FROM_ADDRESS")
        return _check_sender(settings, check, channel, name, declaration)
    if development and name == OFF:
        return DoctorFinding(check, CheckState.GREEN, OFF)
    if development and declaration is not None and declaration.destination == "inbox":
        return DoctorFinding(check, CheckState.GREEN, f"{name}: nothing leaves this machine")
    senders = [each for each in ADAPTER_REGISTRY.declarations.values() if each.reaches_customers]
    sender = next((each.id for each in senders if each.serves(channel)), None)
    remedy = f"TACTFUL_ADAPTERS__{channel.upper()}={sender}" if sender else "add an adapter that serves it"
    return DoctorFinding(check, CheckState.AMBER, f"{name}: nothing is sent", remedy)


def _check_sender(
    settings: DeploymentSettings, check: str, channel: str, name: str, declaration: AdapterDeclaration
) -> DoctorFinding:
    """Can an adapter send, and does the provider tell what became of messages."""
    try:
        own, trial = settings.settings_of(name), settings.trial_of(name)
    except SettingsError as error:
        return DoctorFinding(check, CheckState.RED, name, str(error))
    result = declaration.check(own)
    detail = result.detail or name
    if result.remedy is not None:
        return DoctorFinding(check, CheckState.RED, detail, result.remedy)
    if declaration.is_addressed and channel in CHANNELS_WITHOUT_ADDRESS and own.posts is None:
        return DoctorFinding(check, CheckState.RED, f"{detail}; nowhere to post", f"set POSTS of {name}")
    if trial is not None:
        detail = f"{detail}; trial mode: {len(trial)} recipients, nobody else"
        remedy = f"for all customers: unset TACTFUL_DISPATCH__ONLY_TO and ONLY_TO of {name}"
        return DoctorFinding(check, CheckState.AMBER, detail, remedy)
    if missing := declaration.missing_for_receipts(own):
        prefix = f"TACTFUL_{name}__".upper() if name == declaration.id else f"in TACTFUL_ACCOUNTS, for `{name}`, "
        fields = [field.upper() if name == declaration.id else field for field in missing]
        remedy = f"set {', '.join(prefix + field for field in fields)} (docs/receipts.md)"
        return DoctorFinding(check, CheckState.AMBER, f"{detail}; bounces and complaints do not come back", remedy)
    if settings.shares_window(channel):
        detail += "; not the only adapter: free text may only follow a message of the customer to the same one"
        remedy = f"give one adapter of TACTFUL_ADAPTERS__{channel.upper()} a weight and the others 0, or send templates"
        return DoctorFinding(check, CheckState.AMBER, detail, remedy)
    if _lacks_imprint(settings, channel):
        detail += "; the sender has no postal address, which advertising has to show"
        return DoctorFinding(check, CheckState.AMBER, detail, "set TACTFUL_MAIL__POSTAL_ADDRESS")
    return DoctorFinding(check, CheckState.GREEN, detail)


def _lacks_imprint(settings: DeploymentSettings, channel: str) -> bool:
    shows_sender = CHANNEL_REGISTRY.declarations[channel].shows_sender
    return shows_sender and not settings.mail.find_sender(Class.MARKETING, None).postal_address


def _clock_finding(check: str, other_clock: str, skew_seconds: float, allowed: float) -> DoctorFinding:
    if abs(skew_seconds) > allowed:
        return DoctorFinding(
            check,
            CheckState.RED,
            f"this machine's clock and {other_clock} differ by {skew_seconds:+.1f} s",
            "synchronise both with NTP",
        )
    return DoctorFinding(check, CheckState.GREEN, f"this machine's clock and {other_clock} agree")


def _error_summary(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
