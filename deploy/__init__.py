"""What an installation needs around the product. The only code is `deploy.grafana`."""
