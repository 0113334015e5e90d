#!/usr/bin/python3
"""What another client than ours sees of object lock in the bucket of s3_serve.py DIR versitygw-full.

    s3_locks.py DIR show          each object of ours: "KIND DAYS", KIND segments, packs, lists, snapshots or other, DAYS that it is held for, rounded; - none
    s3_locks.py DIR set SECONDS   hold all that is held for SECONDS more, whatever was said before (who has the right to lift it)
    s3_locks.py DIR versions      how many versions and delete markers there are
"""
import datetime
import os
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3  # noqa: E402


def main(d, what, seconds="0"):
    with open(d + "/endpoint") as f:
        c = s3.client(f.read().strip(), d + "/ca.pem")
    now = datetime.datetime.now(datetime.timezone.utc)
    versions = c.list_object_versions(Bucket=s3.LOCKED)
    if what == "versions":
        print(len(versions.get("Versions", [])), len(versions.get("DeleteMarkers", [])))
        return
    for o in versions.get("Versions", []):
        which = {"Bucket": s3.LOCKED, "Key": o["Key"], "VersionId": o["VersionId"]}
        until = c.head_object(**which).get("ObjectLockRetainUntilDate")
        kind = (o["Key"].split("/") + ["", ""])[2]
        if what == "set" and until:
            until = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=float(seconds))
            c.put_object_retention(**which, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until}, BypassGovernanceRetention=True)
        elif what == "show" and o["IsLatest"]:
            print(kind if kind in ("segments", "packs", "lists", "snapshots") else "other", round((until - now).total_seconds() / 86400) if until else "-")


main(*sys.argv[1:])
