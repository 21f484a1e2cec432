"""Restoring checkpoints, on a real server."""

import pytest

import s3mirror
from s3mirror import IncompleteError, LocalError, Options


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
