"""That the bench of limits counts what was refused, and trusts no server that refuses nothing."""

import contextlib
import io
import unittest

import benchslowdown


def cell(title, **requests):
    return {"title": title, "clients": {name.replace("_", " "): {"requests": counts} for name, counts in requests.items()}}


class Promises(unittest.TestCase):
    def promises(self, *cells):
        with contextlib.redirect_stdout(io.StringIO()):
            return benchslowdown.promises(list(cells))

    def test_one_in_twenty_may_be_refused(self):
        self.assertEqual(self.promises(cell("a", s3mirror={"Put": 94, "List": 1, "SlowDown": 5}, s5cmd={"Put": 1, "SlowDown": 9})), [])

    def test_more_is_named_and_so_is_a_server_without_a_limit_or_a_missing_sample(self):
        broken = self.promises(
            cell("refused", s3mirror={"Put": 94, "SlowDown": 6}), cell("unlimited", s3mirror={"Put": 9}, s5cmd={"Put": 9}),
            cell("absent", s5cmd={"Put": 9, "SlowDown": 1}),
        )
        self.assertEqual([each.split(":")[0] for each in broken], ["refused", "unlimited", "absent"])
