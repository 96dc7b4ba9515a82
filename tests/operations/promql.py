"""Holds queries of PromQL against what is exported: names, labels, and what may be done with a counter.

stdin:  {"exported": an answer of /metrics, "records": [[name, query], …], "queries": [query, …]}
stdout: {query: {"labels": those of what comes out, "selectors": what it selects, as queries of their own} or {"problem": …}}
"""

import json
import re
import sys

import promql_parser as promql

# What Prometheus or the operator puts on each series.
TARGET = {"namespace", "job", "instance"}
# What kube-state-metrics exports (its documentation of HorizontalPodAutoscaler and Deployment metrics).
AUTOSCALER, DEPLOYMENT = "kube_horizontalpodautoscaler_", "kube_deployment_"
KUBE = {
    **{AUTOSCALER + name: "horizontalpodautoscaler"
       for name in ("spec_min_replicas", "spec_max_replicas", "status_current_replicas", "status_desired_replicas")},
    **{DEPLOYMENT + name: "deployment" for name in ("spec_replicas", "status_replicas_available")},
}


class Wrong(Exception):
    """The query cannot mean what it says."""


def exported(text):
    """For each series its kind and labels, from an answer of /metrics (OpenMetrics 1.0), and of what comes from elsewhere."""
    series = {"up": ("gauge", set(TARGET)), **{name: ("gauge", TARGET | {label}) for name, label in KUBE.items()}}
    kinds = {}
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            kinds[name] = kind
        elif not line.startswith("#"):
            name, labels = re.match(r"(\w+)(?:\{(.*)\})? ", line).groups()
            family = max((family for family in kinds if name.startswith(family)), key=len)
            kind = "counter" if kinds[family] in ("counter", "histogram") else "gauge"
            series.setdefault(name, (kind, set(TARGET)))[1].update(re.findall(r'(\w+)="', labels or ""))
    return series


class Query:
    def __init__(self, series):
        self.series, self.selectors = series, []

    def labels(self, part):
        """Those of a vector; `None` for a number."""
        match part:
            case promql.NumberLiteral() | promql.StringLiteral():
                return None
            case promql.ParenExpr():
                return self.labels(part.expr)
            case promql.VectorSelector():
                kind, labels = self.select(part)
                if kind == "counter":
                    raise Wrong(f"`{part}` is a counter; ask for its rate")
                return labels
            case promql.Call():
                return self.call(part)
            case promql.AggregateExpr():
                return self.aggregate(part)
            case promql.BinaryExpr():
                return self.binary(part)
        raise Wrong(f"`{part}` is of a kind that nothing here uses")

    def select(self, selector):
        if selector.name not in self.series:
            raise Wrong(f"`{selector.name}` is not exported")
        kind, labels = self.series[selector.name]
        for matcher in selector.matchers.matchers:
            known(matcher.name, labels, selector.name)
        self.selectors.append(str(selector))
        return kind, labels

    def call(self, call):
        name, arguments = call.func.name, call.args
        match name:
            case "time":
                return None
            case "vector":
                return set()
            case "rate" | "increase" | "changes":
                selector = arguments[0].vector_selector
                kind, labels = self.select(selector)
                if (kind == "counter") == (name == "changes"):
                    raise Wrong(f"{name} of `{selector}`, which is a {kind}")
                return labels
            case "absent":
                self.labels(arguments[0])
                return equalities(arguments[0])
            case "histogram_quantile":
                labels = self.labels(arguments[1])
                known("le", labels, str(arguments[1]))
                return labels - {"le"}
            case "label_replace":
                labels = self.labels(arguments[0])
                known(arguments[3].val, labels, "label_replace")
                return labels | {arguments[1].val}
        raise Wrong(f"`{call}` is of a kind that nothing here uses")

    def aggregate(self, aggregate):
        labels, modifier = self.labels(aggregate.expr), aggregate.modifier
        if not modifier:
            return set()
        for label in modifier.labels:
            known(label, labels, str(aggregate.expr))
        by = modifier.type == promql.AggModifierType.By
        return {label for label in labels if (label in modifier.labels) == by}

    def binary(self, binary):
        left, right = self.labels(binary.lhs), self.labels(binary.rhs)
        if binary.modifier and binary.modifier.matching:
            raise Wrong(f"`{binary}` matches by chosen labels, which nothing here does")
        # Series meet only when all their labels are alike.
        if left is not None and right is not None and left != right:
            raise Wrong(f"`{binary}` has {sorted(left)} on the left and {sorted(right)} on the right: they never meet")
        return right if left is None else left


def known(label, labels, of):
    if label not in (labels or ()):
        raise Wrong(f"`{of}` has no label `{label}`, but {sorted(labels or ())}")


def equalities(part):
    """The labels that `absent` can tell of: those that are asked to have one value."""
    match part:
        case promql.BinaryExpr():
            return equalities(part.lhs)
        case promql.VectorSelector():
            return {matcher.name for matcher in part.matchers.matchers if matcher.op == promql.MatchOp.Equal}
    return set()


def check(series, query):
    found = Query(series)
    try:
        labels = found.labels(promql.parse(query))
        if labels is None:
            raise Wrong("a number is no series")
    except (Wrong, ValueError) as error:
        return {"problem": str(error)}
    return {"labels": sorted(labels), "selectors": found.selectors}


def main():
    asked = json.load(sys.stdin)
    series, answers = exported(asked["exported"]), {}
    for name, query in asked["records"]:
        answers[query] = check(series, query)
        series[name] = ("gauge", set(answers[query].get("labels", ())))
    answers.update((query, check(series, query)) for query in asked["queries"])
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
