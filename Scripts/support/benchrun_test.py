"""Run by Scripts/lint: `python3 -m unittest discover -s Scripts/support -p '*_test.py'`."""

import subprocess
import sys
import tempfile
import unittest

import benchrun

MIB = 1 << 20

# Prints a line when its memory is allocated, and ends with its input.
PROGRAM = """
import mmap, sys
with open(sys.argv[2], "rb") as file:
    kept = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if sys.argv[1] == "maps" else file.read()
    total = sum(kept[at] for at in range(0, len(kept), 4096))
print("ready", flush=True)
sys.stdin.read()
"""


def peaks(how, size):
    """The peaks, private and resident in MiB, of a program that holds a file's content in memory or maps it."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(size)
        command = [sys.executable, "-c", PROGRAM, how, file.name]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            memory = benchrun.Memory(process.pid)
            memory.look_once()
            memory.stop()
            process.stdin.close()
    return memory.private / 1024, memory.resident / 1024


class MemoryTest(unittest.TestCase):
    def test_what_a_process_holds_is_private(self):
        private, resident = peaks("holds", 64 * MIB)
        self.assertGreater(private, 64)
        self.assertGreaterEqual(resident, private)

    def test_what_a_process_only_maps_is_resident_and_not_private(self):
        private, resident = peaks("maps", 64 * MIB)
        self.assertLess(private, 32)
        self.assertGreater(resident, 64)


if __name__ == "__main__":
    unittest.main()
