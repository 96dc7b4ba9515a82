"""Replicas that serve calls, and the autoscaler that looks at them: simulated call by call.

The model. Agents think and then call; the calls of a second come at random (Poisson), as many as there are agents divided by the
time that one thinks and waits. Each goes to a replica by chance, as a Service sends connections. There it waits for a core, first
come, first served, and occupies it for the CPU time that it costs; a search costs a time drawn from an exponential distribution,
because trees differ. So one line is shared by cheap and dear calls, which is worse for the cheap ones than the lanes of the server.
"""

import math
import random
from dataclasses import dataclass, field

from .controller import SYNC_PERIOD, Controller, Usage
from .day import MIX, THINK, agents

# Seconds. The scheduler finds a node; the node pulls an image under 40 MB; a container is made; balancers hear of it.
SCHEDULE, PULL, CREATE, PUBLISH = 2.0, 4.0, 1.0, 1.0
# metrics-server looks every 15 s (its --metric-resolution), here ten seconds before the autoscaler does.
SCRAPE_PERIOD, SCRAPE_PHASE = 15, 5
# The server's own limit of a call.
DEADLINE = 60.0
# Played before a part of the day, and not shown.
SETTLE = 600
SEARCHES = ("search_frequent", "search_rare")


@dataclass
class Replica:
    ready: float
    # When each core is free again, and the seconds that calls have booked on all of them.
    free: list
    booked: float = 0.0
    # Of which done a second ago.
    before: float = 0.0
    # What metrics-server saw last, and the CPU in parts of the request that came of it.
    seen: tuple | None = None
    usage: float | None = None
    seen_ready: bool = False

    def used(self, now):
        """Seconds of cores until `now`, before which its last call came: booked, less what is still to be done."""
        return self.booked - sum(max(0.0, free - now) for free in self.free)


@dataclass
class Interval:
    """Fifteen seconds, as they are plotted."""

    begin: int
    agents: float = 0.0
    wanted: int = 0
    ready: int = 0
    calls: int = 0
    cpu: float = 0.0
    waited: float = 0.0
    late: int = 0
    cheap: list = field(default_factory=list)
    searches: list = field(default_factory=list)

    def ended(self):
        self.cheap.sort()
        self.searches.sort()
        return self


class Cluster:
    """`capacity`: cores that each replica gets, its limit where nodes have room, its request where they have none."""

    def __init__(self, autoscaler, pod, costs, capacity, seed=1):
        self.autoscaler, self.pod, self.costs = autoscaler, pod, costs
        self.controller, self.random = Controller(autoscaler), random.Random(seed)
        self.cores = max(1, math.floor(capacity))
        # A part of a core is a core that is given for a part of the time.
        self.speed = capacity / self.cores
        self.start = SCHEDULE + PULL + CREATE + costs.start + pod.startup_period + pod.readiness_period + PUBLISH
        self.kinds = [(share, getattr(costs, name) / self.speed, name in SEARCHES) for name, share in MIX.items()]

    def play(self, plan):
        """Plays a part of the day; yields its intervals, without the first minutes in which the number of replicas settles."""
        begin, wait, interval = plan.begin - SETTLE, 0.0, None
        replicas = [self.replica(begin, 0.0) for _ in range(self.autoscaler.least)]
        for second in range(begin, plan.end):
            if second % SYNC_PERIOD == 0:
                if interval and interval.begin >= plan.begin:
                    yield interval.ended()
                interval = Interval(second)
                self.scale(second, replicas)
            if second % SCRAPE_PERIOD == SCRAPE_PHASE:
                self.scrape(second, replicas)
            ready = [replica for replica in replicas if replica.ready <= second]
            there = agents(max(second, plan.begin))
            wait = self.serve(second, ready, there / (THINK + wait), interval)
            interval.agents, interval.wanted, interval.ready = there, len(replicas), len(ready)
            interval.cpu += self.utilization(second + 1, ready) / SYNC_PERIOD
        yield interval.ended()

    def utilization(self, now, ready):
        """CPU of the last second, in parts of the request, of the average replica."""
        done = 0.0
        for replica in ready:
            used = replica.used(now)
            done, replica.before = done + used - replica.before, used
        return done * self.speed / len(ready) / self.pod.request

    def replica(self, now, delay):
        return Replica(now + delay, [now] * self.cores)

    def scale(self, now, replicas):
        known = [Usage(r.ready <= now and (r.usage is None or r.seen_ready), r.usage) for r in replicas]
        wanted = self.controller.decide(now, len(replicas), known)
        while len(replicas) < wanted:
            replicas.append(self.replica(now, self.start))
        # The youngest go first; what they have taken on they finish.
        del replicas[wanted:]

    def scrape(self, now, replicas):
        for replica in replicas:
            # Its container does not run yet.
            if replica.ready - self.pod.readiness_period - PUBLISH > now:
                continue
            used = replica.used(now) * self.speed
            if replica.seen:
                before, then = replica.seen
                replica.usage = (used - before) / (now - then) / self.pod.request
                # What was seen before it was ready does not count.
                replica.seen_ready = replica.ready <= then
            replica.seen = (used, now)

    def serve(self, second, ready, rate, interval):
        """The calls of one second; gives the mean time that they took."""
        uniform, log, count = self.random.random, math.log, len(ready)
        now, end, calls, total = second - log(1 - uniform()) / rate, second + 1, 0, 0.0
        kinds, cheap, searches = self.kinds, interval.cheap, interval.searches
        while now < end:
            replica, chance = ready[int(uniform() * count)], uniform()
            for share, cost, is_search in kinds:
                chance -= share
                if chance < 0:
                    break
            if is_search:
                cost *= -log(1 - uniform())
            free = replica.free
            first = min(free)
            done = (first if first > now else now) + cost
            free[free.index(first)] = done
            replica.booked += cost
            took = done - now
            (searches if is_search else cheap).append(took)
            total += took
            calls += 1
            interval.waited += took - cost
            if took > DEADLINE:
                interval.late += 1
            now -= log(1 - uniform()) / rate
        interval.calls += calls
        return total / calls if calls else 0.0
