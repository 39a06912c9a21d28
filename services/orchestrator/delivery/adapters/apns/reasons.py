"""What APNs says when it refuses a message, as data."""

from typing import Final

from services.orchestrator.delivery.adapters.mail_api import COMMON_MEANINGS, AnswerMeaning

EXPIRED_TOKEN: Final = "ExpiredProviderToken"  # noqa: S105  # a reason
DOUBTFUL: Final = frozenset({"BadDeviceToken", "DeviceTokenNotForTopic"})
"""Said of a wrong token, and of every token where the environment or the topic is wrong."""

MEANINGS: Final = (
    AnswerMeaning(400, 400, "BadDeviceToken", "rejected", "address"),
    AnswerMeaning(400, 400, "DeviceTokenNotForTopic", "rejected", "address"),
    AnswerMeaning(400, 400, "MissingDeviceToken", "rejected", "address"),
    AnswerMeaning(410, 410, "Unregistered", "rejected", "address"),
    AnswerMeaning(410, 410, "ExpiredToken", "rejected", "address"),
    AnswerMeaning(400, 400, "BadTopic", "retry", "account"),
    AnswerMeaning(400, 400, "MissingTopic", "retry", "account"),
    AnswerMeaning(400, 400, "TopicDisallowed", "retry", "account"),
    AnswerMeaning(400, 400, "IdleTimeout", "retry"),
    AnswerMeaning(403, 403, EXPIRED_TOKEN, "retry", None, 1.0),  # another token is made
    AnswerMeaning(403, 403, "InvalidProviderToken", "retry", "account"),
    AnswerMeaning(403, 403, "MissingProviderToken", "retry", "account"),
    AnswerMeaning(403, 403, "BadCertificate", "retry", "account"),
    AnswerMeaning(403, 403, "BadCertificateEnvironment", "retry", "account"),
    AnswerMeaning(403, 403, "Forbidden", "retry", "account"),
    AnswerMeaning(413, 413, "PayloadTooLarge", "rejected", "content"),
    AnswerMeaning(429, 429, "TooManyRequests", "retry", "throttle", 60.0),  # for this device
    AnswerMeaning(429, 429, "TooManyProviderTokenUpdates", "retry", "throttle", 1200.0),
    AnswerMeaning(500, 500, "InternalServerError", "unknown"),
    AnswerMeaning(503, 503, "ServiceUnavailable", "unknown"),
    AnswerMeaning(503, 503, "Shutdown", "unknown"),
    *COMMON_MEANINGS,  # other reasons with 400 are about the content: BadCollapseId, BadExpirationDate, PayloadEmpty
)
