"""What deploy/kubernetes says: the autoscaler and the pod that it multiplies."""

from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
BASE = ROOT / "deploy" / "kubernetes" / "base"


@dataclass(frozen=True)
class Policy:
    """At most so many pods, or so many per cent of them, within the period."""

    type: str
    value: int
    period: int


@dataclass(frozen=True)
class Rules:
    """One direction of `behavior`."""

    window: int
    policies: tuple[Policy, ...]
    select: str = "Max"


# Kubernetes' own, for what a manifest leaves out.
SCALE_UP = Rules(0, (Policy("Percent", 100, 15), Policy("Pods", 4, 15)))
SCALE_DOWN = Rules(300, (Policy("Percent", 100, 15),))


@dataclass(frozen=True)
class Autoscaler:
    least: int
    most: int
    # Average CPU, in parts of the request.
    target: float
    up: Rules = SCALE_UP
    down: Rules = SCALE_DOWN


@dataclass(frozen=True)
class Pod:
    # Cores.
    request: float
    limit: float
    # Seconds.
    startup_period: int
    readiness_period: int


def autoscaler(path=BASE / "autoscaler.yaml"):
    spec = yaml.safe_load(path.read_text())["spec"]
    [metric] = spec["metrics"]
    target = metric["resource"]["target"]
    if (metric["resource"]["name"], target["type"]) != ("cpu", "Utilization"):
        raise SystemExit(f"{path}: only a target of CPU utilization is simulated")
    behavior = spec.get("behavior", {})
    return Autoscaler(spec["minReplicas"], spec["maxReplicas"], target["averageUtilization"] / 100,
                      rules(behavior.get("scaleUp"), SCALE_UP), rules(behavior.get("scaleDown"), SCALE_DOWN))


def rules(given, default):
    if not given:
        return default
    policies = tuple(Policy(policy["type"], policy["value"], policy["periodSeconds"]) for policy in given.get("policies", []))
    return Rules(given.get("stabilizationWindowSeconds", default.window), policies or default.policies, given.get("selectPolicy", "Max"))


def pod(path=BASE / "deployment.yaml"):
    [container] = yaml.safe_load(path.read_text())["spec"]["template"]["spec"]["containers"]
    resources = container["resources"]
    return Pod(cores(resources["requests"]["cpu"]), cores(resources["limits"]["cpu"]),
               container["startupProbe"]["periodSeconds"], container["readinessProbe"]["periodSeconds"])


def cores(quantity):
    text = str(quantity)
    return float(text[:-1]) / 1000 if text.endswith("m") else float(text)
