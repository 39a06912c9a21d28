"""The running product: where it is, which key opens it, and how its errors are told.

The address is TACTFUL_SERVICES__ORCHESTRATOR_URL, the key is TACTFUL_ADMIN_KEY; what is not set is found in the data
directory of `tactful dev`. What another service answers is asked at that service's address, where one is set; else
all services are taken to be at the one address.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from schemas.times import format_instant, from_datetime
from services.deployment_settings import DeploymentSettings
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from tactful.command_errors import NOT_FOUND, CommandError, of_response

KEYS, ADDRESS = "keys.json", "address"
"""Files in the data directory of `tactful dev`."""
URL = "TACTFUL_SERVICES__ORCHESTRATOR_URL"
TIMEOUT = 60.0
"""Seconds. The longest answer waits 30 s for decisions."""
Person = Literal["admin", "reviewer"]
Service = Literal["orchestrator", "preference", "suppression"]


class Api:
    """The HTTP interface. Every method raises CommandError for an answer that is an error."""

    def __init__(self, client: httpx.Client, development: bool = False) -> None:
        """`development`: it is `tactful dev`, whose clock may stand still."""
        self._client = client
        self._development = development

    def now(self) -> str:
        """What time it is there (RFC 3339)."""
        if self._development:
            try:
                return str(self.get("/v1/dev/clock")["now"])
            except CommandError as error:
                if error.exit_code != NOT_FOUND:
                    raise
        return format_instant(from_datetime(datetime.now(UTC)))

    def get(self, path: str, **query: str | int | None) -> Any:
        """The answer to a GET; a query of None is left out."""
        return self.ask("GET", path, params={name: value for name, value in query.items() if value is not None})

    def put(self, path: str, body: Any) -> Any:
        """The answer to a PUT."""
        return self.ask("PUT", path, json=body)

    def post(self, path: str, body: Any = None) -> Any:
        """The answer to a POST."""
        return self.ask("POST", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.ask("DELETE", path)

    def every(self, path: str, **query: str | None) -> Iterator[Any]:
        """All items of a list, page by page."""
        after: str | None = None
        while True:
            page = self.get(path, limit=200, after=after, **query)
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def ask(self, method: str, path: str, **request: Any) -> Any:
        """The answer to any request: its JSON, or None when it has no body."""
        try:
            response = self._client.request(method, path, **request)
        except httpx.TimeoutException:
            raise CommandError(f"{self._client.base_url} did not answer within {TIMEOUT:g} s") from None
        except httpx.HTTPError as error:
            raise CommandError(
                f"cannot reach Tactful at {self._client.base_url} ({error})",
                how=f"start it with `tactful dev`, or set {URL}",
            ) from None
        if response.is_error:
            raise of_response(response)
        return response.json() if response.content else None


def settings() -> DeploymentSettings:
    """The settings of this process."""
    try:
        return load_settings(DeploymentSettings)
    except SettingsError as error:
        raise CommandError(str(error)) from None


@contextmanager
def connect(person: Person = "admin", service: Service = "orchestrator") -> Iterator[Api]:
    """The product, with the configured key; with that of `person` where `tactful dev` made the keys."""
    known = settings()
    where = address(known, service)
    if known.admin_key is not None:
        api = _open(where, known.admin_key.get_secret_value())
    else:
        key = _keys(known).get(person)
        api = _open(where, key, development=key is not None)
    with api as opened:
        yield opened


@contextmanager
def connect_dev(person: Person, what: str, how: str = "set TACTFUL_DATA_DIR to its directory") -> Iterator[Api]:
    """The product as `tactful dev` runs it, with one of the keys that it made.

    Elsewhere raises CommandError: `what` works there alone, `how` to do it else.
    """
    known = settings()
    key = _keys(known).get(person)
    if key is None:
        raise CommandError(
            f"{known.data_dir / KEYS} has no key of the {person}: {what} works with `tactful dev` alone", how=how
        )
    with _open(address(known), key, development=True) as api:
        yield api


@contextmanager
def _open(where: str, key: str | None, development: bool = False) -> Iterator[Api]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=where, headers=headers, timeout=TIMEOUT, trust_env=False) as client:
        yield Api(client, development)


def address(known: DeploymentSettings, service: Service = "orchestrator") -> str:
    """Where the product is: as it is set; else where `tactful dev` says that it is; else the default."""
    if service != "orchestrator" and _is_set(known, f"TACTFUL_SERVICES__{service.upper()}_URL"):
        return str(getattr(known.services, f"{service}_url"))
    if known.admin_key is None and not _is_set(known, URL):
        with suppress(OSError):
            return (known.data_dir / ADDRESS).read_text("utf-8").strip()
    return known.services.orchestrator_url


def _is_set(known: DeploymentSettings, variable: str) -> bool:
    return any(each.name == variable and each.origin != "default" for each in list_setting_origins(known))


def _keys(known: DeploymentSettings) -> Mapping[str, str]:
    path = known.data_dir / KEYS
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read the keys in {path}: {error}", how="set TACTFUL_ADMIN_KEY") from None
    return found if isinstance(found, dict) else {}
