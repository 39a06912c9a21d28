"""What a service checks before it starts."""

from pathlib import Path

import pytest

from schemas.times import SECOND
from services.kit.db.database import Database
from services.kit.runtime import standalone
from services.kit.runtime.clock import Instant, SystemClock


class Shifted:
    """The machine's clock, wrong by some microseconds at each look, one after the other."""

    def __init__(self, *errors: int) -> None:
        self._errors = list(errors)

    def now(self) -> Instant:
        return SystemClock().now() + self._errors.pop(0)


@pytest.mark.parametrize(
    ("errors", "fits"),
    [((0, 0), True), ((-5 * SECOND, 0), True), ((2 * SECOND, 2 * SECOND), False), ((-2 * SECOND, -2 * SECOND), False)],
    ids=["equal", "the answer took five seconds", "ahead", "behind"],
)
async def test_clocks_that_differ_by_a_second_are_refused(tmp_path: Path, errors: tuple[int, ...], fits: bool) -> None:
    database = Database.open(f"sqlite+aiosqlite:///{tmp_path / 'test.db'}")
    try:
        if fits:
            await standalone._check_clocks(Shifted(*errors), database)
        else:
            with pytest.raises(standalone.StartupRefused, match="set the clocks"):
                await standalone._check_clocks(Shifted(*errors), database)
    finally:
        await database.close()
