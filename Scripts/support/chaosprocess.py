"""The mirror's process: started with limits, weighed from /proc, and the mounts that disk faults need.

A round is a process of its own, so a private mount namespace and another user are its own too.
"""

import contextlib
import ctypes
import os
import pathlib
import resource
import signal
import subprocess
import time

from chaosend import Weight
from ending import die_with_parent
from mirrorrun import environment

MIB = 1 << 20
CLONE_NEWNS = 0x00020000  # linux/sched.h
MS_REC, MS_PRIVATE = 0x4000, 1 << 18  # sys/mount.h
NOBODY = 65534


class MirrorProcess:
    """One running s3mirror; `output` is a file that gets what it says on both streams."""

    def __init__(self, command, work, aws, output, limits=()):
        def prepare():
            die_with_parent()
            for which, bound in limits:
                resource.setrlimit(which, (bound, bound))

        self.output = output
        self.weights = []
        with open(output, "ab") as file:
            self.process = subprocess.Popen(
                [str(each) for each in command],
                env={**environment(work), **aws},
                cwd=work,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare,
            )

    def weigh(self):
        directory = pathlib.Path(f"/proc/{self.process.pid}")
        with contextlib.suppress(OSError, KeyError, ValueError, IndexError):
            fields = dict(line.split(":", 1) for line in (directory / "status").read_text().splitlines() if ":" in line)
            memory = int(fields["RssAnon"].split()[0]) * 1024
            self.weights.append(
                Weight(time.time(), memory, len(os.listdir(directory / "fd")), int(fields["Threads"]))
            )

    def is_running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.is_running():
            self.process.send_signal(number)

    def await_end(self, seconds):
        """The exit status (negative: the signal that ended it), or None when it goes on running."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if not self.is_running():
                return self.process.returncode
            self.weigh()
            time.sleep(0.03)
        return None

    def kill(self):
        if self.is_running():
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()

    def said(self):
        return pathlib.Path(self.output).read_text(errors="replace")


def own_mounts():
    """From here on this process and its children have mounts of their own (unshare(2), mount_namespaces(7))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS) or libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None):
        raise OSError(ctypes.get_errno(), "no private mount namespace")


def mount_tmpfs(path, size):
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=777", "chaos", str(path)], check=True)


def remount(path, options):
    subprocess.run(["mount", "-o", f"remount,{options}", str(path)], check=True)


def unmount(path):
    for _ in range(20):
        if not subprocess.run(["umount", str(path)], check=False, stderr=subprocess.DEVNULL).returncode:
            return
        time.sleep(0.02)
    subprocess.run(["umount", "-l", str(path)], check=True)


def become_nobody(directory):
    """Root reads everything, whatever its mode; this user does not. The directory becomes its own."""
    for each in [directory, *pathlib.Path(directory).rglob("*")]:
        os.chown(each, NOBODY, NOBODY, follow_symlinks=False)
    os.setgroups([])
    os.setresgid(NOBODY, NOBODY, NOBODY)
    os.setresuid(NOBODY, NOBODY, NOBODY)
