"""That the layer check rejects what it is there for, and nothing else."""

import unittest

from layers import (
    USES_UP, Room, Source, blank, rooms, wrong_access, wrong_imports, wrong_marks, wrong_order, wrong_tasks, wrong_uses,
    wrong_waits,
)

DIGESTS = Room("Digests", "regular", ("CZlib",))
MODEL = Room("MirrorModel", "regular", ())
SIGNING = Room("SigV4", "regular", ("Digests",))
TESTS = Room("SigV4Tests", "test", ("SigV4",))
HOUSE = [Room("CZlib", "system", ()), DIGESTS, MODEL, SIGNING, TESTS]


def source(text):
    return Source("File.swift", text)


class Imports(unittest.TestCase):
    def test_a_declared_dependency_and_a_system_module_pass(self):
        self.assertEqual(wrong_imports(source("import Digests\nimport Glibc\n"), SIGNING, HOUSE), [])

    def test_an_undeclared_room_is_named_with_its_line(self):
        [problem] = wrong_imports(source("// head\nimport SigV4\n"), DIGESTS, HOUSE)
        self.assertTrue(problem.startswith("File.swift:2: import SigV4"), problem)

    def test_attributes_access_and_kinds_hide_no_import(self):
        for before in ("@testable import", "package import", "import struct", "  @_spi(X) import"):
            text = f"{before} SigV4.Scope"
            self.assertEqual(len(wrong_imports(source(text), DIGESTS, HOUSE)), 1, text)

    def test_an_unknown_module_is_rejected(self):
        self.assertEqual(len(wrong_imports(source("import Crypto"), SIGNING, HOUSE)), 1)

    def test_what_is_for_tests_only(self):
        for text in ("import Testing", "import Foundation"):
            self.assertEqual(wrong_imports(source(text), TESTS, HOUSE), [])
            self.assertEqual(len(wrong_imports(source(text), SIGNING, HOUSE)), 1, text)

    def test_an_import_in_a_comment_or_literal_is_none(self):
        text = '// import A\n/* x\nimport B */\nlet s = """\nimport C\n"""\n'
        self.assertEqual(wrong_imports(source(text), MODEL, HOUSE), [])


class Order(unittest.TestCase):
    def test_arrows_that_point_down_pass(self):
        self.assertEqual(wrong_order(HOUSE), [])

    def test_an_arrow_up_and_a_circle_are_rejected(self):
        circle = [Room("A", "regular", ("B",)), Room("B", "regular", ("A",))]
        self.assertEqual(len(wrong_order(circle)), 1)

    def test_targets_products_and_names_are_all_read(self):
        dependencies = [{"byName": ["B", None]}, {"product": ["C", "p", None, None]}]
        target = {"name": "A", "type": "regular", "dependencies": dependencies}
        self.assertEqual(rooms({"targets": [target]}), [Room("A", "regular", ("B", "C"))])


class Folders(unittest.TestCase):
    LIBRARY = Room("S3Mirror", "regular", ())
    ORDER = ["API", "Lane", "Scope"]

    def problems(self, allowed=(), **folders):
        sources = {folder: [source(text)] for folder, text in folders.items()}
        return wrong_uses(sources, self.LIBRARY, self.ORDER, {use: "a reason" for use in allowed})

    def test_uses_that_point_down_or_stay_pass(self):
        self.assertEqual(self.problems(
            API="public struct Options {}\nlet all: [Options]", Lane="final class Pass { var options: Options }",
            Scope="func run(_ pass: Pass, _ options: Options)"), [])

    def test_a_use_that_points_up_is_named_with_its_line_and_once_a_file(self):
        [problem] = self.problems(API="// head\nlet a: Pass\nlet b: Pass", Lane="@frozen\npublic final class Pass {}")
        self.assertTrue(problem.startswith("File.swift:2: Pass: S3Mirror/Lane stands above API"), problem)

    def test_each_kind_of_type_is_seen(self):
        for kind in ("struct", "final class", "indirect enum", "actor", "package protocol", "public typealias"):
            self.assertEqual(len(self.problems(API="let a: Pass?", Lane=f"{kind} Pass")), 1, kind)

    def test_what_only_shares_a_name_passes(self):
        # A member of another type, a nested type, a private type, and a word in a comment.
        for text in ("let a: Options.Pass", "struct Options {\n  struct Pass {}\n  let a: Pass\n}", "// Pass\nlet a = 1"):
            self.assertEqual(self.problems(API=text, Lane="struct Pass {}"), [], text)
        self.assertEqual(self.problems(API="let a: Pass", Lane="private struct Pass {}"), [])

    def test_a_use_on_the_list_passes_until_nothing_needs_it(self):
        use = ("API", "Pass")
        self.assertEqual(self.problems([use], API="let a: Pass", Lane="struct Pass {}"), [])
        [problem] = self.problems([use], API="let a: Int", Lane="struct Pass {}")
        self.assertIn("take it off", problem)

    def test_a_folder_without_a_place_is_named(self):
        self.assertEqual(len(self.problems(Attic="struct Box {}")), 1)

    def test_the_list_is_empty(self):
        self.assertEqual(USES_UP, {})


class Tasks(unittest.TestCase):
    def test_what_wakes_the_runtimes_pool_is_rejected(self):
        for text in ("Task {", "Task<Void, Never> {", "try await Task.sleep(for: x)", "Task.detached { }",
                     "DispatchQueue.global().async {", "addTask(executorPreference: a.isEmpty ? nil : a[0]) {"):
            self.assertEqual(len(wrong_tasks(source(text), SIGNING)), 1, text)

    def test_a_task_that_says_where_it_runs_passes(self):
        text = "Task(executorPreference: TaskThreads.current) { x }\nTask.isCancelled\n// Task { in a comment\n"
        self.assertEqual(wrong_tasks(source(text), SIGNING), [])


class Waits(unittest.TestCase):
    def test_a_loop_that_waits_without_a_limit_is_rejected(self):
        for text in ("while slots.count < 4 { await Task.yield() }",
                     "while await a.b == nil {\n  try await Task.sleep(for: x)\n}",
                     "while try file.isHeld() { sched_yield() }"):
            self.assertEqual(len(wrong_waits(source(text))), 1, text)

    def test_a_loop_that_works_and_a_bounded_wait_pass(self):
        text = 'while let a = next() { use(a) }\ntry await eventually("it ends") { await Task.yield(); return a }\n'
        self.assertEqual(wrong_waits(source(text)), [])


class Marks(unittest.TestCase):
    REASON = "// SAFETY: lives as long as the call.\n"

    def test_an_unsafe_mark_outside_its_rooms_is_rejected_with_or_without_a_reason(self):
        for text in (
            "x.withUnsafeBytes { $0 }",
            "let p: UnsafePointer<Int>",
            "nonisolated(unsafe) var a = 0",
            "Unmanaged.passRetained(a)",
        ):
            self.assertEqual(len(wrong_marks(source(self.REASON + text), SIGNING, "File.swift")), 1, text)

    def test_an_unsafe_mark_needs_a_reason_where_it_is_allowed(self):
        self.assertEqual(wrong_marks(source(self.REASON + "x.withUnsafeBytes { $0 }"), DIGESTS, "File.swift"), [])
        self.assertEqual(len(wrong_marks(source("x.withUnsafeBytes { $0 }"), DIGESTS, "File.swift")), 1)

    def test_unchecked_needs_its_own_comment(self):
        bare = self.REASON + "\nfinal class A: @unchecked Sendable {}"
        self.assertEqual(len(wrong_marks(source(bare), DIGESTS, "File.swift")), 1)
        said = "/// Confined to the loop's thread.\n@frozen\nfinal class A: @unchecked Sendable {}"
        self.assertEqual(wrong_marks(source(said), DIGESTS, "File.swift"), [])

    def test_some_rooms_allow_some_files_only(self):
        log = Room("TransferLog", "regular", ())
        text = self.REASON + "x.withUnsafeBytes { $0 }"
        self.assertEqual(wrong_marks(source(text), log, "GzipWriter.swift"), [])
        self.assertEqual(len(wrong_marks(source(text), log, "TransferRecord.swift")), 1)

    def test_a_lent_buffer_may_be_named_but_not_made(self):
        self.assertEqual(wrong_marks(source("func receive(_ bytes: UnsafeRawBufferPointer)"), MODEL, "File.swift"), [])
        self.assertEqual(len(wrong_marks(source("bytes.withUnsafeBytes { $0 }"), MODEL, "File.swift")), 1)

    def test_marks_in_comments_and_literals_are_none(self):
        self.assertEqual(wrong_marks(source('// UnsafePointer\nlet s = "@unchecked"'), SIGNING, "File.swift"), [])


class Access(unittest.TestCase):
    def test_public_is_for_the_library_only(self):
        text = "public struct A {}\n  public(set) var b = 0\n@frozen public enum C {}\n"
        self.assertEqual(len(wrong_access(source(text), SIGNING)), 3)
        self.assertEqual(wrong_access(source(text), Room("S3Mirror", "regular", ())), [])


class Blanking(unittest.TestCase):
    def test_code_after_each_kind_of_literal_and_comment_stays(self):
        literals = (r'"a\"b"', r'#"a\"#', '"""\na "b"\n"""', r'"\\"', r'##"a"#b"##')
        comments = ("/* a /* b */ c */", "// a\n")
        for text in literals + comments:
            self.assertEqual(blank(text + " X").split(), ["X"], text)

    def test_line_numbers_stay(self):
        text = '/*\n\n*/\nlet s = """\n\n"""\nX'
        self.assertEqual(blank(text).count("\n"), text.count("\n"))


if __name__ == "__main__":
    unittest.main()
