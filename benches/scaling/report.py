"""Writes deploy/kubernetes/AUTOSCALING.md and its plot."""

import json
import textwrap

from . import cluster, controller, costs, day
from .plot import NAMES, draw, quantile, seconds
from .settings import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
# Parts of the day that a row of the table looks at.
BURST_END = day.BURST_BEGIN + day.BURST_RISE + day.BURST_HOLD
SPANS = {
    "night, 3:00": (3 * 3600, 4 * 3600),
    "height of the day, 14:00": (14 * 3600, 15 * 3600),
    "burst: first minute": (day.BURST_BEGIN, day.BURST_BEGIN + 60),
    "burst: second and third minute": (day.BURST_BEGIN + 60, day.BURST_BEGIN + 180),
    "burst: the rest": (day.BURST_BEGIN + 180, BURST_END),
    "whole day": (0, day.DAY),
}


def write(runs, compared, autoscaler, pod, cost):
    (FOLDER / "autoscaling.svg").write_text(draw(runs, autoscaler))
    (FOLDER / "AUTOSCALING.md").write_text("\n\n".join(
        [head(), "![Agents, replicas, CPU, queue and latency over the day](autoscaling.svg)", *map(table, runs.items()),
         conclusions(runs), targets(compared, autoscaler), sources(autoscaler, pod, cost), model()]) + "\n")


def head():
    return "# A day of the autoscaler\n\n" + filled("Written by `benches/autoscale`, which plays a day of agents, with a burst from "
            f"{day.agents(day.BURST_BEGIN):,.0f} to {day.BURST:,} of them within a minute, against the autoscaler and the pod of `base/`. "
            "Nothing of it ran in a cluster: it is a simulation, call by call, with the algorithm that Kubernetes documents and with the "
            "CPU time that was measured for each call.")


def table(run):
    name, intervals = run
    lines = [f"## {NAMES[name][0].upper()}{NAMES[name][1:]}", "",
             "| | agents | calls/s | replicas | CPU, % of request | calls that wait | reads: p50 | p99 | searches: p99 | the slowest | later than 60 s |",
             "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]
    for label, (begin, end) in SPANS.items():
        part = [i for i in intervals if begin <= i.begin < end]
        if not part:
            continue
        cheap, searches = (sorted(t for i in part for t in getattr(i, kind)) for kind in ("cheap", "searches"))
        calls = sum(i.calls for i in part)
        ready = sorted(i.ready for i in part)
        replicas = f"{ready[0]}" if ready[0] == ready[-1] else f"{ready[0]} to {ready[-1]}"
        lines.append(
            f"| {label} | {max(i.agents for i in part):,.0f} | {calls / len(part) / 15:,.0f} | {replicas} "
            f"| {100 * sum(i.cpu for i in part) / len(part):.0f} | {sum(i.waited for i in part) / len(part) / 15:,.2f} "
            f"| {told(quantile(cheap, 0.5))} | {told(quantile(cheap, 0.99))} | {told(quantile(searches, 0.99))} "
            f"| {told(max(cheap[-1], searches[-1]))} | {sum(i.late for i in part):,} |")
    return "\n".join(lines)


def told(value):
    return seconds(float(f"{value:.2g}"))


def conclusions(runs):
    lines = ["## What follows", ""]
    for name, intervals in runs.items():
        burst = [i for i in intervals if day.BURST_BEGIN <= i.begin < BURST_END]
        settled = burst[-1].ready
        when = next(i.begin for i in burst if i.ready >= settled)
        slow = [i for i in burst if quantile(i.cheap, 0.99) > 1]
        lines.append(f"- {NAMES[name].partition(':')[0].capitalize()}: {settled} replicas carry the burst, {when - day.BURST_BEGIN} s after it began; "
                     + (f"one read in a hundred takes longer than a second for {15 * len(slow)} s of it." if slow else "no p99 of reads above a second."))
    return "\n".join(lines + [filled(point) for point in (
        "- What carries the first half minute is the limit above the request: until new replicas are there, the old ones use up to four times "
        "what they request; the autoscaler sees that much load and goes up fast. Without room on the nodes neither happens: a replica that is "
        "throttled shows 100 % and no more, so the number grows by 1 / target at each look, less what is still starting.",
        "- The policies of `scaleUp` are not what holds it back; the target is. A lower one also keeps more replicas all day.",
        "- For bursts that are known beforehand, or nodes that are full: raise `minReplicas` for the time, or the request.",
    )])


def filled(paragraph):
    return textwrap.fill(paragraph, 140, subsequent_indent="  " if paragraph.startswith("- ") else "")


def targets(compared, autoscaler):
    """`compared`: for each target the intervals around the burst, of each scenario."""
    lines = ["## Other targets", "", "The same burst with another `averageUtilization`.", "",
             "| target | replicas at the end | p99 of reads above 1 s, nodes with room | the same, crowded nodes |", "|---|---:|---:|---:|"]
    for target, runs in compared.items():
        burst = {name: [i for i in intervals if day.BURST_BEGIN <= i.begin < BURST_END] for name, intervals in runs.items()}
        slow = {name: 15 * sum(quantile(i.cheap, 0.99) > 1 for i in part) for name, part in burst.items()}
        here = " (as set)" if target == autoscaler.target else ""
        lines.append(f"| {target:.0%}{here} | {burst['roomy'][-1].ready} | {slow['roomy']} s | {slow['crowded']} s |")
    return "\n".join(lines)


def sources(autoscaler, pod, cost):
    searches = json.loads(costs.SEARCHES.read_text())
    machine = searches["machine"]
    policies = lambda rules: " or ".join(f"{p.value} {'%' if p.type == 'Percent' else 'pods'} in {p.period} s" for p in rules.policies)
    start = cluster.SCHEDULE + cluster.PULL + cluster.CREATE + cost.start + pod.startup_period + pod.readiness_period + cluster.PUBLISH
    mix = ", ".join(f"{share:.0%} {name.replace('_', ' ')}" for name, share in day.MIX.items())
    rows = [
        ("CPU of a page of 64 KiB, a listing of 100 entries, a trivial call",
         f"{cost.page * 1e6:.1f}, {cost.listing * 1e6:.1f}, {cost.trivial * 1e6:.1f} µs", "measured: `benches/RESULTS.md`, user and kernel, tokens checked"),
        ("CPU of a search that reads every file; of one whose first page is soon full",
         f"{cost.search_rare * 1000:.2f}, {cost.search_frequent * 1000:.2f} ms",
         f"measured: `benches/autoscale --measure`, {searches['tree']}, {machine['cpu']}, {searches['date']}"),
        ("start of the process to its first answer", f"{cost.start * 1000:.1f} ms", "measured: `benches/RESULTS.md`"),
        ("replicas, target", f"{autoscaler.least} to {autoscaler.most}, {autoscaler.target:.0%} of the request", "`base/autoscaler.yaml`"),
        ("up", f"{policies(autoscaler.up)} ({autoscaler.up.select}), window {autoscaler.up.window} s", "`base/autoscaler.yaml`"),
        ("down", f"{policies(autoscaler.down)} ({autoscaler.down.select}), window {autoscaler.down.window} s", "`base/autoscaler.yaml`"),
        ("CPU of a pod: request, limit", f"{pod.request:g}, {pod.limit:g} cores", "`base/deployment.yaml`"),
        ("probes", f"startup every {pod.startup_period} s, readiness every {pod.readiness_period} s", "`base/deployment.yaml`"),
        ("the autoscaler looks every; tolerance", f"{controller.SYNC_PERIOD} s; {controller.TOLERANCE:g}", "defaults of Kubernetes"),
        ("metrics-server looks every; before the autoscaler", f"{cluster.SCRAPE_PERIOD} s; {controller.SYNC_PERIOD - cluster.SCRAPE_PHASE} s", "its default; assumed"),
        ("scheduling, pulling the image, making the container, telling balancers",
         f"{cluster.SCHEDULE:g}, {cluster.PULL:g}, {cluster.CREATE:g}, {cluster.PUBLISH:g} s", "assumed: a node has room, the image is under 40 MB"),
        ("a new replica serves after", f"{start:.1f} s", "the sum, with one period of each probe"),
        ("agents", f"{day.NIGHT} at night, {day.NOON:,} at 14:00, {day.BURST:,} within {day.BURST_RISE} s at {day.BURST_BEGIN // 3600}:00 for {day.BURST_HOLD // 60} min", "assumed; the burst is the issue's"),
        ("pause of an agent between an answer and its next call", f"{day.THINK:g} s", "assumed: a model writes some hundred tokens"),
        ("calls", mix, "assumed: agents read more than they search; `trivial` stands for lists, edits and information"),
    ]
    return "\n".join(["## Where each number comes from", "", "| what | value | source |", "|---|---|---|", *(f"| {a} | {b} | {c} |" for a, b, c in rows)])


def model():
    said = cluster.__doc__.partition("The model. ")[2].strip().replace("\n", " ")
    return ("## The model\n\n" + filled(said) + "\n\n" + filled("A replica that is told to go serves what it has and takes no more. What is not in the model: network, "
            "Redis and the volume (latencies are queue and CPU alone), new nodes (a pod that no node has room for waits until one "
            "is there, often a minute or two), and agents that give up."))
