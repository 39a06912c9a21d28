"""The settings of the connections to Kafka: where the brokers are, and how the client and they know each other.

What does not fit together is refused when the settings are read. Files are read later, when the first client is made:
see `services/kit/bus/kafka_connection.py`.
"""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, SecretStr, model_validator

from schemas.documents import FieldError
from schemas.topics import DEAD_LETTERS, OUT_TOPICS
from services.kit.runtime.section import Section


def check_topic(name: str) -> str:
    """The name of a topic, if it can be one. Raises ValueError."""
    if not re.fullmatch("[a-zA-Z0-9._-]{1,249}", name) or name in (".", ".."):
        raise ValueError("a topic's name has up to 249 letters, digits, dots, hyphens and underscores")
    return name


def _check_bootstrap(servers: str) -> str:
    hosts = [server.strip().rpartition(":") for server in servers.split(",")]
    if not all(host and port.isdecimal() and 0 < int(port) < 65_536 for host, _, port in hosts):
        raise ValueError("list brokers as host:port, comma separated, such as kafka-1:9092,kafka-2:9092")
    return ",".join(f"{host}:{port}" for host, _, port in hosts)


def _check_client_id(id: str) -> str:
    if ":" in id:
        raise ValueError("a client's id has no colon")
    return id


SecurityProtocol = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
SaslMechanism = Literal["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "OAUTHBEARER"]
_TLS_FIELDS = ("ca_file", "certificate_file", "key_file", "key_password")
_PASSWORD_FIELDS = ("username", "password")
_TOKEN_FIELDS = ("token_url", "client_id", "client_secret", "scope")


class KafkaSettings(Section):
    """The event log. `bootstrap` is host:port, comma separated.

    `messages_topic`, `optouts_topic`: where the life of each message and the opt-outs of each customer are published;
    without a name they are not.
    `security_protocol` and `sasl_mechanism` have Kafka's own names. With SSL and SASL_SSL a broker's certificate must
    be signed by `ca_file` (else by a public authority) and name its host; `certificate_file` and `key_file`
    identify this client (mutual TLS). SCRAM and PLAIN need `username` and `password`. OAUTHBEARER fetches its tokens
    from `token_url` with `client_id` and `client_secret` (RFC 6749, client credentials).
    """

    bootstrap: Annotated[str, AfterValidator(_check_bootstrap)] | None = None
    events_topic: Annotated[str, AfterValidator(check_topic)] = "customer.events"
    messages_topic: Annotated[str, AfterValidator(check_topic)] | None = None
    optouts_topic: Annotated[str, AfterValidator(check_topic)] | None = None
    security_protocol: SecurityProtocol = "PLAINTEXT"
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    key_password: SecretStr | None = None
    sasl_mechanism: SaslMechanism | None = None
    username: str | None = None
    password: SecretStr | None = Field(default=None, min_length=1)
    token_url: str | None = None
    client_id: Annotated[str, AfterValidator(_check_client_id)] | None = None
    client_secret: SecretStr | None = Field(default=None, min_length=1)
    scope: str | None = None

    @property
    def own_topics(self) -> frozenset[str]:
        """The names of the topics that Tactful itself reads or writes, those that are off by their default names."""
        own = {self.events_topic, self.messages_topic, self.optouts_topic, DEAD_LETTERS.name, *OUT_TOPICS}
        return frozenset(name for name in own if name is not None)

    @property
    def uses_tls(self) -> bool:
        """Whether the connections are encrypted."""
        return self.security_protocol in ("SSL", "SASL_SSL")

    @model_validator(mode="after")
    def _check_topics_differ(self) -> "KafkaSettings":
        seen = [self.events_topic]
        for field in ("messages_topic", "optouts_topic"):
            name = getattr(self, field)
            if name is not None and name in seen:
                raise FieldError(field, f"`{name}` is the name of another topic: give each its own")
            seen.append(name)
        return self

    @model_validator(mode="after")
    def _check_tls(self) -> "KafkaSettings":
        if not self.uses_tls:
            self._refuse(_TLS_FIELDS, f"has no effect with {self._setting('security_protocol')}: set SSL or SASL_SSL")
        if self.certificate_file is not None and self.key_file is None:
            raise FieldError("certificate_file", f"needs {_variable('key_file')}, the private key of this certificate")
        if self.certificate_file is None:
            self._refuse(("key_file", "key_password"), f"needs {_variable('certificate_file')}, the certificate of it")
        return self

    @model_validator(mode="after")
    def _check_sasl(self) -> "KafkaSettings":
        if not self.security_protocol.startswith("SASL_"):
            without = f"has no effect with {self._setting('security_protocol')}: set SASL_SSL, and a mechanism"
            self._refuse(("sasl_mechanism", *_PASSWORD_FIELDS, *_TOKEN_FIELDS), without)
            return self
        mechanism = self._setting("sasl_mechanism")
        if self.sasl_mechanism is None:
            protocol = self._setting("security_protocol")
            raise FieldError("sasl_mechanism", f"is not set, and {protocol} needs it: SCRAM-SHA-512 or another")
        if self.sasl_mechanism == "OAUTHBEARER":
            self._require(("token_url", "client_id", "client_secret"), mechanism)
            self._refuse(_PASSWORD_FIELDS, f"has no effect with {mechanism}: remove it")
        else:
            self._require(_PASSWORD_FIELDS, mechanism)
            self._refuse(_TOKEN_FIELDS, f"has no effect with {mechanism}: remove it, or set OAUTHBEARER")
        if self.sasl_mechanism in ("PLAIN", "OAUTHBEARER") and not self.uses_tls:
            secret = "the password" if self.sasl_mechanism == "PLAIN" else "the token"
            raise FieldError("security_protocol", f"would send {secret} in the clear with {mechanism}: set SASL_SSL")
        return self

    def _refuse(self, fields: tuple[str, ...], reason: str) -> None:
        for field in fields:
            if getattr(self, field) is not None:
                raise FieldError(field, reason)

    def _require(self, fields: tuple[str, ...], by: str) -> None:
        for field in fields:
            if getattr(self, field) is None:
                raise FieldError(field, f"is not set, and {by} needs it")

    def _setting(self, field: str) -> str:
        """A setting as it is written, such as TACTFUL_KAFKA__SASL_MECHANISM=PLAIN."""
        return f"{_variable(field)}={getattr(self, field)}"


def _variable(field: str) -> str:
    return f"TACTFUL_KAFKA__{field.upper()}"
