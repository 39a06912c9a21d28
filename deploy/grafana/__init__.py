"""The Grafana dashboards of Tactful, written as Python: `python -m deploy.grafana` writes `deploy/grafana/dashboards`.

`boards/` holds what the dashboards show, one module each, in the types of `board.py`. `grafana_json.py` makes Grafana's
JSON of it. docs/dashboards.md says how to load them.
"""
