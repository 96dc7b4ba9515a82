"""Renders the Helm chart as `helm template` does, by Helm's own library, and lints it: CHART VALUES(JSON) > manifests."""

import json
import sys

import helm_python

chart_folder, values = sys.argv[1], json.loads(sys.argv[2])
# A chart needs no picture.
findings = helm_python.lint(chart_folder)["messages"]
problems = [finding for finding in findings if finding["error"] != "icon is recommended"]
if problems:
    sys.exit(f"lint: {problems}")
with helm_python.Chart.load(chart_folder) as chart:
    try:
        chart.validate_schema(values)
        manifests = chart.render(values, name="pressmark", namespace="pressmark")
    except helm_python.HelmError as error:
        sys.exit(f"refused: {error}")
for name, text in sorted(manifests.items()):
    if name.endswith(".yaml") and text.strip():
        print(f"---\n# {name}\n{text}")
