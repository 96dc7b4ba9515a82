"""The algorithm of the HorizontalPodAutoscaler, as Kubernetes documents it ("Horizontal Pod Autoscaling": algorithm details,
scaling policies, stabilization window)."""

import math
from dataclasses import dataclass

# Defaults of kube-controller-manager.
SYNC_PERIOD, TOLERANCE = 15, 0.1


@dataclass(frozen=True)
class Usage:
    """What is known of a pod: whether it is ready, and its CPU in parts of the request; `None` without a metric."""

    ready: bool
    cpu: float | None


def proposal(current, pods, target):
    """How many replicas the metric asks for."""
    counted = [pod.cpu for pod in pods if pod.ready and pod.cpu is not None]
    missing = sum(1 for pod in pods if pod.ready and pod.cpu is None)
    unready = sum(1 for pod in pods if not pod.ready)
    if not counted:
        return current
    ratio = mean_utilization(counted) / target
    growing = ratio > 1
    if not missing and not (unready and growing):
        return current if abs(ratio - 1) <= TOLERANCE else math.ceil(rounded(ratio * len(counted)))
    # Who says nothing is taken to use nothing when more are wanted, and as much as it should when fewer are.
    assumed = [0.0 if growing else target] * missing + [0.0] * (unready if growing else 0)
    every = counted + assumed
    careful = mean_utilization(every) / target
    if abs(careful - 1) <= TOLERANCE or (careful > 1) != growing:
        return current
    wanted = math.ceil(rounded(careful * len(every)))
    return current if (wanted < current) == growing else wanted


def mean_utilization(parts):
    """In whole per cent, as the controller has it."""
    return math.floor(rounded(100 * sum(parts) / len(parts))) / 100


def rounded(number):
    """Without what floating point adds to a whole number."""
    return round(number, 9)


class Controller:
    """Keeps what the rules of `behavior` need to know of the past."""

    def __init__(self, settings):
        self.settings = settings
        # When, and what was proposed; when, and how many came or went.
        self.proposals, self.added, self.removed = [], [], []

    def decide(self, now, current, pods):
        """The number of replicas from now on."""
        settings = self.settings
        wanted = proposal(current, pods, settings.target)
        self.proposals = [(at, past) for at, past in self.proposals
                          if now - at < max(settings.up.window, settings.down.window)]
        self.proposals.append((now, wanted))
        lowest = min(past for at, past in self.proposals if at == now or now - at < settings.up.window)
        highest = max(past for at, past in self.proposals if at == now or now - at < settings.down.window)
        # Up by the least that was wanted in its window, down to the most.
        stable = min(max(current, lowest), highest)
        decided = self.limit(now, current, stable)
        decided = max(settings.least, min(settings.most, decided))
        if decided > current:
            self.added.append((now, decided - current))
        elif decided < current:
            self.removed.append((now, current - decided))
        return decided

    def limit(self, now, current, wanted):
        """As far as the policies let it change at once."""
        if wanted > current:
            rules = self.settings.up
            if rules.select == "Disabled":
                return current
            limits = [self.most_after(now, current, policy) for policy in rules.policies]
            return min(wanted, max(current, max(limits) if rules.select == "Max" else min(limits)))
        if wanted < current:
            rules = self.settings.down
            if rules.select == "Disabled":
                return current
            limits = [self.least_after(now, current, policy) for policy in rules.policies]
            return max(wanted, min(current, min(limits) if rules.select == "Max" else max(limits)))
        return current

    def most_after(self, now, current, policy):
        start = current - self.within(now, policy.period, self.added) + self.within(now, policy.period, self.removed)
        return start + policy.value if policy.type == "Pods" else math.ceil(rounded(start * (1 + policy.value / 100)))

    def least_after(self, now, current, policy):
        start = current - self.within(now, policy.period, self.added) + self.within(now, policy.period, self.removed)
        return start - policy.value if policy.type == "Pods" else math.floor(rounded(start * (1 - policy.value / 100)))

    @staticmethod
    def within(now, period, changes):
        return sum(count for at, count in changes if now - at < period)
