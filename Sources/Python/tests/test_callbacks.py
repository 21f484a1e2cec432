"""The callbacks, with small stand-ins for the frameworks. `Scripts/trial frameworks` runs them in the real ones."""

import importlib
import os
import subprocess
import sys
import types

import pytest


class Recorder:
    def __init__(self):
        self.flushed = []

    def flush(self, name=None):
        self.flushed.append(name)


@pytest.fixture
def mirror():
    return Recorder()


@pytest.fixture
def huggingface(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", types.SimpleNamespace(TrainerCallback=object))
    monkeypatch.delitem(sys.modules, "s3mirror.huggingface", raising=False)
    return importlib.import_module("s3mirror.huggingface")


@pytest.fixture
def lightning(monkeypatch):
    callbacks = types.SimpleNamespace(Checkpoint=type("Checkpoint", (), {}))
    for name in ("lightning", "lightning.pytorch"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, "lightning.pytorch.callbacks", callbacks)
    monkeypatch.delitem(sys.modules, "s3mirror.lightning", raising=False)
    return importlib.import_module("s3mirror.lightning")


def test_nothing_of_a_framework_is_imported_before_it_is_used():
    names = ["IPython", "lightning", "torch", "tqdm", "transformers"]
    text = f"import s3mirror, sys; print(sorted(set({names}) & set(sys.modules)))"
    given = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"}
    assert subprocess.check_output([sys.executable, "-c", text], env=given, text=True).strip() == "[]"


def test_hugging_face_flushes_on_save_in_the_first_process(huggingface, mirror):
    callback = huggingface.FlushCallback(mirror, "out")
    callback.on_save(None, types.SimpleNamespace(is_world_process_zero=False), None, model=None)
    assert mirror.flushed == []
    callback.on_save(None, types.SimpleNamespace(is_world_process_zero=True), None, model=None)
    assert mirror.flushed == ["out"]


def test_lightning_flushes_once_for_each_save(lightning, mirror):
    callback = lightning.FlushCallback(mirror)
    saver = types.SimpleNamespace(best_model_path="", last_model_path="", _last_global_step_saved=0)
    trainer = types.SimpleNamespace(checkpoint_callbacks=[saver, callback], is_global_zero=True)
    callback.on_train_batch_end(trainer, None, None, None, 0)
    assert mirror.flushed == []
    saver.best_model_path, saver._last_global_step_saved = "a.ckpt", 1
    callback.on_train_epoch_end(trainer, None)
    callback.on_validation_end(trainer, None)
    assert mirror.flushed == [None]
    saver._last_global_step_saved = 2
    callback.on_train_end(trainer, None)
    assert mirror.flushed == [None, None]
    trainer.is_global_zero = False
    saver._last_global_step_saved = 3
    callback.on_train_end(trainer, None)
    assert mirror.flushed == [None, None]
