"""A callback for the Hugging Face `Trainer`: each checkpoint is on S3 before training goes on."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from s3mirror._mirror import Mirror


class FlushCallback(TrainerCallback):  # type: ignore[misc]
    """Flushes after each save, in the process that entered the mirror."""

    def __init__(self, mirror: Mirror, name: str | None = None) -> None:
        """name: the upload; None flushes all uploads."""
        self._mirror = mirror
        self._name = name

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Called after the checkpoint was written and closed."""
        if state.is_world_process_zero:
            self._mirror.flush(self._name)
