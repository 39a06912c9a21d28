"""Internal routes by which the suppression service asks, before an entry is removed: are these two people, and has the
customer consented anew?
"""

from fastapi import APIRouter, Request, Response

from schemas.facts import Consent, Preference
from schemas.four_eyes import Actor, relate
from schemas.suppression_list_api import (
    CONSENT_PATH,
    TWO_PEOPLE_PATH,
    KeyNames,
    NewConsentQuestion,
    YesOrNo,
)
from schemas.times import Instant
from services.clients.address_hashes import AddressHasher
from services.kit.db.database import Database
from services.kit.http import internal_api
from services.kit.http.auth import service_only
from services.kit.runtime.clock import Clock
from services.orchestrator.access.store import list_key_origins
from services.orchestrator.campaigns.snapshot import CatalogueSnapshot
from services.orchestrator.decisions.facts_reader import FactsReader
from services.orchestrator.explain.timeline import load_facts


def removal_check_routes(
    database: Database, snapshot: CatalogueSnapshot, facts_reader: FactsReader, hasher: AddressHasher, clock: Clock
) -> APIRouter:
    """Builds the routes. `hasher`: under the deployment's address key."""
    routes = APIRouter(tags=["internal"], include_in_schema=False, dependencies=[service_only()])

    @routes.post(TWO_PEOPLE_PATH)
    async def are_two_people(request: Request) -> Response:
        names = await internal_api.read_request(request, KeyNames)
        async with database.read() as tx:
            keys = await list_key_origins(tx)
        return internal_api.respond(YesOrNo(yes=relate(Actor(names.first), Actor(names.second), keys) is None))

    @routes.post(CONSENT_PATH)
    async def has_consented(request: Request) -> Response:
        question = await internal_api.read_request(request, NewConsentQuestion)
        facts = await load_facts(database, snapshot, facts_reader, question.customer)
        found = has_address(question, facts.preference, hasher) and any(
            answers_question(question, consent, clock.now()) for consent in facts.preference.consent
        )
        return internal_api.respond(YesOrNo(yes=found))

    return routes


def has_address(question: NewConsentQuestion, preference: Preference, hasher: AddressHasher) -> bool:
    """Whether the customer has the address that is asked about; True where none is."""
    hashes = (hasher.hash_address(each.channel, each.canonical_form) for each in preference.addresses)
    return not question.hashes or any(each in question.hashes for each in hashes)


def answers_question(question: NewConsentQuestion, consent: Consent, now: Instant) -> bool:
    """Whether a consent is one that is asked about: granted later than the question says, and in force."""
    in_force = consent.status == "granted" and (consent.expires is None or now < consent.expires)
    of_topic = question.topic is None or consent.topic in ("*", question.topic)
    return in_force and question.since < consent.at <= now and consent.channel == question.channel and of_topic
