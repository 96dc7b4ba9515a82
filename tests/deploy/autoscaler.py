"""The simulated autoscaler against the examples of Kubernetes' documentation."""

import sys
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benches"))

from scaling import settings
from scaling.controller import Controller, Usage, proposal
from scaling.settings import Autoscaler, Policy, Rules

FREE = Rules(0, (Policy("Percent", 1000, 15),))


def pods(*cpu, unready=0, missing=0):
    return [Usage(True, used) for used in cpu] + [Usage(False, None)] * unready + [Usage(True, None)] * missing


class Proposals(unittest.TestCase):
    def test_twice_the_wanted_value_doubles_and_half_of_it_halves(self):
        # 200m where 100m is wanted; 50m where 100m is wanted.
        self.assertEqual(proposal(4, pods(2.0, 2.0, 2.0, 2.0), 1.0), 8)
        self.assertEqual(proposal(4, pods(0.5, 0.5, 0.5, 0.5), 1.0), 2)

    def test_the_walkthrough(self):
        # "horizontal-pod-autoscale-walkthrough": 305 % where 50 % is wanted, one replica: seven are started.
        self.assertEqual(proposal(1, pods(3.05), 0.5), 7)

    def test_within_the_tolerance_nothing_happens(self):
        self.assertEqual(proposal(3, pods(0.76, 0.76, 0.76), 0.7), 3)
        self.assertEqual(proposal(3, pods(0.64, 0.64, 0.64), 0.7), 3)
        self.assertEqual(proposal(3, pods(0.78, 0.78, 0.78), 0.7), 4)

    def test_pods_that_are_not_ready_dampen_growth(self):
        # Three at twice the target would be six; with two that start and count as idle, 6 / 5 of five.
        self.assertEqual(proposal(5, pods(1.4, 1.4, 1.4, unready=2), 0.7), 6)
        # Six that start are enough: the direction would turn.
        self.assertEqual(proposal(9, pods(1.4, 1.4, 1.4, unready=6), 0.7), 9)

    def test_pods_without_a_metric_dampen_in_both_directions(self):
        self.assertEqual(proposal(4, pods(1.4, 1.4, missing=2), 0.7), 4)
        # Two at half of the target, two assumed at the target: three quarters of four.
        self.assertEqual(proposal(4, pods(0.35, 0.35, missing=2), 0.7), 3)


class Behavior(unittest.TestCase):
    def scaled_down(self, start, rounds, down, step=60):
        controller = Controller(Autoscaler(10, 100, 1.0, FREE, down))
        counts = [start]
        for turn in range(rounds):
            counts.append(controller.decide(turn * step, counts[-1], pods(*[0.01] * counts[-1])))
        return counts

    def test_ten_per_cent_or_four_pods_a_minute(self):
        # "Scaling policies": from 80 eight, from 72 eight again (7.2 rounded up), and below 40 four at a time.
        down = Rules(0, (Policy("Pods", 4, 60), Policy("Percent", 10, 60)))
        self.assertEqual(self.scaled_down(80, 2, down), [80, 72, 64])
        self.assertEqual(self.scaled_down(40, 2, down), [40, 36, 32])

    def test_the_smallest_change_when_so_selected(self):
        # "no more than 5 Pods are removed per minute".
        down = Rules(0, (Policy("Percent", 10, 60), Policy("Pods", 5, 60)), "Min")
        self.assertEqual(self.scaled_down(80, 2, down), [80, 75, 70])
        self.assertEqual(self.scaled_down(80, 2, Rules(0, down.policies, "Disabled")), [80, 80, 80])

    def test_a_policy_holds_for_its_period(self):
        down = Rules(0, (Policy("Percent", 10, 60),))
        self.assertEqual(self.scaled_down(100, 5, down, step=15), [100, 90, 90, 90, 90, 81])

    def test_four_pods_or_twice_as_many_in_fifteen_seconds(self):
        controller, count, counts = Controller(Autoscaler(1, 1000, 1.0)), 1, []
        for turn in range(5):
            count = controller.decide(turn * 15, count, pods(*[50.0] * count))
            counts.append(count)
        self.assertEqual(counts, [5, 10, 20, 40, 80])

    def test_the_highest_of_five_minutes_counts_on_the_way_down(self):
        controller, count, seen = Controller(Autoscaler(1, 20, 1.0)), 10, []
        for now in range(0, 400, 15):
            count = controller.decide(now, count, pods(*[1.0 if now < 30 else 0.1] * count))
            seen.append((now, count))
        # Ten were last proposed at 15 s.
        self.assertEqual([count for now, count in seen if now <= 300], [10] * 21)
        self.assertEqual(dict(seen)[315], 1)


class Manifests(unittest.TestCase):
    def test_they_are_read(self):
        found, pod = settings.autoscaler(), settings.pod()
        self.assertLess(found.least, found.most)
        self.assertTrue(0.2 < found.target < 1 and found.up.policies and found.down.policies)
        self.assertTrue(0 < pod.request <= pod.limit)


if __name__ == "__main__":
    unittest.main()
