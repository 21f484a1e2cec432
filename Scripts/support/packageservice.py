"""Tries the Debian package's systemd unit under a real systemd, in a container of systemd-nspawn. Used by Scripts/package test service.

    python3 Scripts/support/packageservice.py --place DIR

The unit starts, publishes, stops with everything published, and is restarted by the watchdog when its process is held.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import boto3
from packagetest import Clean
from packagetree import run

# Runs as the container's last service. Each line that begins with `ok` or `FAIL` is a result.
INSIDE = r"""
exec >/root/result 2>&1
unit=s3mirror@train
shows() { systemctl show -p "$1" --value "$unit"; }
holds() { if eval "$2"; then echo "ok   $1"; else echo "FAIL $1"; fi; }
eventually() { for i in $(seq 1 300); do eval "$2" && break; sleep 0.1; done; holds "$1" "$2"; }
holds "it starts, and is ready when it has compared" "systemctl start $unit"
holds "the watchdog is on" '[ "$(shows WatchdogUSec)" = 5min ]'
holds "it is no root" '[ "$(shows User)" = s3mirror ]'
echo two >/data/run/b
eventually "its status tells what the latest pass did" 'shows StatusText | grep -q "tick 1: 1 file"'
echo three >/data/run/c
holds "it stops" "systemctl stop $unit"
holds "it ended with 0" '[ "$(shows Result) $(shows ExecMainStatus)" = "success 0" ]'
mkdir -p /run/systemd/system/$unit.service.d
printf '[Service]\nWatchdogSec=2\nRestartSec=0\n' >/run/systemd/system/$unit.service.d/short.conf
systemctl daemon-reload
systemctl start $unit
sleep 5
holds "it beats: a watchdog of 2 seconds leaves it alone" '[ "$(shows ActiveState) $(shows NRestarts)" = "active 0" ]'
kill -STOP "$(shows MainPID)"
eventually "a process that is held is restarted" '[ "$(shows ActiveState) $(shows NRestarts)" = "active 1" ]'
systemctl stop $unit
holds "nothing was denied" '! journalctl -u $unit | grep -iE "denied|not permitted|errno="'
journalctl --no-pager -u $unit
systemctl poweroff
"""
FINDINGS = re.compile(r'^(?:holds|eventually) "', re.MULTILINE)
ONCE = "[Unit]\nAfter=basic.target\n[Service]\nType=oneshot\nExecStart=/bin/sh /root/inside.sh\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--place", type=pathlib.Path, required=True)
    given = parser.parse_args()
    clean = Clean(given.place)
    if not shutil.which("systemd-nspawn") or not clean.make():
        print("the unit was not run: that needs root, debootstrap and systemd-nspawn (systemd-container)", file=sys.stderr)
        return 0
    [package] = (given.place / "dist").glob("*.deb")
    with tempfile.TemporaryDirectory(prefix="s3mirror-service.") as place:
        result = boot(pathlib.Path(place), clean.root, package)
    print(result, end="", file=sys.stderr)
    found = sorted(key["Key"] for key in objects())
    if found != ["service/a", "service/b", "service/c"]:
        sys.exit(f"S3 has {found}, and not what the service was given")
    if "FAIL" in result or result.count("ok  ") != len(FINDINGS.findall(INSIDE)):
        sys.exit("the service does not do what the lines above say")
    print("the unit works under a real systemd", file=sys.stderr)
    return 0


def boot(place, lower, package):
    """Boots a copy of the small Debian that vanishes afterwards, and returns what its trial wrote."""
    root = place / "root"
    for name in ("layer", "root"):
        (place / name).mkdir()
    run("mount", "-t", "tmpfs", "none", place / "layer")
    try:
        for name in ("upper", "work"):
            (place / "layer" / name).mkdir()
        options = f"lowerdir={lower},upperdir={place}/layer/upper,workdir={place}/layer/work"
        run("mount", "-t", "overlay", "overlay", "-o", options, root)
        try:
            furnish(root, package)
            nspawn = ["systemd-nspawn", "--quiet", "--directory", root, "--register=no", "--keep-unit", "--boot"]
            subprocess.run(
                [str(each) for each in nspawn], stdin=subprocess.DEVNULL, capture_output=True, check=True, timeout=180,
                preexec_fn=as_booted,
            )  # fmt: skip
            return (root / "root/result").read_text(encoding="utf-8")
        finally:
            run("umount", root)
    finally:
        run("umount", place / "layer")


def as_booted():
    """A service has the priority of a machine's first process, not that of whoever started this script under nice(1)."""
    os.setpriority(os.PRIO_PROCESS, 0, 0)


def furnish(root, package):
    shutil.copyfile("/etc/resolv.conf", root / "etc/resolv.conf")
    shutil.copytree("/etc/apt/apt.conf.d", root / "etc/apt/apt.conf.d", dirs_exist_ok=True)
    shutil.copyfile(package, root / "root" / package.name)
    install = (
        "export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; apt-get -qq install -y --no-install-recommends "
        f"systemd systemd-sysv dbus libnss-systemd /root/{package.name}"
    )
    run("chroot", root, "sh", "-c", install)
    (root / "etc/s3mirror/aws").mkdir(parents=True)
    (root / "data/run").mkdir(parents=True)
    # Only root may read it, and the service does not run as root.
    (root / "data/run").chmod(0o700)
    (root / "data/run/a").write_text("one\n", encoding="utf-8")
    (root / "data/run/a").chmod(0o600)
    remote = f"s3://{os.environ['S3MIRROR_TEST_BUCKET']}/service"
    upload = f'{{"name": "checkpoints", "local": "/data/run", "remote": "{remote}", "interval": 1}}'
    (root / "etc/s3mirror/train.json").write_text(f'{{"uploads": [{upload}]}}\n', encoding="utf-8")
    service = f"AWS_ENDPOINT_URL={os.environ['AWS_ENDPOINT_URL']}\nAWS_REGION={os.environ['AWS_REGION']}\n"
    (root / "etc/s3mirror/train.env").write_text(service, encoding="utf-8")
    keys = f"aws_access_key_id={os.environ['AWS_ACCESS_KEY_ID']}\naws_secret_access_key={os.environ['AWS_SECRET_ACCESS_KEY']}\n"
    credentials = root / "etc/s3mirror/aws/credentials"
    credentials.write_text(f"[default]\n{keys}", encoding="utf-8")
    credentials.chmod(0o600)
    (root / "root/inside.sh").write_text(INSIDE, encoding="utf-8")
    (root / "etc/systemd/system/inside.service").write_text(ONCE, encoding="utf-8")
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "inside.service").symlink_to("/etc/systemd/system/inside.service")


def objects():
    client = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    return client.list_objects_v2(Bucket=os.environ["S3MIRROR_TEST_BUCKET"], Prefix="service/").get("Contents", [])


if __name__ == "__main__":
    sys.exit(main())
