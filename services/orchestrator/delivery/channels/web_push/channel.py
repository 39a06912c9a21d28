"""Web push: a notification of a web site, shown by the customer's browser.

A push service takes at most 4096 encrypted bytes, which leaves 3993 for what they say (RFC 8291, section 4). Around the
texts, link and data of a message stand its id, the collapse key and the names of the fields: less than 293 bytes.
"""

from typing import Final

from services.orchestrator.delivery.channels.notification import NotificationChannel, VisibleLength

MAX_PAYLOAD: Final = 3700

VISIBLE_LENGTHS: Final = (
    VisibleLength("browsers", "title", 50),
    VisibleLength("browsers", "body", 120),
)
"""What all usual browsers and systems show (from memory); some show more."""

CHANNEL: Final = NotificationChannel(
    id="web_push",
    sample_address=(
        '{"endpoint":"https://push.example.com/send/c-1","keys":{"p256dh":"'
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
        '","auth":"BTBZMqHH6r4Tts7J_aSIgg"}}'
    ),
    max_title=100,
    max_body=1000,
    max_payload=MAX_PAYLOAD,
    visible_lengths=VISIBLE_LENGTHS,
    opens_apps=False,
)
