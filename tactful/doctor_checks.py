"""What `tactful doctor` looks at. A check never raises: what it cannot do is what it found."""

import asyncio
import logging
import shutil
import stat
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx

from schemas.adapter_registry import ADAPTER_REGISTRY, OFF, adapter_choices
from schemas.times import SECOND, parse_instant
from schemas.topics import DEAD_LETTERS
from services.deployment_settings import DeploymentSettings
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.errors import TactfulError
from tactful.command_errors import EXIT_NOT_FOUND, CommandError
from tactful.connection import ADDRESS_FILE, KEYS_FILE, connect, service_url

CHECK_TIMEOUT_SECONDS = 5.0
"""Seconds that one check may take."""
MAX_CLOCK_SKEW_SECONDS = 1.0
"""Seconds that clocks may differ by; a service refuses to start on more."""
MIN_FREE_BYTES = 1024**3
"""Bytes below which a disk is nearly full."""


class CheckState(StrEnum):
    """What to think of it."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class DoctorFinding:
    """What a check found, and how to mend it."""

    check: str
    state: CheckState
    detail: str
    mend: str | None = None

    def to_dict(self) -> dict[str, str | None]:
        """For JSON and YAML."""
        return {**asdict(self), "state": self.state.value}


def is_development(settings: DeploymentSettings) -> bool:
    """Whether we look at `tactful dev`, which is all services at one address."""
    return settings.database.url is None and (settings.data_dir / ADDRESS_FILE).exists()


def check_data_directory(settings: DeploymentSettings) -> DoctorFinding:
    """The data directory: there, with room, and its keys for its owner alone."""
    check, path = "data", settings.data_dir
    if not path.is_dir():
        return DoctorFinding(
            check, CheckState.AMBER, f"{path} is not there", "`tactful dev` makes it, or set TACTFUL_DATA_DIR"
        )
    keys = path / KEYS_FILE
    if keys.exists() and stat.S_IMODE(keys.stat().st_mode) & 0o077:
        return DoctorFinding(check, CheckState.RED, f"others can read {keys}", f"chmod 600 {keys}")
    free_bytes = shutil.disk_usage(path).free
    if free_bytes < MIN_FREE_BYTES:
        return DoctorFinding(
            check, CheckState.AMBER, f"{path} has {free_bytes // 1024**2} MiB left", "make room on its disk"
        )
    return DoctorFinding(check, CheckState.GREEN, f"{path}, {free_bytes // 1024**3} GiB free")


async def check_database_file(settings: DeploymentSettings, service: str) -> DoctorFinding:
    """One of the databases of `tactful dev`."""
    path = settings.data_dir / f"{service}.db"
    if not path.exists():
        return DoctorFinding(f"db {service}", CheckState.AMBER, f"{path} is not there", "`tactful dev` makes it")
    return await check_database(
        f"sqlite+aiosqlite:///{path}", service, f"start `tactful dev` on {settings.data_dir} again"
    )


async def check_database(url: str, service: str, mend: str | None = None) -> DoctorFinding:
    """Can the database be reached, and is its schema at the newest step."""
    check = f"db {service}"
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            is_current = await migrate.is_up_to_date(url, f"services.{service}")
    except (TactfulError, OSError, TimeoutError) as error:
        return DoctorFinding(
            check, CheckState.RED, f"cannot be reached: {_error_summary(error)}", "see TACTFUL_DATABASE__URL"
        )
    if not is_current:
        mend = mend or f"tactful db upgrade --service {service}"
        return DoctorFinding(check, CheckState.RED, "the schema is not at its newest step", mend)
    return DoctorFinding(
        check, CheckState.GREEN, f"reached; schema at {migrate.latest_revision(f'services.{service}')}, the newest step"
    )


async def check_database_clock(url: str) -> DoctorFinding:
    """How far our clock and the database's are apart."""
    database = Database.open(url, pool=1)
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            skew_seconds = (await database.now()) / SECOND - time.time()
    except (TactfulError, OSError, TimeoutError) as error:
        return DoctorFinding(
            "clock", CheckState.RED, f"the database's is unknown: {_error_summary(error)}", "see TACTFUL_DATABASE__URL"
        )
    finally:
        await database.close()
    return _clock_finding("clock", "the database's", skew_seconds, MAX_CLOCK_SKEW_SECONDS)


async def check_event_log(settings: DeploymentSettings) -> DoctorFinding:
    """Can the log be reached, and are its topics there."""
    if settings.kafka.bootstrap is None:
        path = settings.data_dir / "log.db"
        if path.exists():
            return DoctorFinding("log", CheckState.GREEN, f"embedded, {path}")
        return DoctorFinding(
            "log", CheckState.AMBER, f"{path} is not there", "`tactful dev` makes it, or set TACTFUL_KAFKA__BOOTSTRAP"
        )
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_SECONDS):
            topics = await _list_topics(settings.kafka.bootstrap)
    except Exception as error:  # aiokafka raises whatever the network does
        return DoctorFinding(
            "log", CheckState.RED, f"{settings.kafka.bootstrap} cannot be reached: {_error_summary(error)}", _KAFKA_HINT
        )
    name = settings.kafka.events_topic
    missing = [each for each in (name, DEAD_LETTERS.name) if each not in topics]
    if missing:
        missing_text = f"there is no topic {' and no topic '.join(missing)}"
        return DoctorFinding("log", CheckState.AMBER, missing_text, "the services make it when they start")
    partitions = topics[name]
    replicas = min(len(each["replicas"]) for each in partitions)
    detail = f"{name}: {len(partitions)} partitions, {replicas} replicas"
    if replicas < 2:
        return DoctorFinding(
            "log", CheckState.AMBER, detail, "use three brokers in production: one that is lost loses events"
        )
    return DoctorFinding("log", CheckState.GREEN, detail)


_KAFKA_HINT = "see TACTFUL_KAFKA__BOOTSTRAP, and the listeners that the broker advertises"


async def _list_topics(bootstrap: str) -> Mapping[str, list[dict[str, Any]]]:
    from aiokafka.admin import AIOKafkaAdminClient

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=round(CHECK_TIMEOUT_SECONDS * 1000))
    try:
        await admin.start()
        return {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
    finally:
        await admin.close()


def service_urls(settings: DeploymentSettings, development: bool) -> Mapping[str, str]:
    """Where the services answer."""
    if development:
        return {"services": service_url(settings)}
    urls = settings.services
    return {
        "orchestrator": urls.orchestrator_url,
        "preference": urls.preference_url,
        "suppression": urls.suppression_url,
    }


async def check_readiness(name: str, url: str) -> DoctorFinding:
    """Is a service ready; with what its own checks say when it is not."""
    try:
        async with httpx.AsyncClient(timeout=CHECK_TIMEOUT_SECONDS, trust_env=False) as client:
            response = await client.get(f"{url}/readyz", params={"verbose": "1"})
        body = response.json()
        failing = [each for each, result in body.get("checks", {}).items() if not result["ok"]]
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return DoctorFinding(
            name, CheckState.RED, f"{url} does not answer: {_error_summary(error)}", "start it, or mend its address"
        )
    if not response.is_success:
        return DoctorFinding(
            name, CheckState.RED, f"{url} is not ready: {', '.join(failing)}", "see its log for these checks"
        )
    date_header = response.headers.get("date")
    skew_seconds = parsedate_to_datetime(date_header).timestamp() - time.time() if date_header else 0.0
    if abs(skew_seconds) > MAX_CLOCK_SKEW_SECONDS + 1.0:  # the header has whole seconds
        return _clock_finding(name, f"that of {url}", skew_seconds, MAX_CLOCK_SKEW_SECONDS + 1.0)
    return DoctorFinding(name, CheckState.GREEN, f"{url} is ready")


def check_api() -> Iterator[DoctorFinding]:
    """Does our key open the product, does its clock run, is a policy active."""
    try:
        with connect() as api:
            now = api.now()
            version = api.get("/v1/policy")["version"]
    except CommandError as error:
        if error.exit_code == EXIT_NOT_FOUND:
            yield DoctorFinding(
                "policy", CheckState.AMBER, "none is active: nothing is decided", "tactful policy apply FILE"
            )
        else:
            yield DoctorFinding("key", CheckState.RED, error.message, error.hint)
        return
    yield DoctorFinding("key", CheckState.GREEN, "it opens the product")
    yield DoctorFinding("policy", CheckState.GREEN, f"version {version} is active")
    skew_seconds = abs(parse_instant(now) / SECOND - time.time())
    if skew_seconds > 60:
        yield DoctorFinding(
            "time", CheckState.AMBER, f"the clock stands at {now}", "start without --clock to let it run"
        )


def check_adapter(settings: DeploymentSettings, channel: str, name: str, development: bool) -> DoctorFinding:
    """Can a channel send."""
    check = f"send {channel}"
    declaration = ADAPTER_REGISTRY.declarations.get(name)
    if name != OFF and declaration is None:
        return DoctorFinding(check, CheckState.RED, f"there is no adapter `{name}`", f"use {adapter_choices()}")
    if declaration is not None and not declaration.serves(channel):
        detail = f"the adapter `{name}` does not serve this channel"
        return DoctorFinding(check, CheckState.RED, detail, f"use {adapter_choices()}")
    if declaration is not None and declaration.destination == "provider":
        result = declaration.check(getattr(settings, name))
        state = CheckState.GREEN if result.remedy is None else CheckState.RED
        return DoctorFinding(check, state, result.detail or name, result.remedy)
    if development and name == OFF:
        return DoctorFinding(check, CheckState.GREEN, OFF)
    if development and declaration is not None and declaration.destination == "inbox":
        return DoctorFinding(check, CheckState.GREEN, f"{name}: nothing leaves this machine")
    senders = [each for each in ADAPTER_REGISTRY.declarations.values() if each.destination == "provider"]
    sender = next((each.id for each in senders if each.serves(channel)), None)
    remedy = f"TACTFUL_ADAPTERS__{channel.upper()}={sender}" if sender else "add an adapter that serves it"
    return DoctorFinding(check, CheckState.AMBER, f"{name}: nothing is sent", remedy)


def _clock_finding(check: str, other_clock: str, skew_seconds: float, allowed: float) -> DoctorFinding:
    if abs(skew_seconds) > allowed:
        return DoctorFinding(
            check,
            CheckState.RED,
            f"our clock and {other_clock} differ by {skew_seconds:+.1f} s",
            "synchronise both by NTP",
        )
    return DoctorFinding(check, CheckState.GREEN, f"our clock and {other_clock} agree")


def _error_summary(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
