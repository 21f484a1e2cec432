"""The callbacks in the real frameworks, without a GPU. `Scripts/trial frameworks` installs those; elsewhere this is skipped."""

import pytest

from s3mirror import Mirror, Upload


def same_on_s3(prefix, directory):
    """Every file of a checkpoint is on S3 at this moment, as it is here."""
    here = {
        str(each.relative_to(directory)): each.read_bytes() for each in directory.rglob("*") if each.is_file()
    }
    assert here
    assert prefix.contents(f"out/{directory.name}/") == here


def test_hugging_face(prefix):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from s3mirror.huggingface import FlushCallback  # noqa: PLC0415

    class Model(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def forward(self, x, labels):
            return {"loss": ((self.layer(x) - labels) ** 2).mean()}

    class Look(transformers.TrainerCallback):
        def on_save(self, args, state, control, **_):
            looked.append(state.global_step)
            same_on_s3(prefix, m.out / f"checkpoint-{state.global_step}")

    looked = []
    data = [{"x": torch.ones(4), "labels": torch.zeros(1)} for _ in range(8)]
    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        arguments = transformers.TrainingArguments(
            output_dir=str(m.out),
            max_steps=4,
            save_steps=2,
            per_device_train_batch_size=2,
            report_to=[],
            use_cpu=True,
            disable_tqdm=True,
        )
        transformers.Trainer(
            model=Model(), args=arguments, train_dataset=data, callbacks=[FlushCallback(m, "out"), Look()]
        ).train()
    assert looked == [2, 4]


def test_lightning(prefix):
    lightning = pytest.importorskip("lightning.pytorch", reason="lightning is not installed")
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from lightning.pytorch.callbacks import ModelCheckpoint  # noqa: PLC0415

    from s3mirror.lightning import FlushCallback  # noqa: PLC0415

    class Model(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.layer = torch.nn.Linear(4, 1)

        def training_step(self, batch, number):
            return self.layer(batch).mean()

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 0.1)

    class Look(FlushCallback):
        """Comes after the one that flushes, and looks where that would flush."""

        def __init__(self):
            super().__init__(self)

        def flush(self, name=None):
            files = {each.name: each.read_bytes() for each in m.out.iterdir()}
            looked.append(sorted(files))
            assert prefix.contents("out/") == files

    looked = []
    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        saver = ModelCheckpoint(m.out, filename="{step}", every_n_train_steps=2, save_top_k=-1)
        trainer = lightning.Trainer(
            max_steps=4,
            accelerator="cpu",
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[saver, FlushCallback(m, "out"), Look()],
        )
        trainer.fit(Model(), torch.utils.data.DataLoader(torch.ones(8, 4), batch_size=1))
    assert looked == [["step=2.ckpt"], ["step=2.ckpt", "step=4.ckpt"]]


def test_data_loaders_of_torch_with_workers(prefix):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    with Mirror(out=Upload(prefix.url("out"), local="out", interval=None)) as m:
        for method in ("fork", "spawn"):
            loader = torch.utils.data.DataLoader(
                torch.arange(16), batch_size=2, num_workers=2, multiprocessing_context=method
            )
            assert sum(int(batch.sum()) for batch in loader) == 120
            torch.save({"step": method}, m.out / f"{method}.pt")
            m.flush("out")
            assert f"{method}.pt" in prefix.contents("out/")
    assert set(prefix.contents("out/")) == {"fork.pt", "spawn.pt"}
