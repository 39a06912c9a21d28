"""An orchestrator process that ends, as by a crash of native code, when it renders an event with `data.deadly`.

`python -m tests.support.fragile_orchestrator --role decide --port N`.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from typing import Any

from services.orchestrator.__main__ import main
from services.orchestrator.delivery.channels.content import CompiledContent

_render = CompiledContent.render


def _render_or_end(self: CompiledContent, channel: str, locale: str | None, context: Mapping[str, Any]) -> Any:
    if context["event"]["data"].get("deadly"):
        os.kill(os.getpid(), signal.SIGKILL)
    return _render(self, channel, locale, context)


if __name__ == "__main__":
    CompiledContent.render = _render_or_end  # type: ignore[method-assign]
    sys.exit(main())
