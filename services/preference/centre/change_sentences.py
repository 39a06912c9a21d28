"""What exactly has changed, as sentences for the customer. Pure.

They are made from the preferences before and after, never from what was asked for: so they say what is so.
"""

from collections.abc import Iterable, Iterator, Sequence
from zoneinfo import ZoneInfo

from schemas.facts import OptOut, Preference
from schemas.times import Instant
from schemas.vocabulary import CHANNELS, Class
from schemas.zones import find_zone_info
from services.preference.centre.choices import Cell, is_on, own_channels, topic_channels
from services.preference.centre.languages import PageLanguage
from services.preference.centre.topic_texts import ShownTopic

_WHOLE = OptOut(cls=Class.MARKETING.value)
_SERVICE_OFF = (OptOut(cls=Class.SERVICE.value), OptOut(all=True))


def describe_changes(
    before: Preference, after: Preference, topics: Sequence[ShownTopic], language: PageLanguage, now: Instant
) -> list[str]:
    """One sentence for each thing that is different for the customer; empty where nothing is."""
    return [
        *_cells(before, after, topics, language, now),
        *_service(before, after, language),
        *_frequency(before, after, language),
        *_quiet_hours(before, after, language),
        *_settings(before, after, language),
        *_pause(before, after, language, now),
    ]


def describe_open_questions(cells: Iterable[Cell], topics: Sequence[ShownTopic], language: PageLanguage) -> list[str]:
    """What comes once the customer has confirmed it by a message (double opt-in), a sentence a topic."""
    asked = set(cells)
    return [
        language.text(
            "To get “%(topic)s” by %(channels)s, please use the link in the message that we are sending you.",
            topic=shown.name,
            channels=language.join([language.by(each) for each in CHANNELS if (shown.topic.key, each) in asked]),
        )
        for shown in topics
        if any(cell.topic == shown.topic.key for cell in asked)
    ]


def zone_of(preference: Preference) -> ZoneInfo | None:
    """The customer's time zone, if it is known."""
    return None if preference.zone is None else find_zone_info(preference.zone)


def _cells(
    before: Preference, after: Preference, topics: Sequence[ShownTopic], language: PageLanguage, now: Instant
) -> Iterator[str]:
    if _WHOLE in after.opt_outs and _WHOLE not in before.opt_outs:
        yield language.text("From now on you get no advertising from us.")
        topics = [shown for shown in topics if shown.topic.cls != Class.MARKETING]
    own = own_channels(after)
    for shown in topics:
        if shown.topic.required:
            continue
        off, on = list[str](), list[str]()
        for channel in topic_channels(shown.topic, own):
            was, is_now = (is_on(each, shown.topic, channel, now) for each in (before, after))
            if was != is_now:
                (on if is_now else off).append(language.by(channel))
        if off:
            yield language.text(
                "From now on you get nothing about “%(topic)s” by %(channels)s.",
                topic=shown.name,
                channels=language.join(off),
            )
        if on:
            yield language.text(
                "From now on you get “%(topic)s” by %(channels)s.", topic=shown.name, channels=language.join(on)
            )
    yield from _required(before, after, topics, language)


def _required(
    before: Preference, after: Preference, topics: Sequence[ShownTopic], language: PageLanguage
) -> Iterator[str]:
    """What always comes is stopped by an opt-out of a whole channel alone, and comes back when that is narrowed."""
    required = [shown.topic for shown in topics if shown.topic.required]
    back = [
        language.by(channel)
        for channel in own_channels(after)
        if is_closed(before, channel) > is_closed(after, channel)
    ]
    if required and back:
        yield language.text("What you always get comes by %(channels)s again too.", channels=language.join(back))


def is_closed(preference: Preference, channel: str) -> bool:
    """Whether the customer has switched off a whole channel."""
    return OptOut(channel=channel) in preference.opt_outs


def _service(before: Preference, after: Preference, language: PageLanguage) -> Iterator[str]:
    was, is_now = (service_is_off(each) for each in (before, after))
    if is_now and not was:
        yield language.text("From now on you get no service messages.")
    elif was and not is_now:
        yield language.text("From now on you get service messages again.")


def service_is_off(preference: Preference) -> bool:
    """Whether the customer has switched off all service messages."""
    return any(entry in preference.opt_outs for entry in _SERVICE_OFF)


def _frequency(before: Preference, after: Preference, language: PageLanguage) -> Iterator[str]:
    if before.frequency == after.frequency:
        return
    if after.frequency is None:
        yield language.text("Advertising comes as it comes, without a limit of yours.")
    else:
        yield own_limit(after, language)


def own_limit(preference: Preference, language: PageLanguage) -> str:
    """The customer's own limit, in words."""
    limit = preference.frequency
    assert limit is not None
    number = limit.limit
    if limit.per == "day":
        return language.plural(
            "At most one message of advertising a day.", "At most %(num)d messages of advertising a day.", number
        )
    if limit.per == "week":
        return language.plural(
            "At most one message of advertising a week.", "At most %(num)d messages of advertising a week.", number
        )
    return language.plural(
        "At most one message of advertising a month.", "At most %(num)d messages of advertising a month.", number
    )


def _quiet_hours(before: Preference, after: Preference, language: PageLanguage) -> Iterator[str]:
    if before.quiet_hours == after.quiet_hours:
        return
    if not after.quiet_hours:
        yield language.text("You have no quiet hours any more.")
    else:
        yield language.text("Your quiet hours: %(hours)s.", hours=quiet_words(after, language))


def quiet_words(preference: Preference, language: PageLanguage) -> str:
    """The customer's quiet hours, such as `21:00–08:00`, with the days where they are not all."""
    spans = []
    for hours in preference.quiet_hours:
        span = f"{language.wall_time(hours.start)}–{language.wall_time(hours.end)}"
        spans.append(span if len(hours.days) == 7 else f"{language.days(hours.days)} {span}")
    return language.join(spans)


def _settings(before: Preference, after: Preference, language: PageLanguage) -> Iterator[str]:
    if before.zone != after.zone:
        if after.zone is None:
            yield language.text("We no longer know your time zone.")
        else:
            yield language.text("Your time zone is: %(zone)s.", zone=language.zone_label(after.zone))
    if before.locale != after.locale:
        if after.locale is None:
            yield language.text("We no longer know your language.")
        else:
            yield language.text("We write to you in: %(language)s.", language=language.language_name(after.locale))
    if before.channel_order != after.channel_order:
        if not after.channel_order:
            yield language.text("No way of writing to you comes first any more.")
        else:
            names = [language.channel(channel) for channel in after.channel_order]
            yield language.text("Where we can choose, we write in this order: %(order)s.", order=", ".join(names))


def _pause(before: Preference, after: Preference, language: PageLanguage, now: Instant) -> Iterator[str]:
    if before.paused_until == after.paused_until:
        return
    if after.paused_until is not None and after.paused_until > now:
        day = language.weekday_date(after.paused_until, zone_of(after))
        yield language.text("Until %(day)s you get nothing but what you need. Then it goes on as before.", day=day)
    elif before.paused_until is not None and before.paused_until > now:
        yield language.text("The pause is over.")


def closed_channels(preference: Preference) -> list[str]:
    """Channels of the customer on which not even what is required comes."""
    return [channel for channel in own_channels(preference) if is_closed(preference, channel)]
