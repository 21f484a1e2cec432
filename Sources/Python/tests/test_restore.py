"""Restoring checkpoints, on a real server."""

import contextlib

import pytest

import s3mirror
from s3mirror import Group, IncompleteError, LocalError, Mirror, Options, Upload


def put_checkpoint(prefix, number, *, marked=True):
    prefix.put(f"run/checkpoint-{number}/model.safetensors", b"m%d" % number)
    if marked:
        prefix.put(f"run/checkpoint-{number}/trainer_state.json", b"{}")


def test_the_newest_complete_checkpoint_comes(prefix, home):
    put_checkpoint(prefix, 10)
    put_checkpoint(prefix, 20)
    put_checkpoint(prefix, 30, marked=False)
    path = s3mirror.restore(prefix.url("run"), "out")
    assert path == home / "work" / "out" / "checkpoint-20"
    assert (path / "model.safetensors").read_bytes() == b"m20"
    assert (path / "trainer_state.json").exists()
    assert [each.name for each in path.parent.iterdir()] == ["checkpoint-20"]
    assert s3mirror.restore(prefix.url("run"), "out", unit="checkpoint-10").name == "checkpoint-10"


def test_without_a_complete_one_each_has_its_reason(prefix):
    put_checkpoint(prefix, 30, marked=False)
    with pytest.raises(IncompleteError, match="no checkpoint") as caught:
        s3mirror.restore(prefix.url("run"), "out", options=Options(show_progress=False))
    assert [each.path for each in caught.value.failures] == ["checkpoint-30"]
    assert "trainer_state.json is missing" in caught.value.failures[0].reason
    with pytest.raises(LocalError):
        s3mirror.restore(prefix.url("nothing"), "out")


def test_a_member_of_a_group_fetches_what_it_wrote(prefix, home, monkeypatch):
    def options(member):
        return Options(show_progress=False, group=Group("job", member, 2, timeout=30))

    trees = [home / "work" / f"host{member}" for member in range(2)]
    for member, tree in enumerate(trees):
        (tree / "step-1").mkdir(parents=True)
        (tree / "step-1" / f"__{member}_0.distcp").write_bytes(b"%d" % member)
    (trees[0] / "step-1" / ".metadata").write_bytes(b"__0_0.distcp __1_0.distcp")
    with contextlib.ExitStack() as stack:
        mirrors = []
        for member, tree in enumerate(trees):
            # Each host has folders of its own.
            own = home / f"run{member}"
            own.mkdir(mode=0o700)
            monkeypatch.setenv("XDG_RUNTIME_DIR", str(own))
            mirror = Mirror(options(member), out=Upload(prefix.url("run"), local=tree))
            mirrors.append(stack.enter_context(mirror))
        mirrors[0].flush("out")
    path = s3mirror.restore(prefix.url("run"), "part", options=options(1), member_only=True)
    assert [each.name for each in path.iterdir()] == ["__1_0.distcp"]
    path = s3mirror.restore(prefix.url("run"), "whole")
    assert sorted(each.name for each in path.iterdir()) == [".metadata", "__0_0.distcp", "__1_0.distcp"]
