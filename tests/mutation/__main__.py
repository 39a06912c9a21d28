"""Change the code, a little and once at a time, and see that a test fails; tell of every change that none notices.

Survivors that docs/mutation.md gives a reason for are known. The run fails on others, and on known ones that are gone.
"""

import argparse
import ast
import sys
from dataclasses import replace
from pathlib import Path

from tests.mutation.changes import changes
from tests.mutation.report import DOCUMENT, Count, counted, known, row, today
from tests.mutation.running import outcomes, prepare
from tests.mutation.targets import Target, target, targets


def main() -> int:
    """Run what is asked for; 1 when a survivor has no reason."""
    asked = _arguments()
    root = Path.cwd()
    sys.path.insert(0, str(root))
    everything = targets(root)
    chosen = [target(Path(name), [asked.tests]) for name in asked.names] if asked.tests else _chosen(everything, asked)
    document = root / DOCUMENT
    reasons = known(document.read_text("utf-8")) if document.exists() else {}
    if not asked.list:
        prepare([] if asked.tests else ("schemas", "services.kit"))
    unexplained = 0
    for each in chosen:
        count, new = _run(root, each, asked, reasons.get(_name(each), {}))
        unexplained += new
        if count is not None and not asked.only and not asked.quick and document.exists() and not asked.tests:
            text = counted(document.read_text("utf-8"), {_name(each): count}, [_name(one) for one in everything])
            document.write_text(text, "utf-8")
    return 1 if unexplained else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="files, by the end of their paths; none: all")
    parser.add_argument("--only", default="", help="changes whose name holds this text")
    parser.add_argument("--tests", nargs="*", help="ask these tests instead of those that belong to the files")
    parser.add_argument("--quick", action="store_true", help="ask the first two stages only; counts are not written")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--list", action="store_true", help="name the changes, try none")
    parser.add_argument("--verbose", action="store_true", help="tell of every change which test noticed it")
    return parser.parse_args()


def _chosen(everything: list[Target], asked: argparse.Namespace) -> list[Target]:
    if not asked.names:
        return everything
    found = [each for each in everything if any(f"/{each.path}".endswith(f"/{name}") for name in asked.names)]
    if not found:
        raise SystemExit(f"no such file among what is changed: {' '.join(asked.names)}")
    return found


def _name(of: Target) -> str:
    return of.path.as_posix().removeprefix("services/orchestrator/")


def _run(root: Path, of: Target, asked: argparse.Namespace, reasons: dict[str, int]) -> tuple[Count | None, int]:
    of = replace(of, stages=of.stages[:2]) if asked.quick else of
    tree = ast.parse((root / of.path).read_text("utf-8"))
    tried = [change for change in changes(tree) if asked.only in change.name]
    if asked.list:
        print(*(f"{of.path}:{change.line} {change.name}" for change in tried), sep="\n")
        return None, 0
    killed, survivors = 0, set()
    for change, by in outcomes(root, of, tree, tried, asked.jobs) if tried else ():
        killed += by is not None
        if by is None:
            survivors.add(change.name)
        if asked.verbose or (by is None and change.name not in reasons):
            print(row(_name(of), change.name) if by is None else f"{change.name}: {by}", flush=True)
    gone = [name for name in reasons if name not in survivors and asked.only in name]
    for name in gone:
        print(f"no survivor any more: {row(_name(of), name)}", flush=True)
    print(f"{of.path}: {len(tried)} mutants, {killed} killed, {len(survivors)} survived", flush=True)
    return Count(today(), len(tried), killed), len(survivors - reasons.keys()) + len(gone)


if __name__ == "__main__":
    sys.exit(main())
