"""Files up and down, by this program, its peers and a bare libcurl sender; in plain text, and over TLS. Called by bench.py."""

import shutil
import subprocess
from pathlib import Path

import benchpeers
import benchrun

SMALL_EACH = 100
SMALL_BYTES = 4096
LARGE_WIDTH = 8
# What this program may cost beside bare libcurl over TLS, and by how much it has to be ahead of its peers.
MOST_LARGE = 1.25
MOST_SMALL = 2
LEAD = 1.5


def prepare(options, work, buckets, certificate=None):
    """The sink, the programs, and the clients that take part. With a file for the sink's certificate everything is over TLS."""
    sink = benchrun.Sink(options.built / "sink", work, buckets, certificate)
    trusted = with_system(certificate) if certificate and options.system_certificates else certificate
    tools = benchpeers.Tools(options.built, options.peers, options.s3mirror, sink.url, work, trusted, options.before)
    clients = tools.clients()
    if options.only:
        wanted = options.only.split(",")
        clients = [client for client in clients if client.name in wanted]
    print("\nclients:")
    for client in clients:
        print(f"- {client.name}: {client.setting}")
    return sink, tools, clients


def with_system(certificate):
    """A file with this certificate and all that the system trusts, as clients of a real service have."""
    system = subprocess.run(["curl-config", "--ca"], capture_output=True, text=True, check=True).stdout.strip()
    trusted = certificate.with_name("trusted.pem")
    trusted.write_text(Path(system).read_text() + certificate.read_text())
    return trusted


def transfer(options, work):
    """All clients with as many requests at one time."""
    return measure_all(options, work, [(0, 32), (options.latency, 256)])


def over_tls(options, work):
    """This program with its default number of requests, the others with as many as serve them in `transfer`."""
    return measure_all(options, work, [(0, 32)], work / "certificate.pem")


def promises(results):
    """Processor time beside bare libcurl over TLS, and wall time beside the peers."""
    broken = []
    for table in results:
        clients, title = table["clients"], table["title"]
        ours, bare = clients.get("s3mirror"), clients.get("bare libcurl")
        if not ours or not bare:
            broken.append(f"{title}: s3mirror or bare libcurl has no figure")
            continue
        most = MOST_LARGE if title.startswith("one file") else MOST_SMALL
        if ours["cpu"] > most * bare["cpu"]:
            broken.append(f"{title}: {ours['cpu'] / bare['cpu']:.2f} of bare libcurl's processor time, not {most}")
        broken += [
            f"{title}: {name} takes {found['wall'] / ours['wall']:.2f} of s3mirror's time, not {LEAD}"
            for name, found in clients.items()
            if name not in ("s3mirror", "bare libcurl") and found["wall"] < LEAD * ours["wall"]
        ]
    return broken


def measure_all(options, work, small, certificate=None):
    directories = max(options.files // SMALL_EACH, 1)
    files = directories * SMALL_EACH
    buckets = {
        "uploads": (0, 0, 0),
        "large": (0, 1, options.size << 20),
        "small": (directories, SMALL_EACH, SMALL_BYTES),
    }
    sink, tools, clients = prepare(options, work, buckets, certificate)
    log = options.built / "clients.log"
    log.unlink(missing_ok=True)
    results = []

    def measure(title, what, width, source, expects):
        target = work / "target"
        taking_part = [client for client in clients if client.does(what)]

        def command_of(client, number):
            requests = 0 if certificate and client.name == "s3mirror" else width
            if what.startswith("up"):
                key = f"{what}-{client.name.replace(' ', '-')}-{number}"
                key += "/file.bin" if what == "up-large" and client.name != "pos3" else ""
                job = benchpeers.Job(what, "uploads", key, source, requests, files)
            else:
                # The target must not exist, so it is created anew each time.
                target.mkdir()
                if what == "down-large":
                    benchrun.touch_memory(target, options.size << 20)
                    local = target / ("pos3" if client.name == "pos3" else "file.bin")
                    job = benchpeers.Job(what, "large", "data/file.bin", local, requests)
                else:
                    job = benchpeers.Job(what, "small", "data", target / "data", requests, files)
            return client.command(job), tools.environment(client)

        def clean():
            shutil.rmtree(target, ignore_errors=True)

        table = benchrun.Measure(title, taking_part, options.rounds, "bare libcurl")
        results.append(table.run(sink, log, command_of, clean, expects))

    if options.size:
        large = work / "large/file.bin"
        large.parent.mkdir()
        benchrun.write_large(large, options.size << 20)
        text = f"one file of {options.size} MiB"
        measure(f"{text} up, {LARGE_WIDTH} in flight", "up-large", LARGE_WIDTH, large,
                lambda counts: counts.get("UploadPart", 0) + counts.get("Put", 0) > 0)
        measure(f"{text} down, {LARGE_WIDTH} in flight", "down-large", LARGE_WIDTH, None,
                lambda counts: counts.get("Get", 0) > 0)
        large.unlink()
    if options.files:
        tree = work / "small"
        benchrun.write_tree(tree, directories, SMALL_EACH, SMALL_BYTES)
        for latency, width in small:
            if width == 256 and not latency:
                continue
            sink.delay(latency)
            text = f"{files} files of 4 KiB"
            how = f"{latency} ms latency, {width} in flight"
            measure(f"{text} up, {how}", "up-small", width, tree, lambda counts: counts.get("Put", 0) >= files)
            measure(f"{text} down, {how}", "down-small", width, None, lambda counts: counts.get("Get", 0) >= files)
    sink.stop()
    return results
