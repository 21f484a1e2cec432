"""Tries the policies of Sources/Operations/iam on servers that enforce them. Started by Scripts/trial policy.

Each policy must suffice for what it is for. Then each of its actions is taken out: the command must say which one is missing, and on
what, and must end with the status that the page Permissions gives. That is tried on moto, which knows no conditions. On SeaweedFS,
which does, each policy must suffice too, and must allow nothing outside of its prefix.
"""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from policyservers import BUCKET, Moto, Weed, is_allowed

POLICIES = pathlib.Path(__file__).resolve().parent.parent.parent / "Sources/Operations/iam"
PREFIX = "runs/one"
DENIED = "allow these credentials"
PART = 16 << 20
UPLOAD = ("upload", "out", f"s3://{BUCKET}/{PREFIX}")
DELETE = (*UPLOAD, "--delete", "--max-delete", "none")
DOWNLOAD = ("download", f"s3://{BUCKET}/{PREFIX}/", "back")
SYNC = ("run", "--sync", f"x=s3://{BUCKET}/{PREFIX},local=out", "--", "rm", "out/extra")
# For each policy: its purpose, and the effect of each missing action: the status, and a part of the message.
CASES = {
    "upload": (UPLOAD, {
        None: (0, "exit: 2 files"),
        "s3:ListBucket": (3, f"allow these credentials s3:ListBucket on arn:aws:s3:::{BUCKET}"),
        "s3:ListBucketMultipartUploads": (0, f"s3:ListBucketMultipartUploads on arn:aws:s3:::{BUCKET}"),
        "s3:PutObject": (1, f"allow these credentials s3:PutObject on arn:aws:s3:::{BUCKET}/{PREFIX}/"),
        # Whether the object is equal cannot be determined, so the file is sent again.
        "s3:GetObject": (0, "exit: 3 files"),
        "s3:AbortMultipartUpload": (0, f"s3:AbortMultipartUpload on arn:aws:s3:::{BUCKET}/{PREFIX}/old"),
        "s3:ListMultipartUploadParts": (0, f"s3:ListMultipartUploadParts on arn:aws:s3:::{BUCKET}/{PREFIX}/large"),
    }),
    "delete": (DELETE, {None: (0, "1 deleted"), "s3:DeleteObject": (1, f"allow these credentials s3:DeleteObject on arn:aws:s3:::{BUCKET}/{PREFIX}/extra")}),
    # The program deletes a file that the mirror fetched, as a rotation does.
    "sync": (SYNC, {None: (0, "1 file, 5 B fetched")}),
    "download": (DOWNLOAD, {
        None: (0, "2 files"),
        "s3:ListBucket": (3, f"allow these credentials s3:ListBucket on arn:aws:s3:::{BUCKET}"),
        "s3:GetObject": (1, f"allow these credentials s3:GetObject on arn:aws:s3:::{BUCKET}/{PREFIX}/"),
    }),
}  # fmt: skip
# A policy that includes the actions of another one -> that policy, where these actions are tested.
SAME = {"delete": "upload", "sync": "delete"}


def policy(name, without=None):
    """The policy of a file for the trial's places, less one action."""
    text = (POLICIES / f"{name}.json").read_text(encoding="utf-8")
    document = json.loads(text.replace("BUCKET", BUCKET).replace("PREFIX", PREFIX))
    for statement in document["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != without]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]
    return document


def actions(name):
    return {each for statement in policy(name)["Statement"] for each in statement["Action"]}


def elsewhere(name):
    """The same for another place's listing only."""
    document = policy(name)
    for statement in document["Statement"]:
        if "Condition" in statement:
            statement["Condition"]["StringLike"]["s3:prefix"] = ["runs/two", "runs/two/*"]
    return document


def prepare(server, work, age_days):
    """What gives every action something to do: an object to compare, one too many, uploads to continue and to sweep."""
    for upload in server.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []):
        server.s3.abort_multipart_upload(Bucket=BUCKET, Key=upload["Key"], UploadId=upload["UploadId"])
    for listed in server.s3.list_objects_v2(Bucket=BUCKET).get("Contents", []):
        server.s3.delete_object(Bucket=BUCKET, Key=listed["Key"])
    shutil.rmtree(work, ignore_errors=True)
    (work / "out").mkdir(parents=True)
    large = os.urandom(PART + (1 << 20))
    (work / "out/large").write_bytes(large)
    (work / "out/same").write_text("same", encoding="utf-8")
    (work / "out/new").write_text("new", encoding="utf-8")
    server.s3.put_object(Bucket=BUCKET, Key=f"{PREFIX}/extra", Body=b"extra")
    # Its ETag is no MD5, so only HEAD can show equality, by the mtime in the metadata.
    moment = (work / "out/same").stat().st_mtime_ns
    kept = {"mtime": f"{moment // 10**9}.{moment % 10**9:09}"}
    begun = server.s3.create_multipart_upload(Bucket=BUCKET, Key=f"{PREFIX}/same", Metadata=kept)
    named = {"Bucket": BUCKET, "Key": f"{PREFIX}/same", "UploadId": begun["UploadId"]}
    part = server.s3.upload_part(**named, PartNumber=1, Body=b"same")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    server.s3.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    if age_days:
        begun = server.s3.create_multipart_upload(Bucket=BUCKET, Key=f"{PREFIX}/old")
        server.s3.upload_part(Bucket=BUCKET, Key=f"{PREFIX}/old", PartNumber=1, UploadId=begun["UploadId"], Body=b"x")
        return
    begun = server.s3.create_multipart_upload(Bucket=BUCKET, Key=f"{PREFIX}/large")
    server.s3.upload_part(Bucket=BUCKET, Key=f"{PREFIX}/large", PartNumber=1, UploadId=begun["UploadId"], Body=large[:PART])


class Trial:
    """Counts what is not as it should be."""

    def __init__(self, binary, place):
        self.binary = binary
        self.work = place / "work"
        self.users = 0
        self.faults = 0

    def run(self, server, arguments, document, *, sweeps=False):
        """How the command ends for a user with this policy, and its messages."""
        prepare(server, self.work, sweeps)
        self.users += 1
        with server.user(f"user-{self.users}", document) as key:
            environment = {
                "PATH": os.environ["PATH"], "HOME": str(self.work), "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
                "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
            }  # fmt: skip
            asked = (*arguments, "--stale-upload-age", "0") if sweeps else arguments
            return subprocess.run(
                [self.binary, *asked], cwd=self.work, env=environment, capture_output=True, text=True, check=False, timeout=120
            )

    def judge(self, case, holds, done, piece):
        self.faults += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {case}: status {done.returncode}")
        lines = [line for line in done.stderr.splitlines() if piece in line]
        print("\n".join(f"       {line}" for line in (lines[:1] if holds else done.stderr.splitlines())))

    def check(self, case, holds):
        self.faults += not holds
        print(f"{'ok  ' if holds else 'FAIL'} {case}")


def suffices(done, ending):
    """Whether a command did all of its work, without a word of a right that it lacks."""
    status, piece = ending
    return done.returncode == status and piece in done.stderr and DENIED not in done.stderr


def try_actions(trial, server):
    """Each policy suffices; less one action it does not, and the message says which one."""
    for name, (arguments, without) in CASES.items():
        whole = without[None]
        for action, ending in without.items():
            done = trial.run(server, arguments, policy(name, action), sweeps=action == "s3:AbortMultipartUpload")
            if action is None:
                trial.judge(f"{name} with its policy", suffices(done, ending), done, ending[1])
                continue
            # Tests the trial itself: the requirements of a whole policy must fail for a policy that is too small.
            holds = (done.returncode, ending[1] in done.stderr) == (ending[0], True) and not suffices(done, whole)
            trial.judge(f"{name} without {action}", holds, done, ending[1])
    for name, (_, without) in CASES.items():
        tried = {action for action in without if action} | (actions(SAME[name]) if name in SAME else set())
        trial.check(f"each action of {name} was taken out, and there is no other", actions(name) == tried)


def try_conditions(trial, server):
    """Each policy suffices where its condition counts, and lists and changes nothing outside of the prefix."""
    for name, (arguments, without) in CASES.items():
        done = trial.run(server, arguments, policy(name))
        trial.judge(f"{name} with its policy, its condition enforced", suffices(done, without[None]), done, without[None][1])
        done = trial.run(server, arguments, elsewhere(name))
        piece = f"allow these credentials s3:ListBucket on arn:aws:s3:::{BUCKET}"
        trial.judge(f"{name} with the condition of another prefix", done.returncode == 3 and piece in done.stderr, done, piece)
        trial.users += 1
        server.s3.put_object(Bucket=BUCKET, Key="runs/two/theirs", Body=b"theirs")
        with server.user(f"user-{trial.users}", policy(name)) as key:
            try_outside(trial, name, server.client_of(key))


def try_outside(trial, name, user):
    theirs = {"Bucket": BUCKET, "Key": "runs/two/theirs"}
    outside = {
        "list": lambda: user.list_objects_v2(Bucket=BUCKET, Prefix="runs/two/"),
        "list all": lambda: user.list_objects_v2(Bucket=BUCKET),
        "read": lambda: user.get_object(**theirs),
        "write": lambda: user.put_object(**theirs, Body=b"mine"),
        "delete": lambda: user.delete_object(**theirs),
    }
    for what, request in outside.items():
        trial.check(f"{name} does not {what} outside of its prefix", not is_allowed(request))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3mirror", required=True)
    parser.add_argument("--server", required=True, help="the program moto_server")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="s3mirror-policy.") as place:
        trial = Trial(given.s3mirror, pathlib.Path(place))
        with Moto(given.server, pathlib.Path(place)) as server:
            try_actions(trial, server)
        with Weed() as server:
            try_conditions(trial, server)
    print(f"{trial.faults} faults")
    return 1 if trial.faults else 0


if __name__ == "__main__":
    sys.exit(main())
