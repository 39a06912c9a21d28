"""HTTP route of erasures: `/v1/erasures/{customer}` tells how far the erasure of a customer is, table by table, and
what remains: the proof of the erasure.
"""

from fastapi import APIRouter

from schemas.fields import CustomerId
from services.kit.errors import NotFound
from services.kit.http.auth import Principal, requires
from services.kit.http.openapi import answers
from services.orchestrator.erasure.proof import ErasureFields, ErasureProofs

NOT_ERASED = "no service has heard that this customer was erased: send `tactful.customer.erased`"


def erasure_routes(proofs: ErasureProofs) -> APIRouter:
    """The routes of `/v1/erasures`."""
    routes = APIRouter(prefix="/v1/erasures", tags=["erasures"])

    @routes.get(
        "/{customer}",
        summary="How far the erasure of a customer is, in each service and table",
        **answers({200: ErasureFields}, NotFound),
    )
    async def get_erasure(customer: CustomerId, _: Principal = requires("customers:erase")) -> ErasureFields:
        proof = await proofs.load(customer)
        if proof is None:
            raise NotFound(NOT_ERASED)
        return proof

    return routes
