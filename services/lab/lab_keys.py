"""The keys of a lab: what its providers want to be shown, and what they sign receipts with.

All are derived from one secret, which the first start writes into the lab's directory, for its owner alone. So Tactful
and the lab agree after a restart, and nobody else's receipts fit.
"""

import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

SECRET_FILE: Final = "secret"  # noqa: S105 - the name of a file
MIN_SECRET: Final = 32
"""Characters."""
_P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class LabSecretUnusable(Exception):
    """The file with the secret cannot be written or read; the text says which, and what to do."""


class LabKeys:
    """Keys by name, always the same for the same secret."""

    def __init__(self, secret: str) -> None:
        """Raises ValueError for a secret that is too short."""
        if len(secret) < MIN_SECRET:
            raise ValueError(f"the secret of a lab has at least {MIN_SECRET} characters")
        self._secret = secret.encode()

    def derive(self, name: str) -> bytes:
        """32 bytes."""
        return hmac.digest(self._secret, name.encode(), "sha256")

    def derive_text(self, name: str) -> str:
        """A key of 32 letters and digits."""
        return self.derive(name).hex()[:32]

    def derive_signer(self, name: str) -> ec.EllipticCurvePrivateKey:
        """A private key on the curve P-256."""
        return ec.derive_private_key(int.from_bytes(self.derive(name)) % (_P256_ORDER - 1) + 1, ec.SECP256R1())

    def is_key(self, name: str, given: str) -> bool:
        """Whether a text is this key; takes the same time for every text of its length."""
        return hmac.compare_digest(self.derive_text(name).encode(), given.encode("utf-8", "replace"))


def load_or_create_keys(directory: Path) -> LabKeys:
    """The keys of a lab's directory, which is created if it does not exist. Raises LabSecretUnusable."""
    path = directory / SECRET_FILE
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _create_secret(path)
        return LabKeys(path.read_text("utf-8").strip())
    except OSError as error:
        raise LabSecretUnusable(f"{path} cannot be used ({error.strerror}): choose another --data-dir") from None
    except ValueError:
        raise LabSecretUnusable(f"{path} holds no secret of a lab: delete it, and a new one is made") from None


def _create_secret(path: Path) -> None:
    """Writes a new secret unless there is one. Of two processes that do it at once, the first one counts for both."""
    if path.exists():
        return
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(48) + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
