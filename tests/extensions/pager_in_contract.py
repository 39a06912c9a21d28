"""pytest plugin (`-p tests.extensions.pager_in_contract`, after `register`): the contract of adapters finds `pager`.

`tests/contracts/test_adapters.py` asks the module `tests.orchestrator.delivery.adapters.test_<id>` for the adapter; of
one outside the source tree there is none, so the module of its tests stands in.
"""

import sys

from tests.extensions import texts_by_pager

sys.modules["tests.orchestrator.delivery.adapters.test_pager"] = texts_by_pager
