"""The interpreter's patch level, judged for what sending mail needs."""

import pytest

from tactful.doctor_checks import CheckState
from tactful.python_check import check_python


@pytest.mark.parametrize(
    ("version", "state"),
    [
        ((3, 11, 9), CheckState.AMBER),
        ((3, 11, 10), CheckState.GREEN),
        ((3, 12, 4), CheckState.AMBER),
        ((3, 12, 5), CheckState.GREEN),
        ((3, 13, 0), CheckState.GREEN),
        ((3, 14, 0), CheckState.GREEN),
    ],
)
def test_a_python_without_the_fix_for_mail_headers_is_named(version: tuple[int, int, int], state: CheckState) -> None:
    finding = check_python(version)
    assert finding.state is state
    assert (finding.mend is None) is (state is CheckState.GREEN)
