"""Certificates for tests of TLS: authorities, and what they sign, made by `openssl`, which every Debian has."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """A certificate and its private key, as PEM files. `both`: one file with the two of them."""

    certificate: Path
    key: Path
    both: Path


class Authority:
    """An authority of its own, which signs certificates for an hour's tests."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self.file, self._key = directory / f"{name}.pem", directory / f"{name}.key"
        _openssl(
            *("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"),
            *("-subj", f"/CN=Test authority {name}", "-keyout", self._key, "-out", self.file),
            *("-addext", "keyUsage=critical,keyCertSign"),
        )

    def sign(self, name: str, host: str = "IP:127.0.0.1") -> Certificate:
        """A certificate with this common name, for a host such as `IP:127.0.0.1` or `DNS:kafka`."""
        made = Certificate(*(self._directory / f"{name}.{ending}" for ending in ("pem", "key", "both.pem")))
        request, extensions = self._directory / f"{name}.csr", self._directory / f"{name}.ext"
        extensions.write_text(f"subjectAltName={host}\n")
        _openssl(
            *("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"),
            *("-subj", f"/CN={name}", "-keyout", made.key, "-out", request),
        )
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-days", "2"),
            *("-extfile", extensions, "-out", made.certificate),
        )
        made.both.write_text(made.key.read_text() + made.certificate.read_text())
        return made


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
