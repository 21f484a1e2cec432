"""Tries the policies of Sources/Operations/iam on a server that enforces them (moto). Started by Scripts/trial policy.

Each policy must suffice for what it is for. Then each of its actions is taken out: the command must say which one is missing, and on
what, and must end with the status that the page Permissions gives.
"""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

import boto3

POLICIES = pathlib.Path(__file__).resolve().parent.parent.parent / "Sources/Operations/iam"
BUCKET, PREFIX = "policy-trial", "runs/one"
PART = 16 << 20
UPLOAD = ("upload", "out", f"s3://{BUCKET}/{PREFIX}")
DELETE = (*UPLOAD, "--delete", "--max-delete", "none")
DOWNLOAD = ("download", f"s3://{BUCKET}/{PREFIX}/", "back")
SYNC = ("run", "--sync", f"x=s3://{BUCKET}/{PREFIX},local=out", "--", "rm", "out/extra")
# By policy: what it is for, and what becomes of it without each action: the status, and a piece of the message.
CASES = {
    "upload": (UPLOAD, {
        None: (0, "exit: 2 files"),
        "s3:ListBucket": (3, f"allow these credentials s3:ListBucket on arn:aws:s3:::{BUCKET}"),
        "s3:ListBucketMultipartUploads": (0, f"s3:ListBucketMultipartUploads on arn:aws:s3:::{BUCKET}"),
        "s3:PutObject": (1, f"allow these credentials s3:PutObject on arn:aws:s3:::{BUCKET}/{PREFIX}/"),
        # Whether the object is equal cannot be asked, so the file is sent again.
        "s3:GetObject": (0, "exit: 3 files"),
        "s3:AbortMultipartUpload": (0, f"s3:AbortMultipartUpload on arn:aws:s3:::{BUCKET}/{PREFIX}/old"),
        "s3:ListMultipartUploadParts": (0, f"s3:ListMultipartUploadParts on arn:aws:s3:::{BUCKET}/{PREFIX}/large"),
    }),
    "delete": (DELETE, {None: (0, "1 deleted"), "s3:DeleteObject": (1, f"allow these credentials s3:DeleteObject on arn:aws:s3:::{BUCKET}/{PREFIX}/extra")}),
    # What it fetched the program deletes, as a rotation does.
    "sync": (SYNC, {None: (0, "1 file, 5 B fetched")}),
    "download": (DOWNLOAD, {
        None: (0, "2 files"),
        "s3:ListBucket": (3, f"allow these credentials s3:ListBucket on arn:aws:s3:::{BUCKET}"),
        "s3:GetObject": (1, f"allow these credentials s3:GetObject on arn:aws:s3:::{BUCKET}/{PREFIX}/"),
    }),
}  # fmt: skip


class Server:
    """moto, which asks the policies of IAM for every request once it is told to."""

    def __init__(self, program, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(directory / "moto.log", "wb")
        self.process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(self.port)], stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                break
            time.sleep(0.05)
        access = {"endpoint_url": self.url, "region_name": "us-east-1", "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.s3, self.iam = boto3.client("s3", **access), boto3.client("iam", **access)
        self.s3.create_bucket(Bucket=BUCKET)
        self.iam.create_user(UserName="mirror")
        self.key = self.iam.create_access_key(UserName="mirror")["AccessKey"]

    def enforce(self, is_on):
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", b"0" if is_on else b"inf", {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request).close()

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def policy(name, without=None):
    """The policy of a file for the trial's places, less one action."""
    text = (POLICIES / f"{name}.json").read_text(encoding="utf-8")
    document = json.loads(text.replace("BUCKET", BUCKET).replace("PREFIX", PREFIX))
    for statement in document["Statement"]:
        statement["Action"] = [each for each in statement["Action"] if each != without]
        if "s3:DeleteObject" in statement["Action"]:
            # moto asks for it on the bucket where S3 asks on each object.
            allowed = statement["Resource"]
            statement["Resource"] = [*(allowed if isinstance(allowed, list) else [allowed]), f"arn:aws:s3:::{BUCKET}"]
    document["Statement"] = [each for each in document["Statement"] if each["Action"]]
    return json.dumps(document)


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
    # Its ETag is no MD5, so that only HEAD can show that it is equal, by the time that is kept with it.
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


def attempt(server, binary, work, arguments, document):
    server.iam.put_user_policy(UserName="mirror", PolicyName="policy", PolicyDocument=document)
    environment = {
        "PATH": os.environ["PATH"], "HOME": str(work), "AWS_ENDPOINT_URL": server.url, "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": server.key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": server.key["SecretAccessKey"],
        "AWS_EC2_METADATA_DISABLED": "true", "NO_PROXY": "127.0.0.1",
    }
    server.enforce(True)
    try:
        return subprocess.run([binary, *arguments], cwd=work, env=environment, capture_output=True, text=True, check=False, timeout=120)
    finally:
        server.enforce(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--s3mirror", required=True)
    parser.add_argument("--server", required=True, help="the program moto_server")
    given = parser.parse_args()
    faults = 0
    with tempfile.TemporaryDirectory(prefix="s3mirror-policy.") as place:
        server = Server(given.server, pathlib.Path(place))
        try:
            for name, (arguments, without) in CASES.items():
                for action, (status, piece) in without.items():
                    sweeps = action == "s3:AbortMultipartUpload"
                    asked = (*arguments, "--stale-upload-age", "0") if sweeps else arguments
                    work = pathlib.Path(place) / "work"
                    prepare(server, work, sweeps)
                    done = attempt(server, given.s3mirror, work, asked, policy(name, action))
                    holds = done.returncode == status and piece in done.stderr
                    faults += not holds
                    case = f"{name} without {action}" if action else f"{name} with its policy"
                    print(f"{'ok  ' if holds else 'FAIL'} {case}: status {done.returncode}")
                    lines = [line for line in done.stderr.splitlines() if piece and piece in line]
                    print("\n".join(f"       {line}" for line in (lines[:1] if holds else done.stderr.splitlines())))
        finally:
            server.close()
    print(f"{faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
