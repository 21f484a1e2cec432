"""Checks the Kubernetes recipe, and does on this machine what it says. Used by Scripts/package test kubernetes, with a server.

    python3 Scripts/support/packagekubernetes.py --place DIR

The schemas are those that Kubernetes publishes, with unknown members refused. No cluster is needed, so none is seen: whether images can be
pulled, the service account exists or the node has room is not tried. What the containers run is run here, in the pod's order, with the
tarball at the image's place: the first init container, the sidecar, its startup probe, the trainer's hook, and the end.
"""

import argparse
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

import boto3
import kubernetes_validate
import yaml
from packagetree import OPERATIONS, run

RECIPE = OPERATIONS / "kubernetes" / "job.yaml"
SIDECARS = (1, 28)  # The first version whose init containers have a restartPolicy, as an alpha feature; the recipe says 1.29.
NAMED = "s3://bucket/train/outputs"
PATIENCE = 60  # seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place", type=pathlib.Path, required=True)
    given = parser.parse_args()
    [job] = yaml.safe_load_all(RECIPE.read_text(encoding="utf-8"))
    check_schemas(job)
    check_mounts(job["spec"]["template"]["spec"])
    [tarball] = (given.place / "dist").glob("*.tar.gz")
    with tempfile.TemporaryDirectory(prefix="s3mirror-pod.") as place:
        play(job["spec"]["template"]["spec"], Pod(pathlib.Path(place), tarball))
    print("the Kubernetes recipe is valid, and its containers' commands do what it says", file=sys.stderr)
    return 0


def refusal(job, version):
    """Why a version of Kubernetes would not take it; None if it would."""
    try:
        kubernetes_validate.validate(job, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return error.message
    return None


def check_schemas(job):
    versions = sorted(tuple(map(int, each.split(".")[:2])) for each in kubernetes_validate.utils.all_versions())
    for version in versions:
        name = ".".join(map(str, version))
        why = refusal(job, name)
        if version >= SIDECARS and why:
            sys.exit(f"{RECIPE.name} is not valid in Kubernetes {name}: {why}")
        if version < SIDECARS and not why:
            sys.exit(f"{RECIPE.name} is valid in Kubernetes {name}, which has no sidecars: the check finds nothing")
    # Tests the check itself: a misspelt word, and a value of another type.
    for right, wrong in (("failureThreshold", "failureTreshold"), ('"memory": "256Mi"', '"memory": ["256Mi"]')):
        text = json.dumps(job)
        if right not in text or not refusal(json.loads(text.replace(right, wrong)), name):
            sys.exit(f"{wrong} instead of {right} is not noticed: the check finds nothing")
    print(f"valid in Kubernetes {'.'.join(map(str, SIDECARS))} to {name}", file=sys.stderr)


def check_mounts(pod):
    """What no schema says: each mount has its volume."""
    volumes = {each["name"] for each in pod["volumes"]}
    mounts = {each["name"] for container in containers(pod) for each in container["volumeMounts"]}
    if volumes != mounts:
        sys.exit(f"the volumes {sorted(volumes)} are not the mounts {sorted(mounts)}")


def containers(pod):
    return [*pod["initContainers"], *pod["containers"]]


class Pod:
    """The pod's places, below a directory of this machine: the image's files and the volumes."""

    def __init__(self, root, tarball):
        self.root = root
        (root / "opt/s3mirror").mkdir(parents=True)
        run("tar", "-xzf", tarball, "-C", root / "opt/s3mirror", "--strip-components=1")
        for each in ("run/mirror", "outputs"):
            (root / each).mkdir(parents=True)
        self.remote = f"s3://{os.environ['S3MIRROR_TEST_BUCKET']}/kubernetes"

    def here(self, text):
        """An argument or a value of the recipe, with the places of this machine."""
        return text.replace(NAMED, self.remote) if text.startswith("s3:") else f"{self.root}{text}" if text.startswith("/") else text

    def start(self, container, command):
        # Only what the recipe and the service account provide.
        given = {name: value for name, value in os.environ.items() if name.startswith(("AWS_", "S3MIRROR_TEST_"))}
        given |= {each["name"]: self.here(each["value"]) for each in container.get("env", [])}
        return subprocess.Popen([self.here(each) for each in command], env={"PATH": "/usr/bin:/bin", **given})

    def do(self, container, command):
        return self.start(container, command).wait(PATIENCE)


def play(pod, here):
    (here.root / "tmp").mkdir()
    [copy, mirror] = pod["initContainers"]
    [trainer] = pod["containers"]
    if here.do(copy, copy["command"]) != 0:
        sys.exit("the first init container failed")
    probe = mirror["startupProbe"]
    sidecar = here.start(mirror, [*mirror["command"], *mirror["args"]])
    try:
        for _ in range(probe["failureThreshold"]):
            if here.do(mirror, probe["exec"]["command"]) == 0:
                break
            time.sleep(0.1)  # periodSeconds is the kubelet's business.
        else:
            sys.exit("the startup probe never succeeded")
        (here.root / "outputs/one").write_text("one", encoding="utf-8")
        if here.do(trainer, trainer["lifecycle"]["preStop"]["exec"]["command"]) != 0:
            sys.exit("the trainer's preStop hook failed")
        # The interval is a minute, so only the hook can have published this.
        if objects() != ["one"]:
            sys.exit(f"after the hook S3 has {objects()}")
        (here.root / "outputs/two").write_text("two", encoding="utf-8")
        sidecar.send_signal(signal.SIGTERM)
        if (status := sidecar.wait(pod["terminationGracePeriodSeconds"])) != 0:
            sys.exit(f"the sidecar ended with status {status}")
    finally:
        sidecar.kill()
        sidecar.wait()
    if objects() != ["one", "two"]:
        sys.exit(f"after the end S3 has {objects()}")


def objects():
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    listed = client.list_objects_v2(Bucket=os.environ["S3MIRROR_TEST_BUCKET"], Prefix="kubernetes/").get("Contents", [])
    return sorted(each["Key"].removeprefix("kubernetes/") for each in listed)


if __name__ == "__main__":
    sys.exit(main())
