"""Where the time of an upload goes: perf's samples by thread and by what ran, s3mirror's beside the bare sender's."""

import collections
import shutil
import subprocess

# perf names a library by its file. Samples that it cannot name belong to the kernel.
PLACES = [
    ("kernel", "kernel"),
    ("libcurl", "libcurl"),
    ("libswift_Concurrency", "Swift concurrency"),
    ("libdispatch", "libdispatch"),
    ("libswift", "Swift runtime"),
    ("libFoundation", "Foundation"),
    ("libexpat", "Expat"),
    ("libcrypto", "OpenSSL"),
    ("libz", "zlib"),
    ("libc.so", "libc"),
]
ADDRESSES = 4999  # samples a second: not in step with any timer


def place(library):
    for part, name in PLACES:
        if part in library:
            return name
    return "own code"


def record(command, environment, data, log):
    """Runs the command under perf; its samples as (thread, library, weight)."""
    # cpu-clock also counts where a virtual machine hides the processor's counters.
    start = ["perf", "record", "--quiet", "-e", "cpu-clock", "-F", str(ADDRESSES), "-o", data, "--"]
    subprocess.run([*start, *map(str, command)], env=environment, stdout=log, stderr=log, check=True)
    script = ["perf", "script", "-i", data, "-F", "comm,ip,dso"]
    text = subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout
    samples = collections.Counter()
    for line in text.splitlines():
        thread, _, rest = line.partition("  ")
        head, _, library = line.rpartition("(")
        words = head.split()
        if not words:
            continue
        samples[" ".join(words[:-1]), place(library.rstrip(")"))] += 1
    return samples


def seconds(samples):
    return {key: count / ADDRESSES for key, count in samples.items()}


def table(title, ours, bare):
    """CPU seconds by thread and place; the bare sender has one thread."""
    ours, bare = seconds(ours), seconds(bare)
    whole, floor = sum(ours.values()), sum(bare.values())
    print(f"\n## {title}: {whole:.2f} CPU s, bare libcurl {floor:.2f}\n")
    print("| thread | what ran | CPU s | share |")
    print("|---|---|---|---|")
    for (thread, what), spent in sorted(ours.items(), key=lambda item: -item[1]):
        if spent >= whole / 100:
            print(f"| {thread} | {what} | {spent:.2f} | {spent / whole:.0%} |")
    by_place = collections.Counter()
    for (_, what), spent in bare.items():
        by_place[what] += spent
    shares = ", ".join(f"{what} {spent:.2f}" for what, spent in by_place.most_common() if spent >= floor / 100)
    print(f"\nbare libcurl: {shares}")
    return {"s3mirror": {f"{t}: {w}": s for (t, w), s in ours.items()}, "bare libcurl": dict(by_place)}


def is_possible():
    return shutil.which("perf") is not None
