"""A private key of RSA that is the same for the same seed, for providers that sign with RSA.

For the lab alone: keys that protect anything are made by `cryptography`, from chance.
"""

import hmac
from collections.abc import Iterator
from functools import lru_cache
from itertools import count
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa

EXPONENT: Final = 65_537
_PRIME_BYTES: Final = 128
_ROUNDS: Final = 8
"""Of the test of Miller and Rabin; for numbers of this size, that are not chosen to deceive it, few are enough."""
_SMALL_PRIMES: Final = tuple(n for n in range(3, 2000, 2) if all(n % d for d in range(3, int(n**0.5) + 1, 2)))


@lru_cache(4)
def derive_rsa_key(seed: bytes) -> rsa.RSAPrivateKey:
    """A key of 2048 bits; takes about a second the first time."""
    primes = _primes(seed)
    p, q = next(primes), next(primes)
    d = rsa.rsa_recover_private_exponent(EXPONENT, p, q)
    public = rsa.RSAPublicNumbers(EXPONENT, p * q)
    return rsa.RSAPrivateNumbers(
        p, q, d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q), public
    ).private_key()


def _primes(seed: bytes) -> Iterator[int]:
    """Primes whose two highest bits are set, so that the product of two has all its bits."""
    for number in count():
        start = int.from_bytes(_stretch(seed, number)) | (3 << (8 * _PRIME_BYTES - 2)) | 1
        for candidate in range(start, start + 20_000, 2):
            if candidate % EXPONENT != 1 and all(candidate % each for each in _SMALL_PRIMES) and _is_prime(candidate):
                yield candidate
                break


def _stretch(seed: bytes, number: int) -> bytes:
    parts = (hmac.digest(seed, f"prime {number} {part}".encode(), "sha256") for part in range(_PRIME_BYTES // 32))
    return b"".join(parts)


def _is_prime(candidate: int) -> bool:
    odd, shifts = candidate - 1, 0
    while odd % 2 == 0:
        odd, shifts = odd // 2, shifts + 1
    return all(_passes(candidate, base, odd, shifts) for base in _SMALL_PRIMES[:_ROUNDS])


def _passes(candidate: int, base: int, odd: int, shifts: int) -> bool:
    power = pow(base, odd, candidate)
    if power in (1, candidate - 1):
        return True
    for _ in range(shifts - 1):
        power = power * power % candidate
        if power == candidate - 1:
            return True
    return False
