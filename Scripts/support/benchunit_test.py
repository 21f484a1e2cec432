"""Run by Scripts/lint: `python3 -m unittest discover -s Scripts/support -p '*_test.py'`."""

import unittest

import benchunit


def result(**longest):
    return {"latency": 0, "clients": {name.replace("_", " "): {"longest": seconds} for name, seconds in longest.items()}}


class UnitTest(unittest.TestCase):
    def test_a_unit_has_twenty_files_of_the_size_that_was_asked_for(self):
        sizes = benchunit.file_sizes(8_000_000_000)
        self.assertEqual(len(sizes), 20)
        self.assertAlmostEqual(sum(sizes.values()), 8_000_000_000, delta=20)
        self.assertEqual(list(sizes)[-1], "trainer_state.json")

    def test_the_goal_is_for_this_program_only(self):
        self.assertEqual(benchunit.unit_promise([result(s3mirror_watch=0.4, s3mirror_upload=0.9, aws_s3_sync=30)]), [])

    def test_one_long_round_breaks_it(self):
        self.assertEqual(len(benchunit.unit_promise([result(s3mirror_watch=0.4), result(s3mirror_watch=1.0)])), 1)


if __name__ == "__main__":
    unittest.main()
