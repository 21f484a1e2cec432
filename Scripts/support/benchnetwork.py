"""How fast uploads and downloads are where each connection has a rate of its own, as on S3: `Scripts/bench network`.

s3mirror finds the number of its requests by itself. Beside it stand s3mirror with fixed numbers, and its peers with the
number that their users get by default and with 64.
"""

import dataclasses
import shutil
import statistics

import benchpeers
import benchrun

FINDING_SECONDS = 1  # for which the default may look for the number
GOAL = 1.15  # then its time beside that of the best fixed number of any client
NUMBERS = (10, 20, 32, 64)
MANY = 64
PEER_DEFAULTS = {"s5cmd": 256, "aws s3": 10, "rclone": 4}
SMALL_EACH, SMALL_BYTES = 100, 4096
MIDDLE_MEBIBYTES = 64


@dataclasses.dataclass
class Contestant:
    name: str
    client: benchpeers.Client
    width: int | None  # requests at one time; None leaves it to the client


def contestants(tools, only):
    ours = tools.ours()
    found = [Contestant("s3mirror", ours, None), *(Contestant(f"s3mirror, {number}", ours, number) for number in NUMBERS)]
    for client in (tools.s5cmd(), tools.aws(), tools.rclone(), tools.awscrt()):
        default = PEER_DEFAULTS.get(client.name)
        if default and default != MANY:
            found.append(Contestant(f"{client.name}, {default}", client, default))
        found.append(Contestant(f"{client.name}, {MANY}", client, MANY))
    if not only:
        return found
    return [each for each in found if each.client.name in only.split(",")]


def measure(options, work):
    directories = max(options.files // SMALL_EACH, 1)
    middles = max(options.size // MIDDLE_MEBIBYTES, 1)
    buckets = {
        "uploads": (0, 0, 0),
        "large": (0, 1, options.size << 20),
        "small": (directories, SMALL_EACH, SMALL_BYTES),
    }
    sink = benchrun.Sink(options.built / "sink", work, buckets)
    tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, sink.url, work)
    log = options.built / "clients.log"
    log.unlink(missing_ok=True)
    taking_part = contestants(tools, options.only)
    large, middle, small = work / "large/file.bin", work / "middle", work / "small"
    large.parent.mkdir()
    benchrun.write_large(large, options.size << 20)
    middle.mkdir()
    for number in range(middles):
        benchrun.write_large(middle / f"{number}.bin", MIDDLE_MEBIBYTES << 20)
    benchrun.write_tree(small, directories, SMALL_EACH, SMALL_BYTES)
    shapes = {
        f"one file of {options.size} MiB up": ("up-large", large),
        f"{middles} files of {MIDDLE_MEBIBYTES} MiB up": ("up-small", middle),
        f"{directories * SMALL_EACH} files of 4 KiB up": ("up-small", small),
        f"one file of {options.size} MiB down": ("down-large", None),
        f"{directories * SMALL_EACH} files of 4 KiB down": ("down-small", None),
    }
    results, numbers = [], iter(range(1_000_000))
    for rate in map(int, options.rates.split(",")):
        sink.ask(f"rate/{rate * 1_000_000}")
        for latency in map(int, options.latencies.split(",")):
            sink.delay(latency)
            for shape, (what, source) in shapes.items():
                if options.cells not in shape:
                    continue
                title = f"{shape}, {f'{rate} MB/s a connection' if rate else 'no rate'}, {latency} ms"
                results.append(cell(title, what, source, taking_part, tools, sink, log, options, work, numbers))
    sink.stop()
    return results


def cell(title, what, source, taking_part, tools, sink, log, options, work, numbers):
    target = work / "target"
    files = options.files if "small" in what else 1

    def command_of(contestant, _):
        if what.startswith("up"):
            key = f"{next(numbers)}" + ("/file.bin" if what == "up-large" else "")
            job = benchpeers.Job(what, "uploads", key, source, contestant.width, files)
        elif what == "down-large":
            target.mkdir()
            benchrun.touch_memory(target, options.size << 20)
            job = benchpeers.Job(what, "large", "data/file.bin", target / "file.bin", contestant.width)
        else:
            target.mkdir()
            job = benchpeers.Job(what, "small", "data", target / "data", contestant.width, files)
        return contestant.client.command(job), tools.environment(contestant.client)

    # The library client has no directory mode for files of other names.
    able = [each for each in taking_part if each.client.does(what) and not (each.client.name == "awscrt" and "small" in what)]
    table = benchrun.Measure(title, able, options.rounds, "")
    return table.run(sink, log, command_of, lambda: shutil.rmtree(target, ignore_errors=True))


def promises(results):
    """One sentence for each cell in which the default is slower than allowed."""
    broken, ratios = [], []
    for each in results:
        walls = {name: figures["wall"] for name, figures in each["clients"].items()}
        if "s3mirror" not in walls:
            broken.append(f"{each['title']}: s3mirror has no sample")
            continue
        best = min(walls, key=walls.get)
        ratio = walls["s3mirror"] / walls[best]
        ratios.append(ratio)
        print(f"{each['title']}: s3mirror {walls['s3mirror']:.2f} s, the best {walls[best]:.2f} s ({best}), {ratio:.2f}")
        if walls["s3mirror"] > FINDING_SECONDS + GOAL * walls[best]:
            broken.append(
                f"{each['title']}: {ratio:.2f} of the time of {best}; the goal is {GOAL} after {FINDING_SECONDS} s"
            )
    if ratios:
        print(f"median {statistics.median(ratios):.2f}, highest {max(ratios):.2f}")
    return broken
