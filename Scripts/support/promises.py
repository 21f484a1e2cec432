"""Holds the promises of the page Semantics and the tests that show them together. Used by Scripts/check-promises.

A promise is a bullet of the page that begins with its ID in bold: `- **PUB-3** ...`. A test carries IDs by a trait,
`.promise("PUB-3")`, and a script of steps by a comment, `# shows PUB-3`.
"""

import dataclasses
import re

import layers

PAGE = "Sources/S3Mirror/S3Mirror.docc/Semantics.md"

# Promises without a test, each with the reason. When a promise gets a test, it must leave this table.
NOT_SHOWN = {
    "WATCH-2": "a limit of the kernel: no event and no stamp shows the store, so there is nothing to be observed",
    "DOWN-7": "only a power failure between fdatasync(2) and rename(2) would show the order",
    "SRV-3": "the server loses the object, seen twice in 232 trials; the tests of WATCH-13 show what an audit does then",
}

PROMISE = re.compile(r"- \*\*([A-Z]+-[1-9][0-9]*)\*\* \S")
SECTION = re.compile(r"## (.+)$")
TRAIT = re.compile(r"\.promise\(")
IN_TRAIT = re.compile(r'"([^"]*)"')
IN_SCRIPT = re.compile(r"#\s*shows\s+(.*)$", re.MULTILINE)
# Documents of the authors that readers of the project do not have. A source names the promise or the reason instead.
PRIVATE = re.compile(r"\bSPEC(?:\.md)?,? ?§?\d|\bSPEC\.md\b|\bARCHITECTURE(?:\.md)?,? ?§?\d|\b[Ii]ssue #?\d+\b")
SEARCHED = {".swift", ".md", ".py", ".sh", ".script", ".txt", ".h", ".c", ""}


@dataclasses.dataclass(frozen=True)
class Mention:
    """An ID and where it stands."""

    identifier: str
    path: str
    line: int

    def problem(self, message):
        return f"{self.path}:{self.line}: {self.identifier}: {message}"


def check(root):
    """What is wrong, and the promises that no test shows."""
    page = (root / PAGE).read_text(encoding="utf-8")
    promised, problems = promises(page, PAGE)
    mentions = []
    for path in sorted((root / "Tests").rglob("*")):
        if path.suffix in (".swift", ".script"):
            mentions += shown(str(path.relative_to(root)), path.read_text(encoding="utf-8"))
    problems += compare(promised, mentions, NOT_SHOWN)
    for path in sources(root):
        name, text = str(path.relative_to(root)), path.read_text(encoding="utf-8")
        problems += unknown_citations(name, text, promised)
        problems += private_references(name, text)
    # Both ways find an unknown ID in a test.
    return list(dict.fromkeys(problems)), NOT_SHOWN


def sources(root):
    yield from (root / name for name in ("README.md", "CHANGELOG.md", "Package.swift"))
    for folder in ("Sources", "Tests", "Scripts"):
        for path in sorted((root / folder).rglob("*")):
            if path.is_file() and path.suffix in SEARCHED and "Resources" not in path.parts:
                yield path


def promises(text, path):
    """The page's promises, and what is wrong with their IDs."""
    promised, problems, sections, prefixes = [], [], {}, {}
    section = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := SECTION.match(line):
            section = heading[1]
        if not line.startswith("- "):
            continue
        found = PROMISE.match(line)
        if not found:
            problems.append(f"{path}:{number}: a promise without an ID; give it the next number of its section")
            continue
        mention = Mention(found[1], path, number)
        prefix = found[1].split("-")[0]
        if mention.identifier in {each.identifier for each in promised}:
            problems.append(mention.problem("stands on the page twice"))
        if sections.setdefault(prefix, section) != section or prefixes.setdefault(section, prefix) != prefix:
            problems.append(mention.problem("a section has one prefix, and a prefix one section"))
        promised.append(mention)
    return promised, problems


def shown(path, text):
    """The IDs that a file of tests carries."""
    mentions = []
    if path.endswith(".script"):
        for found in IN_SCRIPT.finditer(text):
            line = line_of(text, found)
            mentions += [Mention(identifier, path, line) for identifier in re.split(r"[,\s]+", found[1].strip())]
        return mentions
    # A trait in a comment or a literal does not count. The IDs themselves are literals, so they are read from the text.
    code = layers.blank(text)
    for found in TRAIT.finditer(code):
        end = code.index(")", found.end())
        line = line_of(text, found)
        mentions += [Mention(each[1], path, line) for each in IN_TRAIT.finditer(text, found.end(), end)]
    return mentions


def compare(promised, mentions, not_shown):
    known = {each.identifier for each in promised}
    carried = {each.identifier for each in mentions}
    problems = [each.problem("no promise of the page has this ID") for each in mentions if each.identifier not in known]
    for each in promised:
        if each.identifier not in carried and each.identifier not in not_shown:
            problems.append(each.problem('no test shows it; give `.promise("…")` to one that does, or write one'))
    for identifier in not_shown:
        if identifier not in known:
            problems.append(f"NOT_SHOWN: {identifier}: no promise of the page has this ID")
        elif identifier in carried:
            problems.append(f"NOT_SHOWN: {identifier}: a test shows it; take it off the table")
    return problems


def unknown_citations(path, text, promised):
    """Where a comment cites a promise that the page does not have: it has moved on."""
    known = {each.identifier for each in promised}
    prefixes = "|".join(sorted({identifier.split("-")[0] for identifier in known}))
    cited = re.finditer(rf"(?<![\w-])(?:{prefixes})-[0-9]+\b", text)
    return [
        Mention(found.group(), path, line_of(text, found)).problem("no promise of the page has this ID")
        for found in cited
        if found.group() not in known
    ]


def private_references(path, text):
    """Where a file names a document that readers of the project do not have."""
    return [
        f"{path}:{line_of(text, found)}: {found.group()}: readers do not have it; "
        "name the promise of the page Semantics, or give the reason"
        for found in PRIVATE.finditer(text)
    ]


def line_of(text, found):
    return text.count("\n", 0, found.start()) + 1
