"""Writes the manual pages, one for the program and one for each command, from what the argument parser knows.

The parser's own dump (`--experimental-dump-help`) is the one source: a page cannot lack an option that the program has.
"""

import re

SECTION = "1"
# Sections of the program's own page that no parser provides.
FILES = [
    ("~/.aws/config, ~/.aws/credentials", "Profiles, as for AWS's own tools."),
    ("$XDG_STATE_HOME/s3mirror/log", "Transfer logs; without the variable below ~/.local/state. See s3mirror\\-log(1)."),
    ("$XDG_CACHE_HOME/s3mirror", "What earlier runs published and need not read again; may be deleted at any time."),
    ("$XDG_RUNTIME_DIR/s3mirror", "Locks and control sockets of running mirrors."),
]
ENVIRONMENT = [
    ("AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION, AWS_ENDPOINT_URL_S3, ...", "As for AWS's own tools."),
    ("https_proxy, http_proxy, no_proxy", "The proxy of requests."),
    ("TMPDIR", "Where private copies of files and long listings lie for a while; /tmp without it."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by a service manager, see sd_notify(3); s3mirror watch answers."),
]
EXIT_STATUS = [
    ("0", "All done."),
    ("1", "Some transfer failed, a key was refused, a delete that was asked for was withheld, or something differs."),
    ("2", "Usage."),
    ("3", "Configuration, credentials or access, found before any transfer."),
    ("126, 127", "run: the command is not executable, is not found."),
    ("128+n", "Ended by signal n before all was published."),
]


def pages(dump, usages, version, date):
    """The pages by file name.

    `usages` has the synopsis of each command by its name, "" for the program; `date` is that of the release, YYYY-MM-DD.
    """
    program = dump["command"]
    commands = [each for each in program["subcommands"] if each["commandName"] != "help"]
    names = [f"{program['commandName']}-{each['commandName']}" for each in commands]
    written = {f"{program['commandName']}.1": program_page(program, commands, usages[""], version, date)}
    for name, command in zip(names, commands):
        others = [program["commandName"], *(each for each in names if each != name)]
        usage = usages[command["commandName"]]
        written[f"{name}.1"] = command_page(name, command, usage, others, version, date)
    return written


def program_page(program, commands, usage, version, date):
    name = program["commandName"]
    lines = head(name, program["abstract"], usage, version, date)
    lines += description(program)
    lines += [".SH COMMANDS"]
    for each in commands:
        lines += [".TP", f"\\fB{name}\\-{escaped(each['commandName'])}\\fR({SECTION})", text(each["abstract"])]
    lines += options(program["arguments"])
    lines += listed("EXIT STATUS", EXIT_STATUS) + listed("ENVIRONMENT", ENVIRONMENT)
    lines += listed("FILES", FILES)
    return finished(lines, [f"{name}-{each['commandName']}" for each in commands])


def command_page(name, command, usage, others, version, date):
    lines = head(name, command["abstract"], usage, version, date)
    return finished(lines + description(command) + options(command["arguments"]), others)


def head(name, abstract, usage, version, date):
    lines = [
        f'.TH "{name.upper()}" "{SECTION}" "{date}" "s3mirror {version}" "User Commands"',
        ".SH NAME",
        f"{escaped(name)} \\- {escaped(abstract[0].lower() + abstract[1:].rstrip('.'))}",
        ".SH SYNOPSIS",
    ]
    for number, line in enumerate(usage):
        lines += ([".br"] if number else []) + [text(line)]
    return lines


def description(command):
    lines = [".SH DESCRIPTION", text(command["abstract"])]
    for paragraph in re.split(r"\n\s*\n", command.get("discussion", "")):
        if paragraph.strip():
            lines += [".PP", text(paragraph)]
    return lines


def options(arguments):
    """Positional arguments first, then options in the parser's order, which is that of `--help`."""
    shown = [each for each in arguments if each["shouldDisplay"]]
    positional = [each for each in shown if each["kind"] == "positional"]
    lines = []
    for title, group in (("ARGUMENTS", positional), ("OPTIONS", [each for each in shown if each not in positional])):
        if group:
            lines.append(f".SH {title}")
        for each in group:
            lines += [".TP", heading(each), text(explanation(each)) or "\\&"]
    return lines


def heading(argument):
    value = f"\\fI{escaped(argument['valueName'].upper() if argument['kind'] == 'positional' else argument['valueName'])}\\fR"
    if argument["kind"] == "positional":
        return value + (" ..." if argument["isRepeating"] else "")
    names = sorted(argument["names"], key=lambda each: each["kind"] != "short")
    joined = ", ".join(f"\\fB{escaped(('-' if each['kind'] == 'short' else '--') + each['name'])}\\fR" for each in names)
    return joined + (f" {value}" if argument["kind"] == "option" else "")


def explanation(argument):
    parts = [argument.get("abstract", "").strip()]
    if argument["kind"] == "option" and argument.get("allValues"):
        parts.append(f"One of {', '.join(argument['allValues'])}.")
    if argument.get("defaultValue"):
        parts.append(f"Default: {argument['defaultValue']}.")
    return " ".join(ended(each) for each in parts if each)


def ended(sentence):
    return sentence if sentence[-1] in ".?!)" or " " not in sentence else sentence + "."


def listed(title, entries):
    lines = [f".SH {title}"]
    for term, meaning in entries:
        lines += [".TP", f"\\fB{escaped(term)}\\fR", meaning if "\\" in meaning else text(meaning)]
    return lines


def finished(lines, others):
    references = [f"\\fB{escaped(each)}\\fR({SECTION})" for each in others]
    return "\n".join([*lines, ".SH SEE ALSO", ",\n".join(references)]) + "\n"


def text(line):
    """Running text: nothing in it is a request or an escape of roff."""
    return escaped(" ".join(line.split()))


def escaped(words):
    written = words.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return "\\&" + written if written[:1] in (".", "'") else written


def usage_of(help_text):
    """The lines of the synopsis, out of what `s3mirror help COMMAND` prints."""
    lines = help_text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("USAGE:"))
    found = [lines[start].removeprefix("USAGE:").strip()]
    for line in lines[start + 1 :]:
        if not line.strip():
            break
        found.append(line.strip())
    return found
