"""Random customers, and what speaks against speaking to them."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.model.instants import DAY, HOUR, MINUTE, SECOND, instant, written
from tests.model.people import Document
from tests.model.rulebooks import CHANNELS, CLASSES, TOPICS, rarely, scopes, windows

COUNTRIES = (None, "PT", "CL", "XK", "DE")
Draw = st.DrawFn


@st.composite
def times(draw: Draw, start: int, hours: int = 72) -> str:
    """An instant after `start`, mostly on the half hour."""
    off = draw(st.sampled_from([0] * 8 + [1, -1, SECOND, -SECOND, 10 * MINUTE]))
    return str(written(start + draw(st.integers(0, 2 * hours)) * HOUR // 2 + off))


@st.composite
def customers(draw: Draw, name: str, zones: list[str], start: int) -> Document:
    """A customer whom most messages may reach."""
    return {
        "customer": name,
        "locale": draw(st.sampled_from(["en", "de-DE"])),
        "country": draw(st.sampled_from(COUNTRIES)),
        "zone": draw(st.sampled_from([*zones, None])),
        "traits": draw(traits()),
        "addresses": draw(addresses(name)),
        "consent": draw(consents(start)),
        "opt_outs": [draw(opt_outs())] if rarely(draw, 8) else [],
        "paused_until": draw(times(start)) if rarely(draw, 8) else None,
        "channel_order": draw(orders()),
        "frequency": draw(wishes()),
        "quiet_hours": [draw(windows())] if rarely(draw, 5) else [],
    }


def orders() -> st.SearchStrategy[list[str]]:
    """Some channels in the customer's own order."""
    return st.lists(st.sampled_from(CHANNELS), max_size=2, unique=True)


def wishes() -> st.SearchStrategy[Document | None]:
    """The customer's own cap, or none."""
    periods = st.sampled_from(["day", "week", "month"])
    return st.one_of(st.none(), st.none(), st.fixed_dictionaries({"limit": st.integers(1, 2), "per": periods}))


def traits() -> st.SearchStrategy[Document]:
    """Traits that conditions and holds look at."""
    values = st.sampled_from([True, False, 1, 1.0, "1", 3, None])
    return st.dictionaries(st.sampled_from(["vip", "tier"]), values, max_size=2)


@st.composite
def addresses(draw: Draw, name: str) -> list[Document]:
    """Mostly one verified address a channel, at times two on e-mail or one that is not verified."""
    every = [("email", f"{name}@example.org"), ("email", f"{name}@work.example"), ("push", f"token-{name}")]
    every.append(("sms", "+4915112345678"))
    odd = rarely(draw, 12)
    kept = draw(st.lists(st.sampled_from(every), min_size=2, max_size=4, unique=True)) if odd else every
    return [{"channel": name, "address": text, "verified": not (odd and draw(st.booleans()))} for name, text in kept]


PROOF = {"source": "checkout", "wording": "newsletter-3"}


@st.composite
def consents(draw: Draw, start: int) -> list[Document]:
    """Consent for everything long ago, and now and then a later word."""
    records: list[Document] = []
    for channel in CHANNELS:
        if not rarely(draw, 15):
            granted = {"channel": channel, "topic": "*", "status": "granted", "at": written(start - 9 * DAY)}
            records.append(granted | PROOF)
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 1, 2]))):
        topic = draw(st.sampled_from([*TOPICS, "*"]))
        status = draw(st.sampled_from(["granted", "withdrawn"]))
        record = {"channel": draw(st.sampled_from(CHANNELS)), "topic": topic, "status": status}
        record["at"] = at = draw(times(start, 48))
        if not rarely(draw, 5):
            record |= PROOF
        if draw(st.booleans()):
            record["expires"] = str(written(instant(at) + draw(st.sampled_from([HOUR, 12 * HOUR, 2 * DAY]))))
        records.append(record)
    return records


def opt_outs() -> st.SearchStrategy[Document]:
    """One thing switched off."""
    topic, channel = st.sampled_from(TOPICS), st.sampled_from(CHANNELS)
    return st.one_of(
        st.just({"all": True}),
        st.fixed_dictionaries({"class": st.sampled_from(CLASSES)}),
        st.fixed_dictionaries({"topic": topic}),
        st.fixed_dictionaries({"channel": channel}),
        st.fixed_dictionaries({"channel": channel, "topic": topic}),
    )


@st.composite
def entries(draw: Draw, names: list[str], start: int) -> Document:
    """A suppression of a customer or an address."""
    at = draw(times(start, 72))
    scope = draw(
        st.fixed_dictionaries(
            {},
            optional={
                "channel": st.sampled_from(CHANNELS),
                "topic": st.sampled_from(TOPICS),
                "classes": st.lists(st.sampled_from(CLASSES), min_size=1, max_size=2, unique=True),
            },
        )
    )
    name = draw(st.sampled_from(names))
    subject = draw(
        st.sampled_from([{"customer": name}, {"address": f"{name.upper()}@Example.org"}, {"address": f"token-{name}"}])
    )
    length = draw(st.sampled_from([None, HOUR, 12 * HOUR, 2 * DAY]))
    expires = None if length is None else written(instant(at) + length)
    return {**subject, "scope": scope, "reason": "manual", "source": "test", "at": at, "expires": expires}


@st.composite
def stops(draw: Draw, start: int) -> Document:
    """A hold."""
    scope = draw(scopes())
    scope |= draw(
        st.fixed_dictionaries(
            {},
            optional={
                "region": st.sampled_from(["PT", "DE"]),
                "trait": st.dictionaries(st.sampled_from(["vip", "tier"]), st.sampled_from([True, 1, "1"]), min_size=1),
            },
        )
    )
    begin = draw(times(start, 72))
    length = draw(st.sampled_from([None, HOUR, 6 * HOUR, DAY]))
    return {
        "scope": scope,
        "mode": draw(st.sampled_from(["defer"] * 5 + ["drop"])),
        "from": begin,
        "until": None if length is None else written(instant(begin) + length),
        "reason": "test",
        "placed_by": "test",
    }
