"""Progress, interrupts and deaths in a real Jupyter kernel. `Scripts/trial jupyter` installs one; elsewhere this is skipped."""

import contextlib
import os
import textwrap

import pytest

pytest.importorskip("ipykernel", reason="ipykernel is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")

from jupyter_client.manager import KernelManager  # noqa: E402
from nbformat.v4 import new_code_cell, new_notebook  # noqa: E402
from sessions import sessions_of  # noqa: E402

from conftest import ROOT  # noqa: E402
from processes import PATIENCE, eventually  # noqa: E402

# By what the user has installed: what the kernel is not to find.
HIDDEN = {"widgets": [], "text": ["ipywidgets"], "lines": ["tqdm"]}
# Two bursts of a second each, with nothing in flight between them.
TRAINING = """
with Mirror(options, out=Upload(url, local="out", interval=None)) as m:
    for name in ("a", "b"):
        (m.out / name).write_bytes(bytes(4 << 20))
        m.flush()
"""
# A file is published and then removed, another is not published yet.
IN_THE_BODY = """
with Mirror(out=Upload(url, local="out", interval=None)) as m:
    (m.out / "a").write_bytes(b"1")
    m.flush()
    (m.out / "a").unlink()
    (m.out / "b").write_bytes(b"2")
    print("body", os.getpid())
    time.sleep(600)
"""
VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"


@pytest.fixture(autouse=True)
def package(monkeypatch):
    """What a kernel inherits."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "Sources" / "Python"))


def head(prefix, hidden=(), **options):
    given = ", ".join(f"{name}={value!r}" for name, value in options.items())
    return textwrap.dedent(f"""
        import os, sys, time
        sys.modules.update(dict.fromkeys({list(hidden)!r}))
        from s3mirror import *
        url, options = {prefix.url("out")!r}, Options({given})
    """)


def executed(*cells):
    notebook = new_notebook(cells=[new_code_cell(each) for each in cells])
    nbclient.NotebookClient(notebook, kernel_name="python3", timeout=PATIENCE).execute()
    assert notebook.cells[0].outputs == []
    return notebook


def text_of(outputs):
    """What the cell wrote; it has no other output."""
    assert {(each.output_type, each.get("name")) for each in outputs} == {("stream", "stderr")}
    return "".join(each.text for each in outputs)


@pytest.mark.parametrize("installed", HIDDEN)
def test_progress_in_a_notebook(prefix, installed):
    start = head(prefix, HIDDEN[installed], max_upload_bytes_per_second=4 << 20)
    notebook = executed(start, TRAINING)
    outputs = notebook.cells[1].outputs
    if installed == "widgets":
        # One bar, whatever the number of bursts: a notebook keeps each.
        [shown] = outputs
        assert VIEW in shown.data
        state = notebook.metadata.widgets[STATE]["state"].values()
        # Its spaces are as wide as digits.
        written = [
            each["state"]["value"].replace("\u2007", " ")
            for each in state
            if each["model_name"] == "HTMLModel"
        ]
        assert any("8.00M" in each and "2 files" in each for each in written), written
    elif installed == "text":
        # What follows the last return is what the cell shows in the end.
        last = text_of(outputs).rstrip("\n").split("\r")[-1]
        assert last.startswith("s3mirror: 8.00MB")
        assert "2 files" in last
    else:
        lines = text_of(outputs).splitlines()
        assert all(each.startswith("s3mirror: ") for each in lines)
        assert lines[-1] == "s3mirror: 2 files, 8.4 MB sent"
    assert {name: len(body) for name, body in prefix.contents("out/").items()} == {"a": 4 << 20, "b": 4 << 20}


def test_a_notebook_that_is_to_show_nothing_shows_nothing(prefix):
    notebook = executed(head(prefix, show_progress=False, max_upload_bytes_per_second=4 << 20), TRAINING)
    assert notebook.cells[1].outputs == []
    assert set(prefix.contents("out/")) == {"a", "b"}


def test_a_cell_can_await_a_mirror(prefix):
    notebook = executed(
        head(prefix, show_progress=False),
        """
async with Mirror(options, out=Upload(url, local="out", interval=None)) as m:
    (m.out / "a").write_bytes(b"1")
    await m.aflush("out")
print(m.report.uploads["out"].published)
""",
    )
    assert [each.text for each in notebook.cells[1].outputs] == ["1\n"]
    assert prefix.contents("out/") == {"a": b"1"}


@contextlib.contextmanager
def kernel():
    manager = KernelManager(kernel_name="python3")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    try:
        client.wait_for_ready(PATIENCE)
        yield manager, client
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def run_to_the_body(client, prefix):
    """Leaves the kernel in the body, and returns its number."""
    client.execute(head(prefix) + IN_THE_BODY)
    while True:
        message = client.get_iopub_msg(timeout=PATIENCE)
        assert message["msg_type"] != "error", message["content"]
        if message["msg_type"] == "stream" and message["content"]["text"].startswith("body"):
            process = int(message["content"]["text"].split()[1])
            assert process != os.getpid()
            assert len(sessions_of(process)) == 1
            return process


def test_an_interrupted_cell_publishes_and_deletes_nothing(prefix):
    with kernel() as (manager, client):
        process = run_to_the_body(client, prefix)
        manager.interrupt_kernel()
        reply = client.get_shell_msg(timeout=PATIENCE)["content"]
        assert (reply["status"], reply["ename"]) == ("error", "KeyboardInterrupt")
        assert prefix.contents("out/") == {"a": b"1", "b": b"2"}
        assert sessions_of(process) == []
        # The kernel is as usable as before.
        assert (
            client.execute("m.report.is_complete or 1 / 0", reply=True, timeout=PATIENCE)["content"]["status"]
            == "ok"
        )


@pytest.mark.parametrize("now", [True, False])
def test_a_kernel_that_is_shut_down_leaves_its_files_on_s3_and_no_session(prefix, now):
    with kernel() as (manager, client):
        process = run_to_the_body(client, prefix)
        manager.shutdown_kernel(now=now)
        eventually(lambda: not sessions_of(process), "the session is gone")
        assert prefix.contents("out/") == {"a": b"1", "b": b"2"}
