"""The health check of a container: whether the service that listens on this port of the same machine is ready.

`python -m services.kit.runtime.health_check 8000`; exit code 0 if it is. It imports nothing but the standard library,
because it runs every few seconds. Whether the service serves https it finds out by asking; the certificate is not
checked, because it is for the host that others call, and nobody is between.
"""

import ssl
import sys
import urllib.error
import urllib.request

TIMEOUT = 2.0
"""Seconds."""


def main(arguments: list[str]) -> int:
    """Returns the exit code."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    for scheme, tls in (("http", None), ("https", unverified)):
        try:
            urllib.request.urlopen(f"{scheme}://127.0.0.1:{arguments[0]}/readyz", timeout=TIMEOUT, context=tls)  # noqa: S310
            return 0
        except urllib.error.HTTPError as error:
            print(f"HTTP {error.code}", file=sys.stderr)  # noqa: T201 - for `docker inspect`
            return 1
        except OSError as error:
            reason = error
    print(reason, file=sys.stderr)  # noqa: T201
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
