"""The rules of Prometheus in Python: `python -m deploy.prometheus` writes the files of Prometheus and of the chart."""
