"""A round of a download: objects that boto3 put there, fetched through the fault proxy, and looked at as they come."""

import re
import threading
import time

import chaoscontent as content
import chaosend
from chaosprocess import mount_tmpfs, remount
from chaosround import EXIT_SECONDS, Round

PART = 5 << 20  # S3's least, so that an object of six MiB comes in two ranges
RUN_SECONDS = 30  # for one download, the fault included


class DownloadRound(Round):
    def play(self):
        self.client = self.server.client()
        self.expected = self.fill()
        self.full = self.tree / "out"
        if self.fault.place == "get-disk-full":
            # Enough room for a part of it only.
            mount_tmpfs(self.full, sum(map(len, self.expected.values())) // 3)
        self.seen = {}
        stop = threading.Event()
        looking = threading.Thread(target=self.look_on, args=(stop,), daemon=True)
        looking.start()
        try:
            self.first()
            self.second()
        finally:
            stop.set()
            looking.join()
        self.look()

    def fill(self):
        source, found = self.random, {}
        for number in range(source.randint(5, 14)):
            name = f"data/part-{number}.bin"
            found[name] = content.whole(name, 1, content.fitting(source.randint(1000, 400_000)))
        large = "data/large.bin"
        found[large] = content.whole(large, 1, content.fitting(source.randint(5300 << 10, 11 << 20)))
        facts = {name: {"version": 1, "bytes": len(body), "sha256": content.digest(body)} for name, body in found.items()}
        found["latest"] = content.marker("latest", 1, facts)
        for name, body in found.items():
            if name == large and source.random() < 0.5:
                self.put_in_parts(name, body)
            else:
                self.client.put_object(Bucket=self.server.bucket, Key=self.prefix + name, Body=body)
        return found

    def put_in_parts(self, name, body):
        where = {"Bucket": self.server.bucket, "Key": self.prefix + name}
        upload = self.client.create_multipart_upload(**where)["UploadId"]
        parts = []
        for number, start in enumerate(range(0, len(body), PART), start=1):
            answer = self.client.upload_part(**where, UploadId=upload, PartNumber=number, Body=body[start : start + PART])
            parts.append({"ETag": answer["ETag"], "PartNumber": number})
        self.client.complete_multipart_upload(**where, UploadId=upload, MultipartUpload={"Parts": parts})

    def download(self):
        words = ["download", f"s3://{self.server.bucket}/{self.prefix}", self.full, "--part-size", "5"]
        return self.mirror(words, [], f"mirror-{len(self.mirrors) + 1}.out")

    def first(self):
        """With the fault. It may give up, if it says so."""
        self.fault.begin(self)
        self.journal.note(f"FAULT {self.name}: {self.fault.describe()}")
        process = self.download()
        status = process.await_end(self.fault.seconds)
        if self.fault.place == "get-kill":
            process.kill()
            self.journal.note("SIGKILL")
            return
        self.fault.end(self)
        self.journal.note("FAULT over")
        if status is None:
            status = process.await_end(RUN_SECONDS)
        if status is None:
            self.say("hang", f"the download runs {RUN_SECONDS} s after the fault")
            process.kill()
            return
        self.ended(process, status, (0, 1, 3))

    def second(self):
        """Without it: everything arrives."""
        if self.fault.place == "get-disk-full":
            remount(self.full, "size=64m")
        began = time.time()
        process = self.download()
        status = process.await_end(EXIT_SECONDS)
        if status is None:
            self.say("hang", f"the download after the fault runs {EXIT_SECONDS} s")
            process.kill()
            return
        self.result.recovery = time.time() - began
        self.ended(process, status, (0,))

    def ended(self, process, status, expected):
        self.journal.note(f"exit status {status}")
        said = process.said()
        here = {str(path.relative_to(self.full)): path for path in self.full.rglob("*") if path.is_file()}
        left = [name for name in here if re.search(r"\.s3mirror-[^/]*\.part$", name)]
        differ = [name for name, body in self.expected.items() if name not in here or here[name].read_bytes() != body]
        if status == 0 and differ:
            self.say("unequal", f"exit status 0, and {len(differ)} files are absent or others: {', '.join(differ[:5])}")
        if status == 0 and left:
            self.say("left", f"exit status 0, and temporary files are left: {', '.join(left[:5])}")
        if status not in expected:
            self.say("crash" if status < 0 else "status", f"exit status {status}, {len(differ)} files differ: {chaosend.last(said)}")
        if status and not chaosend.troubles(said):
            self.say("silent", f"exit status {status}, and standard error says nothing of why")

    def look_on(self, stop):
        while not stop.wait(0.02):
            self.look()

    def look(self):
        """Whatever has its final name is whole."""
        for name, body in self.expected.items():
            try:
                stamp = (self.full / name).stat()
                key = (stamp.st_ino, stamp.st_size, stamp.st_mtime_ns)
                if self.seen.get(name) == key:
                    continue
                found = (self.full / name).read_bytes()
            except OSError:
                continue
            self.seen[name] = key
            if found != body:
                self.say("torn", f"{name} has its name here, and is {content.read(found).problem or 'another'}")
