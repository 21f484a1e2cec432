"""What is drawn, and where nothing is."""

import builtins
import io
import sys
import types

import pytest

from s3mirror import Mirror, Options, SessionError, Upload, _progress

from processes import eventually

READINGS = [
    {"files": 0, "sentBytes": 0, "fetchedBytes": 0, "inFlight": 1},
    {"files": 1, "sentBytes": 1_500_000, "fetchedBytes": 10, "inFlight": 2},
    {"files": 2, "sentBytes": 3_000_000, "fetchedBytes": 10, "inFlight": 0},
]


class Terminal(io.StringIO):
    def isatty(self):
        super().isatty()  # A closed one raises.
        return True


def use(monkeypatch, output):
    """Puts it in the place of standard error for what is tested; pytest has the real one."""
    monkeypatch.setattr(_progress, "sys", types.SimpleNamespace(stderr=output, modules=sys.modules))


@pytest.fixture
def terminal(monkeypatch):
    terminal = Terminal()
    use(monkeypatch, terminal)
    return terminal


@pytest.fixture
def notebook(monkeypatch):
    shell = type("ZMQInteractiveShell", (), {})()
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))
    output = io.StringIO()
    use(monkeypatch, output)
    return output


@pytest.fixture
def no_tqdm(monkeypatch):
    imported = builtins.__import__

    def without(name, *arguments, **named):
        if name.startswith("tqdm"):
            raise ImportError(name)
        return imported(name, *arguments, **named)

    monkeypatch.setattr(builtins, "__import__", without)


def test_nothing_is_drawn_where_output_is_no_terminal(monkeypatch):
    for output in (io.StringIO(), None):
        use(monkeypatch, output)
        assert _progress.display() is None
    closed = Terminal()
    closed.close()
    use(monkeypatch, closed)
    assert _progress.display() is None


def test_a_terminal_gets_one_line_that_renews_itself(terminal, no_tqdm):
    shown = _progress.display()
    for each in READINGS:
        shown.show(each)
    assert "\n" not in terminal.getvalue()
    assert "\rs3mirror: 1 file, 1.5 MB sent, 10 B fetched, 2 in flight\x1b[K" in terminal.getvalue()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_notebook_gets_plain_lines(notebook, no_tqdm):
    shown = _progress.display()
    for each in READINGS:
        shown.show(each)
    # The first at once, the last when all is done, and none in between before five seconds are over.
    assert notebook.getvalue().splitlines() == [
        "s3mirror: 0 files, 1 in flight",
        "s3mirror: 2 files, 3.0 MB sent, 10 B fetched",
    ]


def test_tqdm_draws_where_it_is_installed(terminal):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    shown = _progress.display()
    assert isinstance(shown, _progress.Bar)
    for each in READINGS:
        shown.show(each)
    assert "2 files" in terminal.getvalue()


def test_a_bar_on_a_terminal_vanishes_after_each_burst(terminal):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    shown = _progress.display()
    for each in READINGS * 2:
        shown.show(each)
    assert "1 file]" in terminal.getvalue()
    assert terminal.getvalue().split("\r")[-2].strip() == ""
    assert "\n" not in terminal.getvalue()


def test_a_notebook_keeps_one_bar_for_the_whole_mirror(notebook):
    pytest.importorskip("tqdm", reason="tqdm is not installed")
    shown = _progress.display()
    for each in READINGS * 2:
        shown.show(each)
    assert "\n" not in notebook.getvalue()
    shown.close()
    last = notebook.getvalue().split("\r")[-1]
    assert last.startswith("s3mirror: 2.86MB")
    assert "2 files" in last
    assert last.endswith("\n")


def test_a_line_that_is_drawn_goes_with_the_mirror(terminal, no_tqdm):
    shown = _progress.display()
    shown.close()
    assert terminal.getvalue() == ""
    shown.show(READINGS[0])
    shown.close()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_mirror_whose_process_is_killed_leaves_no_line(prefix, terminal, no_tqdm):
    options = Options(max_upload_bytes_per_second=1000)
    with (
        pytest.raises(SessionError),
        Mirror(options, out=Upload(prefix.url("out"), local="out", interval=None)) as m,
    ):
        (m.out / "large").write_bytes(bytes(1 << 20))
        pending = m._session.send("flush")
        eventually(lambda: "in flight" in terminal.getvalue(), "the file is on its way")
        m._session._process.kill()
        pending.wait()
    assert terminal.getvalue().endswith("\r\x1b[K")


def test_a_mirror_draws_on_a_terminal(prefix, terminal, no_tqdm):
    options = Options(max_upload_bytes_per_second=4 << 20)
    with Mirror(options, out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        (m.out / "a").write_bytes(bytes(4 << 20))
        m.flush()
    assert "s3mirror: " in terminal.getvalue()


def test_a_mirror_that_is_to_show_nothing_shows_nothing(prefix, terminal):
    with Mirror(Options(show_progress=False), out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        (m.out / "a").write_bytes(bytes(4 << 20))
        m.flush()
    assert terminal.getvalue() == ""


def test_a_display_that_fails_does_not_end_the_mirror(prefix, terminal, no_tqdm, monkeypatch, caplog):
    def fail(self, progress):
        raise ValueError("no terminal any more")

    monkeypatch.setattr(_progress.StatusLine, "show", fail)
    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        (m.out / "a").write_bytes(bytes(4 << 20))
        m.flush()
    assert set(prefix.contents("out/")) == {"a"}
    assert "cannot be shown" in caplog.text
