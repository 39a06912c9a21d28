"""Shows a progress bar on a terminal during long operations, and nothing elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from tactful.output import create_console


@contextmanager
def show_progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function to call with how much more of `total` has been done."""
    columns = (TextColumn(label), BarColumn(), TaskProgressColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    target = create_console(error=True)
    with Progress(*columns, console=target, transient=True, disable=not target.is_terminal) as bar:
        task = bar.add_task(label, total=total)
        yield lambda amount: bar.advance(task, amount)
