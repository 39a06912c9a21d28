"""An orchestrator process with little room for inline delivery, so that a load also uses the outbox.

`python -m tests.support.narrow_inline_orchestrator --role decide --port N`, with STRAIGHT_ROOM [3] messages of a
channel under way at once.
"""

from __future__ import annotations

import os
import sys

from services.orchestrator.__main__ import main
from services.orchestrator.delivery import claims

if __name__ == "__main__":
    claims.MAX_IN_FLIGHT = int(os.environ.get("STRAIGHT_ROOM", "3"))
    sys.exit(main())
