"""What a submitted form asks to change beside the cells: how often, quiet hours, zone, language, order. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from schemas.facts import FrequencyLimit, Preference
from schemas.vocabulary import DAYS
from schemas.zone_spellings import parse_zone
from services.preference.centre.form import CentreForm

KEEP: Final = "keep"
"""The choice that leaves as it is what the page cannot show as choices."""
FREQUENCIES: Final[Mapping[str, FrequencyLimit | None]] = {
    "all": None,
    "week": FrequencyLimit(1, "week"),
    "month": FrequencyLimit(1, "month"),
}


class FormFault(NamedTuple):
    """What is wrong with a field, by the name of its element."""

    field: str
    code: str


class Wishes(NamedTuple):
    """Fields of the customer's document to set, and what is wrong with others. With a fault nothing is saved."""

    fields: dict[str, Any]
    faults: list[FormFault]


def read_wishes(form: CentreForm, languages: Collection[str], channels: Collection[str], before: Preference) -> Wishes:
    """What the form asks for. `languages`: the tags that the page has offered; `channels`: of the customer."""
    fields: dict[str, Any] = {}
    faults: list[FormFault] = []
    _read_frequency(form, fields, faults)
    _read_quiet_hours(form, fields, faults)
    _read_zone(form, fields, faults)
    if "language" in form.changed:
        if (chosen := form.values["language"]) and chosen not in languages and chosen != before.locale:
            faults.append(FormFault("language", "unknown"))
        else:
            fields["locale"] = chosen or None
    _read_order(form, channels, before, fields, faults)
    return Wishes(fields, faults)


def frequency_choice(limit: FrequencyLimit | None) -> str:
    """The name of the choice that a limit is; KEEP for one that the page does not offer."""
    return next((name for name, offered in FREQUENCIES.items() if offered == limit), KEEP)


def quiet_choice(preference: Preference) -> tuple[str, str]:
    """From when until when it is quiet, as `HH:MM`; empty where it never is, KEEP for several spans or certain days."""
    match preference.quiet_hours:
        case ():
            return "", ""
        case (only,) if set(only.days) == set(DAYS):
            return write_wall_time(only.start), write_wall_time(only.end)
    return KEEP, KEEP


def write_wall_time(minutes: int) -> str:
    """Minutes since midnight as `HH:MM`."""
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def _read_frequency(form: CentreForm, fields: dict[str, Any], faults: list[FormFault]) -> None:
    chosen = form.values.get("frequency", KEEP)
    if "frequency" not in form.changed or chosen == KEEP:
        return
    if chosen not in FREQUENCIES:
        faults.append(FormFault("frequency", "unknown"))
        return
    limit = FREQUENCIES[chosen]
    fields["frequency"] = None if limit is None else {"limit": limit.limit, "per": limit.per}


def _read_quiet_hours(form: CentreForm, fields: dict[str, Any], faults: list[FormFault]) -> None:
    if not form.changed & {"quiet_from", "quiet_to"}:
        return
    start, end = form.values.get("quiet_from", ""), form.values.get("quiet_to", "")
    if not start and not end:
        fields["quiet_hours"] = []
    elif not start or start == KEEP:
        faults.append(FormFault("quiet_from", "half"))
    elif not end or end == KEEP:
        faults.append(FormFault("quiet_to", "half"))
    elif start == end:
        faults.append(FormFault("quiet_to", "same"))
    elif not (_is_wall_time(start) and _is_wall_time(end)):
        faults.append(FormFault("quiet_from", "unknown"))
    else:
        fields["quiet_hours"] = [{"days": list(DAYS), "from": start, "to": end}]


def _is_wall_time(text: str) -> bool:
    return re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", text) is not None


def _read_zone(form: CentreForm, fields: dict[str, Any], faults: list[FormFault]) -> None:
    if "zone" not in form.changed:
        return
    chosen = form.values["zone"]
    try:
        fields["zone"] = parse_zone(chosen) if chosen else None
    except ValueError:
        faults.append(FormFault("zone", "unknown"))


def _read_order(
    form: CentreForm, channels: Collection[str], before: Preference, fields: dict[str, Any], faults: list[FormFault]
) -> None:
    chosen = {
        place: channel
        for place, (channel, shown) in enumerate(zip(form.order, form.shown_order, strict=True))
        if channel != shown
    }
    if not chosen:
        return
    named = [channel for channel in chosen.values() if channel]
    if any(channel not in channels for channel in named):
        faults.append(FormFault("order_1", "unknown"))
    elif len(set(named)) < len(named):
        second = next(place for place, channel in chosen.items() if named.count(channel) > 1)
        faults.append(FormFault(f"order_{second + 1}", "twice"))
    else:
        dropped = {form.shown_order[place] for place, channel in chosen.items() if not channel}
        order = [channel for channel in before.channel_order if channel not in dropped]
        fields["channel_order"] = _in_new_order(order, chosen, channels)


def _in_new_order(before: Sequence[str], chosen: Mapping[int, str], channels: Collection[str]) -> list[str]:
    """Chosen channels at their places; the others follow one another as before in the places that are left.

    Channels on which the customer has no address come last.
    """
    own = iter([channel for channel in before if channel in channels and channel not in chosen.values()])
    placed = [chosen[place] if place in chosen else next(own, "") for place in range(max(chosen) + 1)]
    foreign = [channel for channel in before if channel not in channels]
    return [channel for channel in placed if channel] + list(own) + foreign
