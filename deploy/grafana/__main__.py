"""Writes the dashboards: `python -m deploy.grafana [DIRECTORY]`, `deploy/grafana/dashboards` by default."""

import sys
from pathlib import Path

from deploy.grafana.grafana_json import dashboards

FOLDER = Path(__file__).parent / "dashboards"


def main(folder: Path = FOLDER) -> int:
    """Write one file a dashboard, and remove those of dashboards that are no more. Returns the exit code."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = dashboards()
    for path in folder.glob("*.json"):
        if path.name not in texts:
            path.unlink()
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*(Path(argument) for argument in sys.argv[1:2])))
