#!/usr/bin/python3
"""Read a scrape with Prometheus's own parser, and judge it.

metrics.py scrape ADDRESS          GET /metrics of HOST:PORT or a socket's path; the body to standard output
metrics.py check FILE              every name of the interface with its type, histograms whole, no series twice
metrics.py value FILE NAME [LABEL=VALUE]...   the one sample
metrics.py slow ADDRESS            clients that say nothing, or never end, do not keep others waiting
"""
import socket
import sys
import time

from prometheus_client.parser import text_string_to_metric_families

NAMES = {
    "coffer_build_info": "gauge", "coffer_mount_info": "gauge", "coffer_mount_ready": "gauge",
    "coffer_read_bytes": "counter", "coffer_write_bytes": "counter", "coffer_op_duration_seconds": "histogram",
    "coffer_integrity_failures": "counter", "coffer_log_size_bytes": "gauge", "coffer_log_used_bytes": "gauge",
    "coffer_commits": "counter", "coffer_commit_duration_seconds": "histogram",
    "coffer_checkpoint_duration_seconds": "histogram", "coffer_replayed_transactions": "counter",
    "coffer_dirty_bytes": "gauge", "coffer_reserve_whole": "gauge", "coffer_rekey_remaining_bytes": "gauge",
    "coffer_lease_state": "gauge", "coffer_lease_remaining_seconds": "gauge", "coffer_kms_requests": "counter",
    "coffer_kms_request_duration_seconds": "histogram", "process_cpu_seconds": "counter",
    "coffer_scrub_last_success_timestamp_seconds": "gauge", "coffer_backup_last_success_timestamp_seconds": "gauge",
    "coffer_backup_verified_timestamp_seconds": "gauge",
    "process_resident_memory_bytes": "gauge", "process_start_time_seconds": "gauge",
}


def connect(address):
    if address.startswith("/"):
        s = socket.socket(socket.AF_UNIX)
        s.connect(address)
        s.settimeout(60)
        return s
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=60)


def ask(address, request=b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"):
    with connect(address) as s:
        s.sendall(request)
        got = b""
        while True:
            more = s.recv(65536)
            if not more:
                break
            got += more
    head, body = got.split(b"\r\n\r\n", 1)
    lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines[1:])
    if not request.startswith(b"HEAD"):
        assert int(fields["Content-Length"]) == len(body), fields
    return int(lines[0].split()[1]), fields, body.decode()


def check_histogram(family):
    groups = {}
    for s in family.samples:
        labels = tuple(sorted((k, v) for k, v in s.labels.items() if k != "le"))
        groups.setdefault(labels, {})[(s.name[len(family.name):], s.labels.get("le"))] = s.value
    for labels, group in groups.items():
        buckets = sorted((float(le), v) for (part, le), v in group.items() if part == "_bucket")
        assert len(buckets) > 5 and buckets[-1][0] == float("inf"), (family.name, labels)
        assert [v for _, v in buckets] == sorted(v for _, v in buckets), (family.name, labels)
        assert buckets[-1][1] == group[("_count", None)], (family.name, labels)
        assert (group[("_sum", None)] > 0) == (group[("_count", None)] > 0), (family.name, labels)


def check(path):
    families = list(text_string_to_metric_families(open(path, encoding="utf-8").read()))
    types = {f.name: f.type for f in families}
    for name, kind in NAMES.items():
        assert types.get(name) == kind, f"{name}: {types.get(name)}, not {kind}"
    unknown = set(types) - set(NAMES)
    assert not unknown, unknown
    assert len(types) == len(families), "a name told twice"
    seen = set()
    for f in families:
        assert f.documentation, f.name
        for s in f.samples:
            key = (s.name, tuple(sorted(s.labels.items())))
            assert key not in seen, key
            seen.add(key)
            assert not any("/" in v for v in s.labels.values()), ("a path in a label", s)
        if f.type == "histogram":
            check_histogram(f)
    print(f"{len(families)} families, {len(seen)} series")


def value(path, name, labels):
    want = dict(label.split("=", 1) for label in labels)
    got = [s.value for f in text_string_to_metric_families(open(path, encoding="utf-8").read()) for s in f.samples
           if s.name == name and want.items() <= s.labels.items()]
    assert len(got) == 1, (name, labels, got)
    print(int(got[0]))


def slow(address):
    hangers = [connect(address) for _ in range(40)]  # more than there are places
    for i, s in enumerate(hangers):
        try:
            s.sendall(b"GET /metrics HTTP/1.1\r\nX: " if i % 2 else b"G")
        except OSError:
            pass  # it had to go already
    begin = time.monotonic()
    status, _, body = ask(address)
    assert status == 200 and "coffer_build_info" in body
    print(f"answered in {time.monotonic() - begin:.3f} s behind {len(hangers)} that hang")
    ended = 0
    for s in hangers:
        try:
            ended += s.recv(1) == b""
        except ConnectionError:
            ended += 1
    assert ended == len(hangers), ended  # each has lost its connection by now, or within its time
    for request, want in ((b"POST /metrics HTTP/1.1\r\n\r\n", 405), (b"GET / HTTP/1.1\r\n\r\n", 404), (b"\x16\x03\x01\r\n\r\n", 400),
                          (b"HEAD /metrics HTTP/1.1\r\n\r\n", 200), (b"x" * 4096, 431)):
        status, fields, body = ask(address, request)
        assert status == want, (request, status)
        assert not body, request


def main():
    what, args = sys.argv[1], sys.argv[2:]
    if what == "scrape":
        status, fields, body = ask(args[0])
        assert status == 200 and fields["Content-Type"].startswith("text/plain; version=0.0.4"), (status, fields)
        sys.stdout.write(body)
    elif what == "check":
        check(args[0])
    elif what == "value":
        value(args[0], args[1], args[2:])
    else:
        slow(args[0])


main()
