"""Run by Scripts/lint: `python3 -m unittest discover -s Scripts/support -p '*_test.py'`."""

import types
import unittest

import benchbefore


def samples(*walls):
    return [types.SimpleNamespace(wall=wall, cpu=2 * wall) for wall in walls]


class BeforeTest(unittest.TestCase):
    def test_rounds_are_compared_with_themselves(self):
        # The machine was slow in the second round, for both.
        found = benchbefore.ratios({"s3mirror": samples(1.1, 11, 1.1), "before": samples(1, 10, 1)})
        self.assertEqual([round(value, 3) for value in found["wall"]], [1.1, 1.1, 1.1])
        self.assertEqual(round(found["cpu"][0], 3), 1.1)

    def test_the_interval_surrounds_the_median(self):
        median, low, high = benchbefore.interval([0.9, 0.95, 1, 1.05, 1.1])
        self.assertTrue(low <= median <= high)
        self.assertLess(low, 1)
        self.assertGreater(high, 1)

    def test_a_missing_round_gives_no_ratio(self):
        self.assertEqual(benchbefore.ratios({"s3mirror": samples(1, 1), "before": samples(1)}), {})
        self.assertEqual(benchbefore.ratios({"s3mirror": samples(1)}), {})

    def test_what_is_slower_by_more_than_3_percent_is_told(self):
        def table(ratio):
            return {"title": "up", "before": benchbefore.ratios({"s3mirror": samples(ratio), "before": samples(1)})}

        self.assertEqual(benchbefore.promises([table(1.02)]), [])
        self.assertEqual(len(benchbefore.promises([table(1.02), {"title": "a build has failed"}])), 1)
        self.assertEqual(len(benchbefore.promises([table(1.04)])), 1)


if __name__ == "__main__":
    unittest.main()
