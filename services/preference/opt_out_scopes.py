"""Which attempts an opt-out concerns: the scopes that the opt-out barrier waits for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from schemas.facts import Consent, OptOut, Preference
from schemas.service_api import AttemptScope
from schemas.times import Instant
from schemas.vocabulary import Class

OPT_OUT_CLASSES = (Class.SERVICE.value, Class.MARKETING.value)
"""The classes that a customer can switch off."""


def opt_out_scope(customer: str, entry: OptOut) -> AttemptScope:
    """The attempts that one entry of `opt_outs` concerns."""
    return AttemptScope(
        customer=customer,
        channels=None if entry.channel is None else (entry.channel,),
        topics=None if entry.topic is None else (entry.topic,),
        classes=OPT_OUT_CLASSES if entry.cls is None else (entry.cls,),
    )


def customer_scope(customer: str) -> AttemptScope:
    """Every attempt that any opt-out of this customer may concern."""
    return AttemptScope(customer=customer, classes=OPT_OUT_CLASSES)


def edit_scopes(
    before: Preference, after: Preference, edited_fields: Mapping[str, object], now: Instant
) -> list[AttemptScope]:
    """The attempts that an edit forbids; empty when it opts out of nothing.

    Opt-outs that were there before count too when the edit sends them again, so that a client who got `enforced: false`
    can repeat the request and learn whether it is enforced by now.
    """
    scopes: list[AttemptScope] = []
    if "opt_outs" in edited_fields:
        scopes.extend(opt_out_scope(after.customer, entry) for entry in after.opt_outs)
    if "paused_until" in edited_fields and after.paused_until is not None and after.paused_until > now:
        scopes.append(opt_out_scope(after.customer, OptOut(all=True)))
    if "consent" in edited_fields:
        not_granted = [record for record in after.consent if record.status != "granted" or _is_expired(record, now)]
        remaining = {(record.channel, record.topic) for record in after.consent}
        removed = [record for record in before.consent if (record.channel, record.topic) not in remaining]
        scopes.extend(_consent_scope(after.customer, record) for record in [*not_granted, *removed])
    return scopes


def _consent_scope(customer: str, record: Consent) -> AttemptScope:
    topics = None if record.topic == "*" else (record.topic,)
    return AttemptScope(customer=customer, channels=(record.channel,), topics=topics, classes=(Class.MARKETING.value,))


def _is_expired(record: Consent, now: Instant) -> bool:
    return record.expires is not None and record.expires <= now
