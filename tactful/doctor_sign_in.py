"""The check of `tactful doctor` that the company's OpenID provider answers, and publishes keys that sign."""

from services.deployment_settings import DeploymentSettings
from services.kit.errors import TactfulError
from services.kit.http.oidc.id_token import usable_keys
from services.kit.http.oidc.identity_provider import IdentityProvider, OidcClient
from services.kit.http.outbound import OutboundGuard, parse_networks
from services.kit.runtime.clock import SystemClock
from tactful.doctor_checks import CheckState, DoctorFinding

CHECK = "sign-in"
_MEND = "correct TACTFUL_OIDC__ISSUER, TACTFUL_OIDC__CA_FILE or TACTFUL_OUTBOUND__NETWORKS (docs/access.md)"


async def check_sign_in(settings: DeploymentSettings, issuer: str) -> DoctorFinding:
    """Whether people can sign in, as far as can be seen without one."""
    oidc = settings.oidc
    client = OidcClient(issuer, oidc.client_id, oidc.client_secret, oidc.ca_file)
    guard = OutboundGuard(parse_networks(settings.outbound.networks))
    provider = IdentityProvider(client, guard, SystemClock())
    try:
        await provider.fetch_metadata()
        keys = usable_keys(await provider.fetch_keys())
    except TactfulError as error:
        return DoctorFinding(CHECK, CheckState.RED, error.detail, _MEND)
    if not keys:
        detail = f"{issuer} publishes no key that signs by an algorithm that is taken here"
        return DoctorFinding(CHECK, CheckState.RED, detail, "let the provider sign ID tokens with RS256 or ES256")
    roles = ", ".join(dict.fromkeys(role.value for role in oidc.role_mapping().values()))
    found = f"{issuer} answers, with {keys} signing keys; roles: {roles}"
    if oidc.key_sign_in:
        return DoctorFinding(CHECK, CheckState.GREEN, f"{found}; keys open the console, too")
    return DoctorFinding(CHECK, CheckState.GREEN, f"{found}; keys do not open the console")
