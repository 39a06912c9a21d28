"""Push: a notification of the company's app on a phone.

4096 bytes is the maximum payload that APNs and FCM document. 100 and 1000 characters are our own limits, far above what
devices show, so that the payload always has room for the link and the providers' keys.
"""

from typing import Final

from services.orchestrator.delivery.channels.notification import NotificationChannel, VisibleLength

VISIBLE_LENGTHS: Final = (
    VisibleLength("iOS", "title", 40),
    VisibleLength("Android", "title", 50),
    VisibleLength("iOS", "body", 180),
    VisibleLength("Android", "body", 450),
)
"""The most that is usual (from memory); it depends on the device, its settings and the width of the letters. iOS shows
one line of the title and four of the text; Android shows so much of the text once it is opened, and a line before."""

CHANNEL: Final = NotificationChannel(
    id="push",
    sample_address="token-c-1",
    max_title=100,
    max_body=1000,
    max_payload=4096,
    visible_lengths=VISIBLE_LENGTHS,
    opens_apps=True,
)
