"""What a process is called in its consumer group, so that the broker knows it again after a crash.

A member without an identity that is killed stays in the group until its session ends, and when it is started again
before that, every member of the group waits. One with an identity (static membership, KIP-345) takes its own place
again at once. The identity must never be that of two living processes: the broker would expel one for the other. So it
is made of what only one process can have: a port that is listened on, in one network namespace of one booted kernel.
"""

import os
from hashlib import blake2b
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_NETWORK: Final = Path("/proc/self/ns/net")


def member_identity(port: int) -> str | None:
    """The identity of the process that listens on this port; None where the system does not tell enough."""
    try:
        boot, network = _BOOT_ID.read_text("ascii").strip(), os.stat(_NETWORK).st_ino
    except OSError:
        return None
    return f"tactful-{blake2b(f'{boot} {network} {port}'.encode(), digest_size=12).hexdigest()}"
