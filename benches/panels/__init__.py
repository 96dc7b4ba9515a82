"""The panels of deploy/grafana/dashboard.json, drawn from a real run: see deploy/grafana/README.md."""
