"""A real Kafka broker with a listener for each way to secure a connection, and with an authorizer."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support import servers
from tests.support.certificates import Authority, Certificate

PASSWORD = "a-password/with+signs"
"""Of every user."""
REAUTHENTICATION_MS = 4000
"""After which, at the latest, the listener for tokens hangs up on who has not shown one again."""
USERS = ("tactful", "orchestrator", "preference", "suppression", "shop")
"""`tactful` may do everything, the others what access control lists grant them."""
_MODULES = "org.apache.kafka.common.security"


@dataclass
class SecuredKafka:
    """The broker, its certificate and a client's, the authority of both, and the listeners as host:port."""

    broker: servers.Kafka
    authority: Authority
    server: Certificate
    client: Certificate
    mutual_tls: str
    scram: str
    unencrypted: str
    oauth: str

    @property
    def plain(self) -> str:
        """The listener without TLS."""
        return self.broker.bootstrap


@contextlib.contextmanager
def secured_kafka(directory: Path) -> Iterator[SecuredKafka]:
    """A running broker; skips without Java."""
    if (lacking := servers.kafka_lacks()) is not None:
        servers.absent(lacking)
    authority = Authority(directory / "certificates")
    server, client = authority.sign("broker"), authority.sign("tactful")
    users = (f"--add-scram {kind}=[name={user},password={PASSWORD}]" for user in USERS for kind in _SCRAM)
    broker = servers.Kafka(directory / "kafka", 0, 0, {"KAFKA_FORMAT": " ".join(users)})
    made = SecuredKafka(broker, authority, server, client, "", "", "", "")

    def start() -> None:
        broker.port, broker.controller_port, *ports = (servers.free_port() for _ in range(6))
        made.mutual_tls, made.scram, made.unencrypted, made.oauth = (f"127.0.0.1:{port}" for port in ports)
        broker.directory.mkdir(parents=True, exist_ok=True)
        (broker.directory / "more.properties").write_text(_properties(made))
        broker.start()

    try:
        servers.start_on_free_ports(start)
        yield made
    finally:
        broker.kill()


_SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")


def _properties(made: SecuredKafka) -> str:
    places = {
        "PLAINTEXT": made.plain,
        "MTLS": made.mutual_tls,
        "SCRAM": made.scram,
        "UNENCRYPTED": made.unencrypted,
        "OAUTH": made.oauth,
    }
    listeners = ",".join(f"{name}://{place}" for name, place in places.items())
    users = " ".join(f'user_{user}="{PASSWORD}"' for user in USERS)
    return f"""
listeners={listeners},CONTROLLER://127.0.0.1:{made.broker.controller_port}
advertised.listeners={listeners}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,MTLS:SSL,SCRAM:SASL_SSL,OAUTH:SASL_SSL,\\
  UNENCRYPTED:SASL_PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location={made.server.both}
ssl.truststore.type=PEM
ssl.truststore.location={made.authority.file}
listener.name.mtls.ssl.client.auth=required
listener.name.scram.sasl.enabled.mechanisms={",".join(_SCRAM)},PLAIN
listener.name.scram.scram-sha-256.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;
listener.name.scram.scram-sha-512.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;
listener.name.scram.plain.sasl.jaas.config={_MODULES}.plain.PlainLoginModule required {users};
listener.name.unencrypted.sasl.enabled.mechanisms=SCRAM-SHA-512
listener.name.unencrypted.scram-sha-512.sasl.jaas.config={_MODULES}.scram.ScramLoginModule required;
listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.oauth.oauthbearer.connections.max.reauth.ms={REAUTHENTICATION_MS}
listener.name.oauth.oauthbearer.sasl.jaas.config={_MODULES}.oauthbearer.OAuthBearerLoginModule required \\
  unsecuredLoginStringClaim_sub="broker";
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS;User:tactful;User:CN=tactful
"""
