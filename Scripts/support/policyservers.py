"""Two servers that enforce IAM policies: moto, which looks at actions and resources, and SeaweedFS, which looks at conditions too."""

import contextlib
import json
import socket
import subprocess
import time
import urllib.request

import boto3
import botocore.exceptions
from seaweedfs import REGION, SeaweedFS

BUCKET = "policy-trial"
PATIENCE = 60  # seconds


class Moto:
    """Enforces policies once it is told to. Conditions are nothing to it."""

    def __init__(self, program, directory):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(directory / "moto.log", "wb")
        self.process = subprocess.Popen([program, "-H", "127.0.0.1", "-p", str(self.port)], stdout=self.log, stderr=self.log)

    def __enter__(self):
        def is_there():
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True

        eventually(is_there, "moto answers")
        access = {"endpoint_url": self.url, "region_name": REGION, "aws_access_key_id": "a", "aws_secret_access_key": "b"}
        self.s3, self.iam = boto3.client("s3", **access), boto3.client("iam", **access)
        self.s3.create_bucket(Bucket=BUCKET)
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()

    @contextlib.contextmanager
    def user(self, name, document):
        """The key of a user who has this policy and no other; it is enforced meanwhile."""
        for statement in document["Statement"]:
            if "s3:DeleteObject" in statement["Action"]:
                # moto requires it on the bucket where S3 requires it on each object.
                statement["Resource"] = [*listed(statement["Resource"]), f"arn:aws:s3:::{BUCKET}"]
        self.iam.create_user(UserName=name)
        self.iam.put_user_policy(UserName=name, PolicyName="policy", PolicyDocument=json.dumps(document))
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        self._enforce(True)
        try:
            yield key
        finally:
            self._enforce(False)

    def _enforce(self, is_on):
        request = urllib.request.Request(
            f"{self.url}/moto-api/reset-auth", b"0" if is_on else b"inf", {"Content-Type": "text/plain"}, method="POST"
        )
        urllib.request.urlopen(request).close()


class Weed(SeaweedFS):
    """Enforces policies of users, the condition `s3:prefix` included."""

    def __init__(self):
        super().__init__(bucket=BUCKET, further=["-s3.iam.readOnly=false"])

    def __enter__(self):
        super().__enter__()
        self.url = self.endpoint
        self.s3 = self.client()
        self.iam = boto3.client("iam", **self._access(self.access_key, self.secret_key))
        return self

    def _access(self, key, secret):
        return {"endpoint_url": self.endpoint, "region_name": REGION, "aws_access_key_id": key, "aws_secret_access_key": secret}

    def client_of(self, key):
        return boto3.client("s3", **self._access(key["AccessKeyId"], key["SecretAccessKey"]))

    @contextlib.contextmanager
    def user(self, name, document):
        self.iam.create_user(UserName=name)
        # In a user's inline policy moto supports fewer actions.
        made = self.iam.create_policy(PolicyName=f"policy-of-{name}", PolicyDocument=json.dumps(document))
        self.iam.attach_user_policy(UserName=name, PolicyArn=made["Policy"]["Arn"])
        key = self.iam.create_access_key(UserName=name)["AccessKey"]
        client = self.client_of(key)
        [prefix] = {
            each["Condition"]["StringLike"]["s3:prefix"][0] for each in document["Statement"] if "s3:ListBucket" in each["Action"]
        }
        # A change in IAM takes effect a moment later.
        eventually(lambda: is_allowed(lambda: client.list_objects_v2(Bucket=BUCKET, Prefix=f"{prefix}/")), "the policy is in force")
        yield key


def is_allowed(request):
    """Whether the server does it; another error than a refusal is raised."""
    try:
        request()
        return True
    except botocore.exceptions.ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 403:
            raise
        return False


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"it never came to be that {what}")
        time.sleep(0.05)


def listed(value):
    return value if isinstance(value, list) else [value]
