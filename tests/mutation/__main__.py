"""`make mutants`: change the code a little, one place at a time, and print every change that no test notices.

Such a change shows a missing assertion, or it changes no behaviour, as when only speed depends on it. The reader of the
output decides which: no list of known survivors is kept (docs/decisions/0013). No file of the code is written.
"""

import argparse
import ast
import sys
from dataclasses import replace
from pathlib import Path

from tests.mutation.changes import changes
from tests.mutation.running import outcomes, prepare
from tests.mutation.targets import Target, target, targets


def main() -> int:
    """Try the changes of the chosen files; 2 if there is no such file."""
    arguments = _arguments()
    root = Path.cwd()
    sys.path.insert(0, str(root))
    if arguments.tests:
        chosen = [target(Path(name), [arguments.tests]) for name in arguments.names]
    else:
        chosen = _chosen(targets(root), arguments.names)
    if not chosen:
        print(f"no such file among those that can be changed: {' '.join(arguments.names)}", file=sys.stderr)
        return 2
    if not arguments.list:
        prepare([] if arguments.tests else ("schemas", "services.kit"))
    for each in chosen:
        _run(root, each, arguments)
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="files, by the end of their paths; none: all")
    parser.add_argument("--only", default="", help="changes whose name holds this text")
    parser.add_argument("--tests", nargs="*", help="run these tests instead of those that belong to the files")
    parser.add_argument("--quick", action="store_true", help="run the first two stages of tests only")
    parser.add_argument("--jobs", type=int, default=2, help="processes at once")
    parser.add_argument("--list", action="store_true", help="print the changes, try none")
    parser.add_argument("--verbose", action="store_true", help="print for every change which test noticed it")
    return parser.parse_args()


def _chosen(everything: list[Target], names: list[str]) -> list[Target]:
    if not names:
        return everything
    return [each for each in everything if any(f"/{each.path}".endswith(f"/{name}") for name in names)]


def _run(root: Path, of: Target, arguments: argparse.Namespace) -> None:
    of = replace(of, stages=of.stages[:2]) if arguments.quick else of
    tree = ast.parse((root / of.path).read_text("utf-8"))
    tried = [change for change in changes(tree) if arguments.only in change.name]
    if arguments.list:
        print(*(f"{of.path}:{change.line} {change.name}" for change in tried), sep="\n")
        return
    killed = 0
    for change, by in outcomes(root, of, tree, tried, arguments.jobs) if tried else ():
        killed += by is not None
        if by is None:
            print(f"{of.path}:{change.line} survived: {change.name}", flush=True)
        elif arguments.verbose:
            print(f"{of.path}:{change.line} {change.name}: {by}", flush=True)
    print(f"{of.path}: {len(tried)} mutants, {killed} killed, {len(tried) - killed} survived", flush=True)


if __name__ == "__main__":
    sys.exit(main())
