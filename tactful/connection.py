"""HTTP client of the command line: finds the address and the key of Tactful, and turns error responses into errors.

The address is TACTFUL_SERVICES__ORCHESTRATOR_URL, the key is TACTFUL_ADMIN_KEY. Whatever is not set is read from the
data directory of `tactful dev`. Requests to another service use that service's address if it is set, otherwise the same
address, where a gateway is assumed.
"""

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Literal

import httpx

from schemas.times import format_instant, from_datetime
from services.deployment_settings import DeploymentSettings
from services.kit.http.problems import NOTHING_HERE
from services.kit.runtime.settings import SettingsError, list_setting_origins, load_settings
from services.kit.runtime.tls import TlsFiles, client_context
from tactful.command_errors import EXIT_NOT_FOUND, CommandError, error_from_response

KEYS_FILE, ADDRESS_FILE = "keys.json", "address"
"""Files in the data directory of `tactful dev`."""
URL_VARIABLE = "TACTFUL_SERVICES__ORCHESTRATOR_URL"
TIMEOUT_SECONDS = 60.0
"""Seconds. The longest response takes 30 s, when it waits for decisions."""
KeyName = Literal["admin", "reviewer"]
ServiceName = Literal["orchestrator", "preference", "suppression"]


class ApiClient:
    """Calls the HTTP API. Every method raises CommandError for an error response, or if there is no response."""

    def __init__(self, client: httpx.Client, development: bool = False, nothing_here: str | None = None) -> None:
        """`development`: the server is `tactful dev`, whose clock may be stopped. `nothing_here`: what to do about a
        server that does not have our paths.
        """
        self._client = client
        self._development = development
        self._nothing_here = nothing_here

    def now(self) -> str:
        """The server's time (RFC 3339)."""
        if self._development:
            try:
                return str(self.get("/v1/dev/clock")["now"])
            except CommandError as error:
                if error.exit_code != EXIT_NOT_FOUND:
                    raise
        return format_instant(from_datetime(datetime.now(UTC)))

    def get(self, path: str, **query: str | int | None) -> Any:
        """GET, and return the JSON. Query parameters that are None are left out."""
        return self.request("GET", path, params={name: value for name, value in query.items() if value is not None})

    def put(self, path: str, body: Any) -> Any:
        """PUT, and return the JSON."""
        return self.request("PUT", path, json=body)

    def post(self, path: str, body: Any = None) -> Any:
        """The answer to a POST."""
        return self.request("POST", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self.request("DELETE", path)

    def list_all(self, path: str, **query: str | None) -> Iterator[Any]:
        """All items of a paged list."""
        after: str | None = None
        while True:
            page = self.get(path, limit=200, after=after, **query)
            yield from page["items"]
            after = page["next"]
            if after is None:
                return

    def stream(self, path: str, **query: str) -> Iterator[bytes]:
        """GET, and yield the bytes of the body as they come."""
        with self._explaining_errors(), self._client.stream("GET", path, params=query) as response:
            if response.is_error:
                response.read()
                raise error_from_response(response)
            yield from response.iter_bytes()

    @contextmanager
    def _explaining_errors(self) -> Iterator[None]:
        """Raises CommandError if there is no response, or it breaks off."""
        try:
            yield
        except httpx.TimeoutException:
            raise CommandError(f"{self._client.base_url} did not respond within {TIMEOUT_SECONDS:g} s") from None
        except httpx.HTTPError as error:
            raise CommandError(
                f"cannot reach Tactful at {self._client.base_url} ({error})",
                hint=f"start it with `tactful dev`, or set {URL_VARIABLE}. `tactful dev` writes its address into its "
                "data directory: if that is elsewhere, set TACTFUL_DATA_DIR",
            ) from None

    def request(self, method: str, path: str, **request: Any) -> Any:
        """Send any request, and return its JSON, or None if the response has no body."""
        with self._explaining_errors():
            response = self._client.request(method, path, **request)
        if response.is_error:
            refusal = error_from_response(response)
            if refusal.message.startswith(NOTHING_HERE):
                refusal.hint = self._nothing_here
            raise refusal
        return response.json() if response.content else None


def service_tls(settings: DeploymentSettings) -> ssl.SSLContext:
    """How services with https are trusted."""
    try:
        return client_context(TlsFiles(ca=settings.services.ca_file, ca_setting="TACTFUL_SERVICES__CA_FILE"))
    except SettingsError as error:
        raise CommandError(str(error)) from None


def load_service_settings() -> DeploymentSettings:
    """The settings of this process."""
    try:
        return load_settings(DeploymentSettings)
    except SettingsError as error:
        raise CommandError(str(error)) from None


@contextmanager
def connect(person: KeyName = "admin", service: ServiceName = "orchestrator") -> Iterator[ApiClient]:
    """Connect with the configured key, or with that of `person` if `tactful dev` created the keys."""
    settings = load_service_settings()
    url = service_url(settings, service)
    if settings.admin_key is None:
        key = _read_keys(settings).get(person)
    else:
        key = settings.admin_key.get_secret_value()
    hint = None
    if service != "orchestrator" and url == service_url(settings):
        hint = f"with separate processes, set TACTFUL_SERVICES__{service.upper()}_URL: this belongs to that service"
    api = _open_client(settings, url, key, key is not None and _is_development_key(settings, key), hint)
    with api as client:
        yield client


@contextmanager
def connect_to_public_routes() -> Iterator[httpx.Client]:
    """A client of the orchestrator without a key, for routes that anybody may call."""
    settings = load_service_settings()
    tls, url = service_tls(settings), service_url(settings)
    with httpx.Client(base_url=url, timeout=TIMEOUT_SECONDS, trust_env=False, verify=tls) as client:
        yield client


@contextmanager
def connect_dev(
    person: KeyName, feature: str, hint: str = "set TACTFUL_DATA_DIR to its directory"
) -> Iterator[ApiClient]:
    """Connect to `tactful dev` with one of the keys that it created.

    Raises CommandError where there is no such key: `feature` works only there, and `hint` is the alternative.
    """
    settings = load_service_settings()
    key = _read_keys(settings).get(person)
    if key is None:
        raise CommandError(
            f"{settings.data_dir / KEYS_FILE} has no {person} key: {feature} works only with `tactful dev`",
            hint=hint,
        )
    with _open_client(settings, service_url(settings), key, development=True) as api:
        yield api


@contextmanager
def _open_client(
    settings: DeploymentSettings, url: str, key: str | None, development: bool = False, nothing_here: str | None = None
) -> Iterator[ApiClient]:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    tls = service_tls(settings)
    with httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False, verify=tls) as client:
        yield ApiClient(client, development, nothing_here)


def service_url(settings: DeploymentSettings, service: ServiceName = "orchestrator") -> str:
    """The address of a service: as set, else as `tactful dev` has recorded it, else the default."""
    if service != "orchestrator" and _is_set(settings, f"TACTFUL_SERVICES__{service.upper()}_URL"):
        return str(getattr(settings.services, f"{service}_url"))
    if not _is_set(settings, URL_VARIABLE):
        with suppress(OSError):
            return (settings.data_dir / ADDRESS_FILE).read_text("utf-8").strip()
    return settings.services.orchestrator_url


def _is_set(settings: DeploymentSettings, variable: str) -> bool:
    return any(each.name == variable and each.origin != "default" for each in list_setting_origins(settings))


def _is_development_key(settings: DeploymentSettings, key: str) -> bool:
    """Whether `tactful dev` has stored this key."""
    try:
        return key in _read_keys(settings).values()
    except CommandError:
        return False


def _read_keys(settings: DeploymentSettings) -> Mapping[str, str]:
    path = settings.data_dir / KEYS_FILE
    try:
        keys = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read the keys in {path}: {error}", hint="set TACTFUL_ADMIN_KEY") from None
    return keys if isinstance(keys, dict) else {}
