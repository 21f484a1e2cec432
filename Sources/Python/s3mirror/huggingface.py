"""A callback for the Hugging Face `Trainer`: each checkpoint is on S3 before training goes on."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback

from s3mirror._mirror import Mirror


class FlushCallback(TrainerCallback):  # type: ignore[misc]
    """Flushes after each save, in the process that entered the mirror."""

    def __init__(self, mirror: Mirror, name: str | None = None) -> None:
        """name: the upload; None is all."""
        self._mirror = mirror
        self._name = name

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """The checkpoint is written and closed by now."""
        if state.is_world_process_zero:
            self._mirror.flush(self._name)
