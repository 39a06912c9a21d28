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

from schemas.times import SECOND, parse_instant
from schemas.topics import DEAD_LETTERS
from services.deployment_settings import DeploymentSettings
from services.kit.db import migrate
from services.kit.db.database import Database
from services.kit.errors import TactfulError
from tactful.command_errors import NOT_FOUND, CommandError
from tactful.connection import ADDRESS, KEYS, address, connect

PATIENCE = 5.0
"""Seconds that one check may take."""
CLOCK_ERROR = 1.0
"""Seconds that clocks may differ by; a service refuses to start on more."""
LITTLE = 1024**3
"""Bytes below which a disk is nearly full."""


class State(StrEnum):
    """What to think of it."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found, and how to mend it."""

    check: str
    state: State
    detail: str
    mend: str | None = None

    def plain(self) -> dict[str, str | None]:
        """For JSON and YAML."""
        return {**asdict(self), "state": self.state.value}


def is_development(known: DeploymentSettings) -> bool:
    """Whether we look at `tactful dev`, which is all services at one address."""
    return known.database.url is None and (known.data_dir / ADDRESS).exists()


def directory(known: DeploymentSettings) -> Finding:
    """The data directory: there, with room, and its keys for its owner alone."""
    check, path = "data", known.data_dir
    if not path.is_dir():
        return Finding(check, State.AMBER, f"{path} is not there", "`tactful dev` makes it, or set TACTFUL_DATA_DIR")
    keys = path / KEYS
    if keys.exists() and stat.S_IMODE(keys.stat().st_mode) & 0o077:
        return Finding(check, State.RED, f"others can read {keys}", f"chmod 600 {keys}")
    free = shutil.disk_usage(path).free
    if free < LITTLE:
        return Finding(check, State.AMBER, f"{path} has {free // 1024**2} MiB left", "make room on its disk")
    return Finding(check, State.GREEN, f"{path}, {free // 1024**3} GiB free")


async def file_of(known: DeploymentSettings, service: str) -> Finding:
    """One of the databases of `tactful dev`."""
    path = known.data_dir / f"{service}.db"
    if not path.exists():
        return Finding(f"db {service}", State.AMBER, f"{path} is not there", "`tactful dev` makes it")
    return await database(f"sqlite+aiosqlite:///{path}", service, f"start `tactful dev` on {known.data_dir} again")


async def database(url: str, service: str, mend: str | None = None) -> Finding:
    """Can the database be reached, and is its schema at the newest step."""
    check = f"db {service}"
    try:
        async with asyncio.timeout(PATIENCE):
            newest = await migrate.is_up_to_date(url, f"services.{service}")
    except (TactfulError, OSError, TimeoutError) as error:
        return Finding(check, State.RED, f"cannot be reached: {_words(error)}", "see TACTFUL_DATABASE__URL")
    if not newest:
        mend = mend or f"tactful db upgrade --service {service}"
        return Finding(check, State.RED, "the schema is not at its newest step", mend)
    return Finding(
        check, State.GREEN, f"reached; schema at {migrate.latest_revision(f'services.{service}')}, the newest step"
    )


async def database_clock(url: str) -> Finding:
    """How far our clock and the database's are apart."""
    opened = Database.open(url, pool=1)
    try:
        async with asyncio.timeout(PATIENCE):
            apart = (await opened.now()) / SECOND - time.time()
    except (TactfulError, OSError, TimeoutError) as error:
        return Finding("clock", State.RED, f"the database's is unknown: {_words(error)}", "see TACTFUL_DATABASE__URL")
    finally:
        await opened.close()
    return _apart("clock", "the database's", apart, CLOCK_ERROR)


async def log(known: DeploymentSettings) -> Finding:
    """Can the log be reached, and are its topics there."""
    if known.kafka.bootstrap is None:
        path = known.data_dir / "log.db"
        if path.exists():
            return Finding("log", State.GREEN, f"embedded, {path}")
        return Finding(
            "log", State.AMBER, f"{path} is not there", "`tactful dev` makes it, or set TACTFUL_KAFKA__BOOTSTRAP"
        )
    try:
        async with asyncio.timeout(PATIENCE):
            topics = await _topics(known.kafka.bootstrap)
    except Exception as error:  # aiokafka raises whatever the network does
        return Finding("log", State.RED, f"{known.kafka.bootstrap} cannot be reached: {_words(error)}", _LISTENER)
    name = known.kafka.events_topic
    missing = [each for each in (name, DEAD_LETTERS.name) if each not in topics]
    if missing:
        lacking = f"there is no topic {' and no topic '.join(missing)}"
        return Finding("log", State.AMBER, lacking, "the services make it when they start")
    partitions = topics[name]
    replicas = min(len(each["replicas"]) for each in partitions)
    detail = f"{name}: {len(partitions)} partitions, {replicas} replicas"
    if replicas < 2:
        return Finding("log", State.AMBER, detail, "use three brokers in production: one that is lost loses events")
    return Finding("log", State.GREEN, detail)


_LISTENER = "see TACTFUL_KAFKA__BOOTSTRAP, and the listeners that the broker advertises"


async def _topics(bootstrap: str) -> Mapping[str, list[dict[str, Any]]]:
    from aiokafka.admin import AIOKafkaAdminClient

    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=round(PATIENCE * 1000))
    try:
        await admin.start()
        return {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
    finally:
        await admin.close()


def addresses(known: DeploymentSettings, development: bool) -> Mapping[str, str]:
    """Where the services answer."""
    if development:
        return {"services": address(known)}
    urls = known.services
    return {
        "orchestrator": urls.orchestrator_url,
        "preference": urls.preference_url,
        "suppression": urls.suppression_url,
    }


async def ready(name: str, where: str) -> Finding:
    """Is a service ready; with what its own checks say when it is not."""
    try:
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as client:
            answer = await client.get(f"{where}/readyz", params={"verbose": "1"})
        body = answer.json()
        failing = [each for each, result in body.get("checks", {}).items() if not result["ok"]]
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return Finding(name, State.RED, f"{where} does not answer: {_words(error)}", "start it, or mend its address")
    if not answer.is_success:
        return Finding(name, State.RED, f"{where} is not ready: {', '.join(failing)}", "see its log for these checks")
    said = answer.headers.get("date")
    apart = parsedate_to_datetime(said).timestamp() - time.time() if said else 0.0
    if abs(apart) > CLOCK_ERROR + 1.0:  # the header has whole seconds
        return _apart(name, f"that of {where}", apart, CLOCK_ERROR + 1.0)
    return Finding(name, State.GREEN, f"{where} is ready")


def product() -> Iterator[Finding]:
    """Does our key open the product, does its clock run, is a policy active."""
    try:
        with connect() as api:
            now = api.now()
            version = api.get("/v1/policy")["version"]
    except CommandError as error:
        if error.exit_code == NOT_FOUND:
            yield Finding("policy", State.AMBER, "none is active: nothing is decided", "tactful policy apply FILE")
        else:
            yield Finding("key", State.RED, error.what, error.how)
        return
    yield Finding("key", State.GREEN, "it opens the product")
    yield Finding("policy", State.GREEN, f"version {version} is active")
    apart = abs(parse_instant(now) / SECOND - time.time())
    if apart > 60:
        yield Finding("time", State.AMBER, f"the clock stands at {now}", "start without --clock to let it run")


def adapter(known: DeploymentSettings, channel: str, name: str, development: bool) -> Finding:
    """Can a channel send."""
    check = f"send {channel}"
    if name == "webhook" and (known.webhook.url is None or known.webhook.secret is None):
        return Finding(check, State.RED, "webhook without address or secret", "set TACTFUL_WEBHOOK__URL and __SECRET")
    if name == "webhook":
        return Finding(check, State.GREEN, "webhook, signed")
    if name in ("sandbox", "off") and development:
        return Finding(check, State.GREEN, "sandbox: nothing leaves this machine" if name == "sandbox" else "off")
    if name in ("sandbox", "null", "off"):
        return Finding(check, State.AMBER, f"{name}: nothing is sent", f"TACTFUL_ADAPTERS__{channel.upper()}=webhook")
    return Finding(check, State.RED, f"there is no adapter `{name}`", "use sandbox, webhook, null or off")


def _apart(check: str, whose: str, apart: float, allowed: float) -> Finding:
    if abs(apart) > allowed:
        return Finding(check, State.RED, f"our clock and {whose} differ by {apart:+.1f} s", "synchronise both by NTP")
    return Finding(check, State.GREEN, f"our clock and {whose} agree")


def _words(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__
