"""A callback for Lightning: each checkpoint is on S3 before training goes on."""

from __future__ import annotations

from typing import Any

try:
    from lightning.pytorch.callbacks import Checkpoint
except ImportError:
    from pytorch_lightning.callbacks import Checkpoint

from s3mirror._mirror import Mirror


class FlushCallback(Checkpoint):  # type: ignore[misc]
    """Flushes after each save, in the process of rank zero.

    It is a `Checkpoint`, because Lightning calls these after all other callbacks and in the order of the list. Put it after the
    callbacks that save.
    """

    def __init__(self, mirror: Mirror, name: str | None = None) -> None:
        """name: the upload; None flushes all uploads."""
        super().__init__()
        self._mirror = mirror
        self._name = name
        self._saved: list[Any] = []

    def _flush_if_saved(self, trainer: Any) -> None:
        # The hook on_save_checkpoint is called before the file is written. The savers' record of their last file is made after
        # it.
        saved = [
            (each.best_model_path, each.last_model_path, getattr(each, "_last_global_step_saved", None))
            for each in trainer.checkpoint_callbacks
            if each is not self and hasattr(each, "best_model_path")
        ]
        if saved == self._saved:
            return
        self._saved = saved
        if trainer.is_global_zero and any(any(each[:2]) for each in saved):
            self._mirror.flush(self._name)

    def on_train_batch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._flush_if_saved(trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._flush_if_saved(trainer)

    def on_validation_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._flush_if_saved(trainer)

    def on_train_end(self, trainer: Any, *_: Any, **__: Any) -> None:
        self._flush_if_saved(trainer)
