"""That links which lead nowhere are found, and no others."""

import unittest

from links import dead_links, strange_messages


def dead(text):
    there = {"README.md", "Sources/S3Mirror", "Scripts/test"}
    pages = {"Semantics": {"Deletes", "deletes"}}
    return dead_links("Page.md", text, pages, there.__contains__, there.__contains__)


class Links(unittest.TestCase):
    def test_what_is_there_passes(self):
        text = "<doc:Semantics> [a](README.md) [b](https://example.com/x) `Scripts/test --filter X` `Sources/S3Mirror`"
        self.assertEqual(dead(text), [])
        self.assertEqual(dead("## One part\n[a](#One-part) [b](#one-part) <doc:Semantics#Deletes> [c](https://x.org/#y)"), [])

    def test_each_kind_of_link_is_followed(self):
        for text in (
            "<doc:Semantic>", "[a](READ.md)", "[a](READ.md#part)", "`Scripts/tests`", "`Scripts/tests --filter X`",
            "<doc:Semantics#Delete>", "[a](#part)",
        ):
            [problem] = dead("\n" + text)
            self.assertTrue(problem.startswith("Page.md:2: "), problem)


class Messages(unittest.TestCase):
    SOURCES = 'say("the lock in \\(directory) cannot be made: \\(error)")'

    def test_a_message_of_the_program_passes(self):
        self.assertEqual(strange_messages("T.md", "| `the lock in … cannot be made` | x | `any` |", self.SOURCES), [])

    def test_a_message_that_nobody_says_is_found(self):
        [problem] = strange_messages("T.md", "\n| `the lock of … cannot be made` | x |", self.SOURCES)
        self.assertTrue(problem.startswith("T.md:2: "), problem)


if __name__ == "__main__":
    unittest.main()
