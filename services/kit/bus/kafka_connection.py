"""How every Kafka client of the project connects: the one place that makes the arguments of aiokafka's clients.

It also says in words why a broker does not let us in.

aiokafka logs why it cannot connect to a broker, and raises the same error for all of it. So a probe connects by
itself first (`find_broker`).
"""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from aiokafka.abc import AbstractTokenProvider
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    KafkaConnectionError,
    KafkaError,
    SaslAuthenticationFailed,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.metadata import MetadataRequest

from services.kit.bus.oauth_tokens import OAuthTokens, TokenRefused
from services.kit.errors import BusGone
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.kafka_settings import KafkaSettings
from services.kit.runtime.settings import ServiceSettings, SettingsError
from services.kit.runtime.tls import TlsFiles, client_context, explain_untrusted, trust

CLOSE_TIMEOUT = 1.0
"""Seconds that the end of a trial connection may take: a broker that hangs does not say goodbye."""
_ABOUT_OUR_CERTIFICATE = (
    *("CERTIFICATE_REQUIRED", "BAD_CERTIFICATE", "UNKNOWN_CA", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED"),
    *("UNSUPPORTED_CERTIFICATE", "CERTIFICATE_REVOKED", "HANDSHAKE_FAILURE"),
)
"""Reasons of OpenSSL, with which a server refuses a client's certificate."""


@dataclass(frozen=True)
class KafkaConnection:
    """Where the brokers are, and how a client and they know each other. `bootstrap`: host:port, comma separated."""

    bootstrap: str
    security_protocol: str = "PLAINTEXT"
    ssl_context: ssl.SSLContext | None = None
    sasl_mechanism: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tokens: AbstractTokenProvider | None = None

    def arguments(self) -> dict[str, Any]:
        """The arguments of aiokafka's consumers, producers and other clients."""
        return {"bootstrap_servers": self.bootstrap, **self.security_arguments()}

    def security_arguments(self) -> dict[str, Any]:
        """Those of `arguments` that do not say where the brokers are."""
        arguments: dict[str, Any] = {"security_protocol": self.security_protocol, "ssl_context": self.ssl_context}
        if self.sasl_mechanism is not None:
            arguments |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
                "sasl_oauth_token_provider": self.tokens,
            }
        return arguments

    def brokers(self) -> list[tuple[str, int]]:
        """Host and port of each broker that is named."""
        places = (server.rpartition(":") for server in self.bootstrap.split(","))
        return [(host, int(port)) for host, _, port in places]


def connect_by(settings: ServiceSettings) -> KafkaConnection:
    """The connection that the settings describe. Reads the files that they name. Raises SettingsError."""
    kafka = settings.kafka
    tokens = _token_source(settings) if kafka.sasl_mechanism == "OAUTHBEARER" else None
    return KafkaConnection(
        bootstrap=settings.require("kafka.bootstrap"),
        security_protocol=kafka.security_protocol,
        ssl_context=client_context(_files(kafka)) if kafka.uses_tls else None,
        sasl_mechanism=kafka.sasl_mechanism,
        username=kafka.username,
        password=kafka.password.get_secret_value() if kafka.password is not None else None,
        tokens=tokens,
    )


def _files(kafka: KafkaSettings) -> TlsFiles:
    return TlsFiles(
        ca=kafka.ca_file,
        certificate=kafka.certificate_file,
        key=kafka.key_file,
        key_password=kafka.key_password.get_secret_value() if kafka.key_password is not None else None,
        ca_setting="TACTFUL_KAFKA__CA_FILE",
        certificate_setting="TACTFUL_KAFKA__CERTIFICATE_FILE",
        key_setting="TACTFUL_KAFKA__KEY_FILE",
    )


def _token_source(settings: ServiceSettings) -> OAuthTokens:
    kafka = settings.kafka
    assert kafka.token_url is not None and kafka.client_id is not None and kafka.client_secret is not None
    guard = OutboundGuard(parse_networks(settings.outbound.networks))
    try:
        guard.check_url(kafka.token_url)
    except (ValueError, OSError) as error:
        raise SettingsError(f"TACTFUL_KAFKA__TOKEN_URL: {error}") from None
    return OAuthTokens(
        url=kafka.token_url,
        client_id=kafka.client_id,
        client_secret=kafka.client_secret.get_secret_value(),
        scope=kafka.scope,
        guard=guard,
        ssl_context=_token_context(kafka),
    )


def _token_context(kafka: KafkaSettings) -> ssl.SSLContext:
    """Trusts the public authorities and those of the brokers: a company's token endpoint may have either."""
    context = client_context(TlsFiles())
    if kafka.ca_file is not None:
        trust(context, kafka.ca_file, "TACTFUL_KAFKA__CA_FILE")
    return context


async def find_broker(
    connection: KafkaConnection, timeout: float, brokers: Sequence[tuple[str, int]] | None = None
) -> str:
    """Returns host:port of the first of these brokers (those that are named) that lets us in.

    `timeout`: seconds for each. Raises BusGone, which says of the last one why it does not.
    """
    refusal = BusGone("no broker is known")
    for host, port in connection.brokers() if brokers is None else brokers:
        try:
            async with _connected(connection, host, port, timeout):
                return f"{host}:{port}"
        except (OSError, TimeoutError, KafkaError, ValueError) as error:
            refusal = BusGone(explain_connection_error(error, f"{host}:{port}", connection), retry_after=2.0)
    raise refusal


@contextlib.asynccontextmanager
async def _connected(connection: KafkaConnection, host: str, port: int, timeout: float) -> AsyncIterator[None]:
    async with asyncio.timeout(timeout):
        opened = await create_conn(
            host, port, request_timeout_ms=round(timeout * 1000), **connection.security_arguments()
        )
    try:
        # aiokafka takes any answer to a token for consent (RFC 7628, 3.2.3): a broker that has refused it answers the
        # next request with an empty list, and hangs up.
        metadata = await opened.send(MetadataRequest([]))
        if connection.sasl_mechanism == "OAUTHBEARER" and not metadata.brokers:
            raise SaslAuthenticationFailed
        yield
    finally:
        await asyncio.wait([opened.close()], timeout=CLOSE_TIMEOUT)


def explain_connection_error(error: BaseException, place: str, connection: KafkaConnection) -> str:
    """Why a broker does not let us in, and what to correct, in a sentence without a secret."""
    for cause in _causes(error):
        match cause:
            case TokenRefused():
                return str(cause)
            case UnsupportedSaslMechanismError():
                return f"{place} does not take {connection.sasl_mechanism}: correct TACTFUL_KAFKA__SASL_MECHANISM"
            case SaslAuthenticationFailed() | AuthenticationFailedError():
                return _explain_refused_credentials(place, connection)
            case ssl.SSLError():
                return _explain_tls_error(cause, place)
            case socket.gaierror():
                return f"the host of {place} is unknown ({cause.strerror}): correct TACTFUL_KAFKA__BOOTSTRAP"
            case ConnectionRefusedError():
                return f"{place} refuses connections"
            case ValueError():
                return f"{place} does not prove that it knows our password: is it the right broker?"
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)):
        return f"{place} does not answer in time"
    if isinstance(error, KafkaConnectionError | ConnectionError):
        return f"{place} closes connections: is it a listener for {connection.security_protocol}?"
    return f"{place} does not answer ({getattr(error, 'strerror', None) or type(error).__name__})"


def _explain_refused_credentials(place: str, connection: KafkaConnection) -> str:
    if connection.sasl_mechanism == "OAUTHBEARER":
        return (
            f"{place} refuses the tokens of TACTFUL_KAFKA__TOKEN_URL: their audience, scope or issuer is not what it "
            "expects"
        )
    return (
        f"{place} refuses user name or password of `{connection.username}` ({connection.sasl_mechanism}): correct "
        "TACTFUL_KAFKA__USERNAME and TACTFUL_KAFKA__PASSWORD"
    )


def _explain_tls_error(error: ssl.SSLError, place: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return explain_untrusted(
            error,
            place,
            authority="TACTFUL_KAFKA__CA_FILE must hold the authority that signed it",
            host="name the broker as its certificate does",
        )
    reason = error.reason or ""
    if reason.endswith(_ABOUT_OUR_CERTIFICATE):
        mend = "set or correct TACTFUL_KAFKA__CERTIFICATE_FILE and TACTFUL_KAFKA__KEY_FILE"
        return f"{place} asks for a certificate of ours that it trusts ({reason.lower().replace('_', ' ')}): {mend}"
    words = reason.lower().replace("_", " ") or type(error).__name__
    return f"{place} does not speak TLS as we do ({words}): correct TACTFUL_KAFKA__SECURITY_PROTOCOL or the port"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
