"""A day of agents: how many there are, what they ask, and how long they think."""

import math
from dataclasses import dataclass

DAY = 24 * 3600
# Agents that work at night, and at the height of the day.
NIGHT, NOON, HEIGHT = 200, 2_000, 14 * 3600
# Somebody starts a fleet: within a minute there are 10,000; after 20 minutes they end one after another.
BURST_BEGIN, BURST_RISE, BURST_HOLD, BURST_FALL, BURST = 10 * 3600, 60, 20 * 60, 5 * 60, 10_000
# Seconds between an answer and the next call: the model writes.
THINK = 5.0
# What agents at work call: mostly they read, and every fifth time they search, half of the time for something rare.
MIX = {"page": 0.45, "listing": 0.20, "trivial": 0.15, "search_frequent": 0.10, "search_rare": 0.10}


@dataclass(frozen=True)
class Plan:
    """Which part of the day is played: seconds since midnight."""

    begin: int = 0
    end: int = DAY


def agents(second):
    """How many there are at this second of the day."""
    usual = NIGHT + (NOON - NIGHT) * max(0.0, math.cos((second - HEIGHT) / DAY * 2 * math.pi)) ** 1.5
    since = second - BURST_BEGIN
    if since < 0 or since > BURST_RISE + BURST_HOLD + BURST_FALL:
        return usual
    part = min(1.0, since / BURST_RISE, (BURST_RISE + BURST_HOLD + BURST_FALL - since) / BURST_FALL)
    return usual + (BURST - usual) * part
