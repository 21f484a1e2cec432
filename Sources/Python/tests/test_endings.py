"""Signals, kills and forks at any point: one clear outcome each, and no process left."""

import multiprocessing
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest
from sessions import sessions_of

from s3mirror import Download, Mirror, Options, SessionError, Upload

from processes import Script, eventually

# Python's own status for a KeyboardInterrupt that nobody caught: it ends itself by the signal.
INTERRUPTED = -signal.SIGINT

# A file is published and then removed, another is not published yet.
IN_THE_BODY = """
    with Mirror(out=Upload(url, local="out", interval=None)) as m:
        (m.out / "a").write_bytes(b"1")
        m.flush()
        (m.out / "a").unlink()
        (m.out / "b").write_bytes(b"2")
        print("body")
        time.sleep(600)
"""


def mirror_of(prefix, **given):
    return Mirror(out=Upload(prefix.url("out"), local="out", interval=None, **given))


# KeyboardInterrupt


def test_an_interrupt_in_the_body_publishes_and_deletes_nothing(prefix):
    script = Script(IN_THE_BODY, url=prefix.url("out"))
    script.says("body")
    script.signal(signal.SIGINT)
    status, messages = script.ending()
    assert status == INTERRUPTED
    assert messages.rstrip().endswith("KeyboardInterrupt")
    assert prefix.contents("out/") == {"a": b"1", "b": b"2"}
    assert sessions_of(script.process.pid) == []


def test_an_interrupt_while_a_flush_waits_leaves_the_mirror_as_it_is(prefix):
    script = Script(
        """
        with Mirror(Options(max_upload_bytes_per_second=200_000), out=Upload(url, local="out", interval=None)) as m:
            (m.out / "large").write_bytes(bytes(1_000_000))
            print("flush")
            try:
                m.flush()
            except KeyboardInterrupt:
                print("interrupted")
            m.flush()
            print("flushed")
            sys.stdin.readline()
        """,
        url=prefix.url("out"),
    )
    script.says("flush")
    eventually(lambda: sessions_of(script.process.pid), "the session runs")
    time.sleep(0.5)
    script.signal(signal.SIGINT)
    script.says("interrupted")
    script.says("flushed")
    assert len(prefix.contents("out/")["large"]) == 1_000_000
    assert script.ending()[0] == 0


def test_an_interrupt_in_the_entry_cuts_it_short(prefix):
    for number in range(20):
        prefix.put(f"data/{number}", b"x" * 100_000)
    script = Script(
        """
        print("entry")
        with Mirror(Options(max_download_bytes_per_second=20_000), data=Download(url, local="data")):
            print("body")
        """,
        url=prefix.url("data"),
    )
    script.says("entry")
    eventually(pathlib.Path("data").exists, "the download has begun")
    script.signal(signal.SIGINT)
    assert script.ending()[0] == INTERRUPTED
    assert sessions_of(script.process.pid) == []
    with Mirror(data=Download(prefix.url("data"), local="data")) as m:
        assert {each.name: each.stat().st_size for each in m.data.iterdir()} == {
            str(n): 100_000 for n in range(20)
        }


def test_an_interrupt_in_the_exit_cuts_it_short(prefix):
    script = Script(
        """
        with Mirror(Options(max_upload_bytes_per_second=1000), out=Upload(url, local="out", interval=None)) as m:
            (m.out / "large").write_bytes(bytes(20 << 20))
            print("exit")
        """,
        url=prefix.url("out"),
    )
    script.says("exit")
    time.sleep(0.5)
    script.signal(signal.SIGINT)
    assert script.ending()[0] == INTERRUPTED
    assert sessions_of(script.process.pid) == []
    assert prefix.contents() == {}
    # The file is here still, and the next run publishes it.
    with mirror_of(prefix):
        pass
    assert prefix.contents("out/") == {"large": bytes(20 << 20)}


def test_a_second_interrupt_in_the_exit_kills(prefix):
    script = Script(
        """
        with Mirror(Options(max_upload_bytes_per_second=1000), out=Upload(url, local="out", interval=None)) as m:
            (m.out / "large").write_bytes(bytes(20 << 20))
            print("exit")
        """,
        url=prefix.url("out"),
    )
    script.says("exit")
    [session] = eventually(lambda: sessions_of(script.process.pid), "the session runs")
    # So that it answers nothing.
    os.kill(session, signal.SIGSTOP)
    time.sleep(0.3)
    script.signal(signal.SIGINT)
    time.sleep(0.3)
    script.signal(signal.SIGINT)
    assert script.ending()[0] == INTERRUPTED
    assert sessions_of(script.process.pid) == []
    with mirror_of(prefix):
        pass
    assert prefix.contents("out/") == {"large": bytes(20 << 20)}


def test_sys_exit_in_the_body_is_no_clean_end(prefix):
    script = Script(
        """
        with Mirror(out=Upload(url, local="out", interval=None)) as m:
            (m.out / "a").write_bytes(b"1")
            m.flush()
            (m.out / "a").unlink()
            sys.exit(7)
        """,
        url=prefix.url("out"),
    )
    assert script.ending()[0] == 7
    assert prefix.contents("out/") == {"a": b"1"}


# Deaths


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_program_that_is_killed_leaves_its_files_on_s3_and_no_session(prefix, number):
    script = Script(IN_THE_BODY, url=prefix.url("out"))
    script.says("body")
    script.signal(number)
    assert script.ending()[0] == -number
    script.await_no_session()
    assert prefix.contents("out/") == {"a": b"1", "b": b"2"}


def test_a_forked_worker_that_outlives_the_program_keeps_no_session(prefix):
    script = Script(
        """
        with Mirror(out=Upload(url, local="out", interval=None)) as m:
            if os.fork() == 0:
                # Started as a program that was never told of the mirror, with every descriptor it could have.
                time.sleep(20)
                os._exit(0)
            (m.out / "a").write_bytes(b"1")
            print("body")
            time.sleep(600)
        """,
        url=prefix.url("out"),
    )
    script.says("body")
    script.signal(signal.SIGKILL)
    script.process.wait()
    script.await_no_session()
    assert prefix.contents("out/") == {"a": b"1"}
    script.process.stdout.close()
    script.process.stderr.close()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGALRM])
def test_a_session_that_dies_is_one_exception_at_each_call(prefix, number):
    with pytest.raises(SessionError, match=signal.Signals(number).name), mirror_of(prefix) as m:
        [session] = sessions_of(os.getpid())
        os.kill(session, number)
        with pytest.raises(SessionError, match="the next run publishes it"):
            m.flush()
        with pytest.raises(SessionError):
            m.status()
        assert m.out.name == "out"


def test_a_session_that_dies_while_a_flush_waits(prefix):
    options = Options(max_upload_bytes_per_second=1000)
    with (
        pytest.raises(KeyError),
        Mirror(options, out=Upload(prefix.url("out"), local="out", interval=None)) as m,
    ):
        (m.out / "large").write_bytes(bytes(1 << 20))
        pending = m._session.send("flush")
        os.kill(sessions_of(os.getpid())[0], signal.SIGKILL)
        with pytest.raises(SessionError, match="SIGKILL"):
            pending.wait()
        # The body's own exception wins over the session's.
        raise KeyError


def test_a_session_that_dies_in_the_entry(prefix):
    for number in range(20):
        prefix.put(f"data/{number}", b"x" * 100_000)
    script = Script(
        """
        try:
            with Mirror(Options(max_download_bytes_per_second=20_000), data=Download(url, local="data")):
                print("body")
        except SessionError as error:
            print(error.kind)
        """,
        url=prefix.url("data"),
    )
    eventually(pathlib.Path("data").exists, "the download has begun")
    os.kill(sessions_of(script.process.pid)[0], signal.SIGKILL)
    script.says("session")
    assert script.ending()[0] == 0


# Forks and spawns


def test_a_fork_neither_ends_nor_asks_the_parents_mirror(prefix):
    with mirror_of(prefix) as m:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                m.flush()
            except SessionError as error:
                assert m.out.name == "out"
                m.__exit__(None, None, None)
                os.write(writer, str(error).encode())
            os._exit(0)
        os.close(writer)
        os.waitpid(child, 0)
        said = os.read(reader, 4096).decode()
        os.close(reader)
        assert f"a fork of process {os.getpid()}" in said
        (m.out / "a").write_bytes(b"1")
        m.flush()
        assert prefix.contents("out/") == {"a": b"1"}
        (m.out / "b").write_bytes(b"2")
    assert set(prefix.contents("out/")) == {"a", "b"}


def load(path):
    return sorted(os.listdir(path))


def mirror_in_worker(url):
    with Mirror(out=Upload(url, local=f"worker-{os.getpid()}", interval=None)) as m:
        (m.out / "w").write_bytes(b"3")
        m.flush()
    return m.report.is_complete


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_workers_read_paths_and_open_mirrors_of_their_own(prefix, method, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    prefix.put("data/x")
    context = multiprocessing.get_context(method)
    with Mirror(
        data=Download(prefix.url("data"), local="data"),
        out=Upload(prefix.url("out"), local="out", interval=None),
    ) as m:
        with context.Pool(2) as pool:
            assert pool.map(load, [m.data] * 4) == [["x"]] * 4
            assert pool.map(mirror_in_worker, [prefix.url("workers")]) == [True]
        (m.out / "a").write_bytes(b"1")
        m.flush()
    assert set(prefix.contents()) == {"data/x", "workers/w", "out/a"}


def test_a_worker_that_is_forked_in_the_body_and_leaves_it_ends_nothing(prefix):
    script = Script(
        """
        with Mirror(out=Upload(url, local="out", interval=None)) as m:
            child = os.fork()
            if child == 0:
                sys.exit(0)
            os.waitpid(child, 0)
            (m.out / "a").write_bytes(b"1")
            m.flush()
            print(m.status().phase)
        """,
        url=prefix.url("out"),
    )
    script.says("running")
    assert script.ending()[0] == 0
    assert prefix.contents("out/") == {"a": b"1"}


# What stays


def test_a_full_pipe_holds_nothing_up(prefix):
    with mirror_of(prefix) as m:
        [session] = sessions_of(os.getpid())
        os.kill(session, signal.SIGSTOP)
        # A pipe holds 64 KiB; these are more.
        pending = [m._session.send("flush", {"upload": "out" + " " * 0}) for _ in range(1000)]
        pending += [m._session.send("ls", {"remote": "s3://" + "x" * 1000 + "/y"}) for _ in range(200)]
        assert not any(each.done.is_set() for each in pending)
        os.kill(session, signal.SIGCONT)
        for each in pending:
            each.done.wait()
        assert all(each.error is None for each in pending[:1000])
        assert all(isinstance(each.error, Exception) for each in pending[1000:])


def test_a_mirror_that_is_forgotten_ends(prefix):
    mirror = mirror_of(prefix)
    mirror.__enter__()
    (mirror.out / "a").write_bytes(b"1")
    del mirror
    eventually(lambda: not sessions_of(os.getpid()), "the session is gone")
    assert prefix.contents("out/") == {"a": b"1"}


def test_no_descriptor_is_left_open(prefix):
    with mirror_of(prefix):
        pass
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with mirror_of(prefix) as m:
            m.flush()
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_session_is_out_of_the_terminals_process_group(prefix):
    with mirror_of(prefix):
        [session] = sessions_of(os.getpid())
        assert os.getpgid(session) == session != os.getpgid(0)


def test_a_program_that_starts_others_hands_them_no_pipe(prefix):
    with mirror_of(prefix) as m:
        listed = subprocess.run(
            ["ls", "-l", "/proc/self/fd"], close_fds=False, capture_output=True, text=True, check=True
        ).stdout
        held = {os.readlink(f"/proc/self/fd/{each}") for each in m._session._descriptors}
        assert not [each for each in held if each in listed and each.startswith("pipe:")]
