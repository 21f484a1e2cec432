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


def contestants(tools, only, numbers=NUMBERS):
    ours = tools.ours()
    found = [Contestant("s3mirror", ours, None), *(Contestant(f"s3mirror, {number}", ours, number) for number in numbers)]
    for client in (tools.s5cmd(), tools.aws(), tools.rclone(), tools.awscrt()):
        default = PEER_DEFAULTS.get(client.name)
        if default and default != MANY:
            found.append(Contestant(f"{client.name}, {default}", client, default))
        found.append(Contestant(f"{client.name}, {MANY}", client, MANY))
    if not only:
        return found
    return [each for each in found if each.client.name in only.split(",")]


class Ground:
    """The sink, the clients' tools, and what they transfer."""

    def __init__(self, options, work):
        self.options, self.work = options, work
        directories = max(options.files // SMALL_EACH, 1)
        middles = max(options.size // MIDDLE_MEBIBYTES, 1)
        buckets = {
            "uploads": (0, 0, 0),
            "large": (0, 1, options.size << 20),
            "small": (directories, SMALL_EACH, SMALL_BYTES),
        }
        self.sink = benchrun.Sink(options.built / "sink", work, buckets)
        self.tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, self.sink.url, work)
        self.log = options.built / "clients.log"
        self.log.unlink(missing_ok=True)
        self.keys = iter(range(1_000_000))
        large, middle, small = work / "large/file.bin", work / "middle", work / "small"
        large.parent.mkdir()
        benchrun.write_large(large, options.size << 20)
        middle.mkdir()
        for number in range(middles):
            benchrun.write_large(middle / f"{number}.bin", MIDDLE_MEBIBYTES << 20)
        benchrun.write_tree(small, directories, SMALL_EACH, SMALL_BYTES)
        self.shapes = {
            f"one file of {options.size} MiB up": ("up-large", large),
            f"{middles} files of {MIDDLE_MEBIBYTES} MiB up": ("up-small", middle),
            f"{directories * SMALL_EACH} files of 4 KiB up": ("up-small", small),
            f"one file of {options.size} MiB down": ("down-large", None),
            f"{directories * SMALL_EACH} files of 4 KiB down": ("down-small", None),
        }

    def cell(self, shape, circumstances, taking_part):
        """One table: a transfer by each of the contestants that can do it."""
        what, source = self.shapes[shape]
        target = self.work / "target"
        files = self.options.files if "small" in what else 1

        def command_of(contestant, _):
            if what.startswith("up"):
                key = f"{next(self.keys)}" + ("/file.bin" if what == "up-large" else "")
                job = benchpeers.Job(what, "uploads", key, source, contestant.width, files)
            elif what == "down-large":
                target.mkdir()
                benchrun.touch_memory(target, self.options.size << 20)
                job = benchpeers.Job(what, "large", "data/file.bin", target / "file.bin", contestant.width)
            else:
                target.mkdir()
                job = benchpeers.Job(what, "small", "data", target / "data", contestant.width, files)
            return contestant.client.command(job), self.tools.environment(contestant.client)

        # The library client has no directory mode for files of other names.
        able = [each for each in taking_part if each.client.does(what) and not (each.client.name == "awscrt" and "small" in what)]
        table = benchrun.Measure(f"{shape}, {circumstances}", able, self.options.rounds, "")
        return table.run(self.sink, self.log, command_of, lambda: shutil.rmtree(target, ignore_errors=True))


def measure(options, work):
    ground = Ground(options, work)
    taking_part = contestants(ground.tools, options.only)
    results = []
    for rate in map(int, options.rates.split(",")):
        ground.sink.ask(f"rate/{rate * 1_000_000}")
        for latency in map(int, options.latencies.split(",")):
            ground.sink.delay(latency)
            for shape in ground.shapes:
                if options.cells not in shape:
                    continue
                circumstances = f"{f'{rate} MB/s a connection' if rate else 'no rate'}, {latency} ms"
                results.append(ground.cell(shape, circumstances, taking_part))
    ground.sink.stop()
    return results


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
