"""That the check of promises finds what it is there for, and nothing else."""

import unittest

from promises import Mention, compare, private_references, promises, shown, unknown_citations

PAGE = "# Semantics\n\n## Publication\n\n- **ONE-1** One.\n- **ONE-2** Two\n  lines.\n\n## Deletes\n\n- **TWO-1** Three.\n"


def identifiers(mentions):
    return [each.identifier for each in mentions]


class Page(unittest.TestCase):
    def test_each_bullet_is_a_promise_with_its_line(self):
        promised, problems = promises(PAGE, "page.md")
        self.assertEqual(problems, [])
        self.assertEqual(identifiers(promised), ["ONE-1", "ONE-2", "TWO-1"])
        self.assertEqual(promised[2].line, 11)

    def test_a_bullet_without_an_id_is_rejected(self):
        for bullet in ("- Four.", "- ONE-4 Four.", "- **ONE-0** Four.", "- **ONE-4**"):
            [problem] = promises(PAGE + bullet + "\n", "page.md")[1]
            self.assertTrue(problem.startswith("page.md:12: "), problem)

    def test_an_id_that_stands_there_twice_is_rejected(self):
        [problem] = promises(PAGE + "- **TWO-1** Again.\n", "page.md")[1]
        self.assertIn("TWO-1: stands on the page twice", problem)

    def test_another_section_s_prefix_is_rejected(self):
        for addition in ("- **ONE-3** Here.\n", "- **THREE-1** Here.\n", "\n## More\n\n- **TWO-2** Here.\n"):
            self.assertEqual(len(promises(PAGE + addition, "page.md")[1]), 1, addition)


class Tests(unittest.TestCase):
    def test_traits_are_read_over_several_lines(self):
        text = '@Test(\n  .promise(\n    "ONE-1", "ONE-2"),\n  arguments: [1])\nfunc a() {}\n@Suite(.promise("TWO-1"))\n'
        self.assertEqual(identifiers(shown("ATests.swift", text)), ["ONE-1", "ONE-2", "TWO-1"])

    def test_a_trait_in_a_comment_or_a_literal_is_none(self):
        text = '// .promise("ONE-1")\n/* .promise("ONE-2") */\nlet text = #".promise("TWO-1")"#\n'
        self.assertEqual(shown("ATests.swift", text), [])

    def test_a_script_s_comment_is_read(self):
        mentions = shown("a.script", "# shows ONE-1, TWO-1\nwrite a one # shows nothing of it\n")
        self.assertEqual(identifiers(mentions)[:2], ["ONE-1", "TWO-1"])


class Comparison(unittest.TestCase):
    promised = promises(PAGE, "page.md")[0]

    def mentions(self, *identifiers):
        return [Mention(identifier, "ATests.swift", 1) for identifier in identifiers]

    def test_a_page_and_its_tests_agree(self):
        self.assertEqual(compare(self.promised, self.mentions("ONE-1", "ONE-2", "TWO-1", "TWO-1"), {}), [])

    def test_a_promise_without_a_test_is_rejected(self):
        [problem] = compare(self.promised, self.mentions("ONE-1", "TWO-1"), {})
        self.assertTrue(problem.startswith("page.md:6: ONE-2: no test shows it"), problem)

    def test_an_id_that_the_page_does_not_have_is_rejected(self):
        [problem] = compare(self.promised, self.mentions("ONE-1", "ONE-2", "TWO-1", "TWO-9"), {})
        self.assertTrue(problem.startswith("ATests.swift:1: TWO-9: "), problem)

    def test_the_table_of_exceptions_holds_only_what_it_must(self):
        self.assertEqual(compare(self.promised, self.mentions("ONE-1", "ONE-2"), {"TWO-1": "reason"}), [])
        for table in ({"ONE-1": "reason"}, {"ONE-9": "reason"}):
            self.assertEqual(len(compare(self.promised, self.mentions("ONE-1", "ONE-2", "TWO-1"), table)), 1, table)


class References(unittest.TestCase):
    def test_a_comment_that_cites_what_the_page_does_not_have_is_rejected(self):
        promised = promises(PAGE, "page.md")[0]
        self.assertEqual(unknown_citations("a.swift", "/// As ONE-2 has it, by UTF-8, MD5-1.", promised), [])
        [problem] = unknown_citations("a.swift", "\n/// As ONE-7 has it.", promised)
        self.assertTrue(problem.startswith("a.swift:2: ONE-7: "), problem)

    def test_what_readers_do_not_have_is_rejected(self):
        for name in ("SPEC ", "ARCHITECTURE ", "issue ", "Issue #"):
            [problem] = private_references("a.swift", f"\n/// As {name}{4} has it.")
            self.assertTrue(problem.startswith("a.swift:2: "), problem)

    def test_the_command_line_s_word_passes(self):
        self.assertEqual(private_references("a.swift", "usage: [--upload SPEC] ...; X509_V_ERR_UNSPECIFIED 1"), [])


if __name__ == "__main__":
    unittest.main()
