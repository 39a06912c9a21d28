"""Messages that are hard to show, on every channel: a long word, text from right to left, optional fields left out,
families of emoji.

`seed_previews` registers a campaign for each of them, which sends on every channel at once, so that the sandbox inbox
shows them on one page.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from schemas.channel_registry import CHANNEL_REGISTRY
from services.orchestrator.delivery.channels.registry import CHANNELS_BY_ID
from tests.support.document_builders import TOPICS
from tests.support.shop_day import ShopDay

LONG_WORD: Final = "Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft"
ARABIC: Final = "مرحبًا ليلى، طلبك رقم 4821 في الطريق إليك ويصل غدًا."
HEBREW: Final = "שלום! ההזמנה שלך 4821 בדרך."
FAMILY: Final = "👨‍👩‍👧‍👦"
FLAG: Final = "🏴󠁧󠁢󠁳󠁣󠁴󠁿"
LINK: Final = "https://shop.example/orders/4821"
TEXTS: Final[Mapping[str, tuple[str, str]]] = {
    "german": (
        LONG_WORD,
        f"Die {LONG_WORD} teilt mit, dass Ihre {LONG_WORD}-Bestellung unterwegs ist: {LINK}?{'q' * 120}",
    ),
    "rtl": (ARABIC, f"{ARABIC} {HEBREW} {LINK}"),
    "plain": ("Your order", "It is on its way."),
    "emoji": (f"{FAMILY} Family day {FLAG}", f"{FAMILY * 12} {FLAG} Bring everybody {FAMILY}"),
}
"""A title and a text for each kind. `plain` has no optional field at all."""
UNPRINTABLE: Final = ("rtl", "emoji")
"""Kinds that the fonts of letters cannot show: such a campaign is refused."""
SANDBOX: Final = {f"TACTFUL_ADAPTERS__{id.upper()}": "sandbox" for id in CHANNEL_REGISTRY.declarations}
"""The settings of an installation in which every channel goes to the sandbox."""
NAMES: Final[Mapping[str, str]] = {"german": LONG_WORD, "rtl": "ليلى الحداد", "plain": "", "emoji": f"Kim {FAMILY}"}


def seed_previews(scene: ShopDay) -> None:
    """A policy without rules, campaigns, one customer for each kind, and an event of each."""
    version = scene.call("PUT", "/v1/policy", {"zone": "Etc/UTC", "topics": TOPICS})["version"]
    _lead(scene, f"/v1/policy/versions/{version}")
    for kind in TEXTS:
        document = _campaign(kind)
        scene.call("PUT", f"/v1/campaigns/{document['key']}", document)
        _lead(scene, f"/v1/campaigns/{document['key']}")
        scene.call("PUT", f"/v1/preferences/{kind}", _customer(kind))
        scene.event(f"shop.preview.{kind}", kind, {"order": "4821"})


def channels(kind: str) -> list[str]:
    """The channels that can show a kind."""
    return [id for id in CHANNEL_REGISTRY.declarations if id != "letter" or kind not in UNPRINTABLE]


def _lead(scene: ShopDay, path: str) -> None:
    scene.call("POST", f"{path}/submit")
    scene.call("POST", f"{path}/approve", by="reviewer")
    scene.call("POST", f"{path}/activate")


def _campaign(kind: str) -> dict[str, Any]:
    return {
        "key": f"preview-{kind}",
        "name": TEXTS[kind][0],
        "owner": "growth",
        "class": "transactional",
        "intent": "inform",
        "trigger": {"event": f"shop.preview.{kind}"},
        "channels": channels(kind),
        "strategy": "all",
        "default_locale": "en",
        "content": {channel: {"en": content(kind, channel)} for channel in channels(kind)},
    }


def _customer(kind: str) -> dict[str, Any]:
    samples = {id: channel.sample_address for id, channel in CHANNELS_BY_ID.items()}
    needed = [id for id, each in CHANNEL_REGISTRY.declarations.items() if each.address_kind.name != "none"]
    addresses = [{"channel": id, "address": samples[id], "verified": True} for id in needed]
    return {
        "customer": kind,
        "locale": "en",
        "zone": "Etc/UTC",
        "traits": {"name": NAMES[kind]} if NAMES[kind] else {},
        "addresses": addresses,
        "consent": [],
    }


def content(kind: str, channel: str) -> dict[str, str]:
    """What a channel says; with all optional fields, but for `plain`."""
    title, text = TEXTS[kind]
    fields = CHANNELS_BY_ID[channel].fields.model_fields
    paragraphs = f"<h1>{title}</h1><p>{text}</p><table><tr><td>{title}</td><td>4821</td></tr></table>"
    known = {"subject": title, "title": title, "body": text, "text": text, "html": paragraphs}
    if channel == "whatsapp" and kind != "plain":
        known = {"template": "order_shipped", "language": "de", "body_text": f"{text} {{{{1}}}}"}
        known |= {"body_parameters": json.dumps([title]), "header_text": title[:60], "footer_text": title[:60]}
    if kind == "rtl":
        known["html"] = f'<div dir="rtl">{paragraphs}</div>'
    if channel == "letter":
        known["html"] = f"<h2>{title}</h2><p>{text}</p>"
    found = {name: value for name, value in known.items() if name in fields}
    if kind == "plain":
        either = {"email": {"html"}, "whatsapp": {"text"}}.get(channel, set())
        needed = {name for name, field in fields.items() if field.is_required()} | either
        return {name: value for name, value in found.items() if name in needed}
    if channel in ("chat", "social"):
        facts = json.dumps({title[:40]: text[:100], "Order": "4821"})
        found |= {"button": title[:40], "link": LINK, "second_button": title[:40], "second_link": LINK}
        found |= {"facts": facts, "severity": "warning", "image": "https://shop.example/a.png", "image_text": title}
        found = {name: value for name, value in found.items() if name in fields}
    if channel in ("push", "web_push", "in_app"):
        found["link"] = LINK
    if channel == "email":
        found |= {"preheader": text[:200], "text": text}
    if channel == "letter":
        found |= {"sender": f"{title[:40]}, Weg 1, 12345 Ort", "reference": title[:40]}
    return found
