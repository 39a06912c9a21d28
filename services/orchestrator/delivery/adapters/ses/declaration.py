"""The adapter `ses`."""

import base64
from typing import Annotated, Final

from pydantic import AfterValidator, StringConstraints

from schemas.adapter_registry import AdapterDeclaration, SettingsCheck
from services.kit.runtime.settings import SecretKey
from services.orchestrator.delivery.adapters.mail_api_settings import MailApiSettings, check_settings

_RSA_KEY: Final = bytes.fromhex("300d06092a864886f70d0101010500")
"""What says in DER that a public key is one of RSA."""


def _check_sns_key(text: str) -> str:
    try:
        key = base64.b64decode(text, validate=True)
    except ValueError:
        key = b""
    if _RSA_KEY not in key[:32]:
        raise ValueError("write an RSA key, one line of base64 (DER, SubjectPublicKeyInfo)")
    return text


Region = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$")]
AccessKeyId = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9]{16,128}$")]
ConfigurationSet = Annotated[str, StringConstraints(pattern="^[A-Za-z0-9_-]{1,64}$")]
TopicArn = Annotated[
    str, StringConstraints(pattern=r"^arn:aws(-[a-z]+)*:sns:[a-z0-9-]{1,30}:[0-9]{12}:[A-Za-z0-9_-]{1,256}(\.fifo)?$")
]
FeedbackAddress = Annotated[str, StringConstraints(pattern=r"^[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,189}$")]
SnsKey = Annotated[str, AfterValidator(_check_sns_key)]


class SesSettings(MailApiSettings):
    """An access key of a region, and how bounces come back.

    `key`: the secret access key. `url`: empty for that of the region. `topic_arn`: the SNS topic that receipts come
    from. `sns_key`: the public key that signs them, in place of the certificates of SNS.
    """

    url: str = ""
    region: Region | None = None
    access_key_id: AccessKeyId | None = None
    session_token: SecretKey | None = None
    configuration_set: ConfigurationSet | None = None
    feedback_address: FeedbackAddress | None = None
    topic_arn: TopicArn | None = None
    sns_key: SnsKey | None = None

    @property
    def endpoint(self) -> str:
        """The URL of the API."""
        domain = "amazonaws.com.cn" if (self.region or "").startswith("cn-") else "amazonaws.com"
        return self.url or f"https://email.{self.region}.{domain}"


def _check_ses(settings: SesSettings) -> SettingsCheck:
    result = check_settings("ses", "key", "access_key_id", "region")(settings)
    if result.remedy is not None:
        return result
    detail = f"ses, at {settings.endpoint}"
    if settings.topic_arn is not None and settings.configuration_set is None:
        return SettingsCheck(f"{detail}; receipts need TACTFUL_SES__CONFIGURATION_SET or notifications with headers")
    return SettingsCheck(detail)


DECLARATION: Final = AdapterDeclaration(
    id="ses",
    order=29,
    summary="",
    channels=frozenset({"email"}),
    sends_mail=True,
    settings=SesSettings,
    key_fields=frozenset({"access_key_id"}),
    sample=(
        "The adapter ses (docs/adapters/ses.md): the region, an access key (ACCESS_KEY_ID, its secret as KEY, and a",
        "SESSION_TOKEN if it is temporary), and a configuration set. For receipts: the ARN of the SNS topic. URL only",
        "for a test server; SNS_KEY only where the certificates of SNS cannot be fetched.",
    ),
    check=_check_ses,
    has_receipts=True,
    receipts_need=("topic_arn",),
)
