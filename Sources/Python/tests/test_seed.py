"""The examples of the text that the package was ordered by. Only their import line and bucket are not theirs."""

import os
import pathlib

import pytest

from s3mirror import Download, Group, Mirror, Options, Upload

SEED = {
    "quick start": """
# Mirror downloads on enter, uploads on exit, and optionally syncs in background
with Mirror(
    dataset=Download('s3://bucket/data'),
    checkpoints=Upload('s3://bucket/outputs', local='./outputs')
) as m:
    print(m.dataset)      # Path to local copy: ~/.cache/positronic/s3/bucket/data
    print(m.checkpoints)  # Path to local dir: ./outputs

    # dataset is downloaded and ready to use
    # checkpoints directory will sync to S3 in background and on exit
    train(m.dataset, m.checkpoints)
""",
    "training": """
with Mirror(
    dataset=Download('s3://my-bucket/training-data'),
    checkpoints=Upload('s3://my-bucket/checkpoints', interval=300)
) as m:
    train_model(data_path=m.dataset, checkpoint_path=m.checkpoints)
""",
    "cache": """
opts = Options(cache_root='/mnt/fast-ssd/cache')
with Mirror(options=opts, data=Download('s3://bucket/data')) as m:
    process(m.data)  # Downloads to /mnt/fast-ssd/cache/bucket/data
""",
}


@pytest.fixture
def buckets(server):
    client = server.client()
    for name in ("bucket", "my-bucket"):
        if name not in [each["Name"] for each in client.list_buckets()["Buckets"]]:
            client.create_bucket(Bucket=name)
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
            for each in page.get("Contents", []):
                client.delete_object(Bucket=name, Key=each["Key"])
    return client


def run(example, **names):
    exec(compile(SEED[example], example, "exec"), {**globals(), **names})


def keys(client, bucket):
    return [each["Key"] for each in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_quick_start(buckets, home, capsys):
    buckets.put_object(Bucket="bucket", Key="data/a/b.txt", Body=b"hello")

    def train(data, checkpoints):
        assert isinstance(data, pathlib.Path)
        assert (data / "a" / "b.txt").read_bytes() == b"hello"
        (checkpoints / "step-1.pt").write_bytes(b"weights")

    run("quick start", train=train)
    cache, outputs = capsys.readouterr().out.split()
    assert pathlib.Path(cache) == home / "home" / ".cache/positronic/s3/bucket/data"
    assert pathlib.Path(outputs) == home / "work" / "outputs"
    assert keys(buckets, "bucket") == ["data/a/b.txt", "outputs/step-1.pt"]


def test_training(buckets):
    buckets.put_object(Bucket="my-bucket", Key="training-data/x", Body=b"1")

    def train_model(data_path, checkpoint_path):
        assert os.listdir(data_path) == ["x"]
        (checkpoint_path / "last").write_bytes(b"2")

    run("training", train_model=train_model)
    assert keys(buckets, "my-bucket") == ["checkpoints/last", "training-data/x"]


def test_custom_cache_location(buckets, home, monkeypatch):
    buckets.put_object(Bucket="bucket", Key="data/x", Body=b"1")
    # The folder of the example is on a disk that this machine has not.
    monkeypatch.setitem(SEED, "cache", SEED["cache"].replace("/mnt/fast-ssd", str(home / "ssd")))
    seen = []
    run("cache", process=seen.append)
    assert seen == [home / "ssd" / "cache" / "bucket" / "data"]
    assert (seen[0] / "x").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("make", "fields"),
    [
        (lambda: Download("s3://b/data"), {"local": None}),
        (lambda: Download("s3://b/data", local="./data"), {"local": "./data"}),
        (lambda: Upload("s3://b/out", interval=300), {"interval": 300, "delete": True, "local": None}),
        (lambda: Upload("s3://b/out", interval=None), {"interval": None}),
        (lambda: Upload("s3://b/out", delete=False), {"delete": False, "interval": 300}),
        (
            Options,
            {"cache_root": "~/.cache/positronic/s3/", "show_progress": True, "max_workers": 10},
        ),
    ],
)
def test_arguments_and_defaults(make, fields):
    made = make()
    assert {name: getattr(made, name) for name in fields} == fields


def test_a_group_is_sent_as_the_protocol_has_it():
    assert Options().fields()["group"] is None
    assert Options(group="auto").fields()["group"] == "auto"
    group = Options(group=Group("job", member=1, members=2)).fields()["group"]
    assert group == {
        "name": "job",
        "member": 1,
        "members": 2,
        "timeout": 600,
        "takeover": None,
        "fencing": "conditional-writes",
    }


def test_local_paths_pass_through(home):
    data = home / "data"
    data.mkdir()
    with Mirror(data=Download(str(data)), output=Upload(str(home / "output"))) as m:
        assert m.data == data
        assert m.output == home / "output"
        assert m.output.is_dir()


def test_paths_may_not_overlap(prefix):
    with (
        pytest.raises(ValueError, match="overlap"),
        Mirror(data=Download(prefix.url("a")), out=Upload(prefix.url("a/b"))),
    ):
        pass
