"""The model shares nothing with what it checks but the forms of documents and message ids."""

import ast
from pathlib import Path

HERE = Path(__file__).parent
COMPARES = {"test_agreement.py"}


def imported(path: Path) -> set[str]:
    """The modules that a file imports."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found.update(each.name for each in node.names)
    return found


def test_the_model_shares_no_code_with_the_rules() -> None:
    files = [path for path in HERE.glob("*.py") if path.name not in COMPARES]
    ours = {name for path in files for name in imported(path) if name.split(".")[0] in ("services", "schemas")}
    assert ours == {"schemas.documents", "schemas.ids"}
