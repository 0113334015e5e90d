#!/usr/bin/python3
"""For scripts: an S3 server behind a proxy that fails often, until it is ended.

    s3_serve.py DIR versitygw|versitygw-full|s3proxy [SHARE [PLANTED]]

SHARE of the requests (0 to 1, default 0) get a fault, each another kind. DIR gets ca.pem and, last, endpoint; DIR/credentials has the keys, DIR/writer (-full) those of one who may not delete. At the end DIR/report says what kinds of faults there
were, and, if PLANTED (planted.py make) is given, what of it was in a request.
"""
import collections
import os
import random
import signal
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import s3  # noqa: E402
import s3_proxy  # noqa: E402
from planted import Planted  # noqa: E402

CLOCK = ("clock", 200)  # what the server itself lets pass
APART = 60  # requests: a call learns another clock once
KINDS = [("status", 500), ("status", 503, (), "<Error><Code>SlowDown</Code></Error>"), ("status", 503), ("drop",), ("reset",), ("lost",), ("cut", 1000), ("answer", 502, "<html>"),
         ("status", 200, (), "<Error><Code>InternalError</Code></Error>"), ("corrupt",), CLOCK]


class Sometimes(list):
    """In the place of a proxy's list of faults: one now and then."""

    def __init__(self, share):
        super().__init__()
        self.share = share
        self.count = collections.Counter()
        self.since = 0

    def __iter__(self):
        self.since += 1
        if random.random() < self.share:
            # A GET of status 200 is an object: an error in it is none; and so is the end of a list that is cut off by a proxy that counts right.
            kind = random.choice(KINDS)
            if kind is CLOCK and self.since < APART:
                return
            self.since = 0 if kind is CLOCK else self.since
            self.count[" ".join(map(str, kind[:2]))] += 1
            yield {"left": 1, "match": "^(POST|PUT)" if kind[:2] == ("status", 200) or kind[0] == "corrupt" else "", "what": kind}

    def report(self, proxy):
        yield "%d requests, faults %s" % (len(proxy.requests), ", ".join("%s: %d" % kn for kn in sorted(self.count.items())))
        yield "%d bytes looked at" % proxy.looked
        yield from ("seen: " + text for text in proxy.seen)


def main(d, kind, share="0", planted=None):
    os.makedirs(d, exist_ok=True)
    s3.bao_module.make_ca(d)
    server = {"versitygw": s3.Versity, "versitygw-full": s3.VersityFull, "s3proxy": s3.S3proxy}[kind](d)
    faults = Sometimes(float(share))
    signal.signal(signal.SIGTERM, lambda *a: sys.exit(0))
    try:
        server.start()
        proxy = s3_proxy.Faults(d, server.port)
        proxy.server.faults = faults
        proxy.server.planted = Planted(planted) if planted else None
        for name, key, secret in ("credentials", s3.KEY, s3.SECRET), ("writer", s3.WRITER, s3.WRITER_SECRET):
            with open(os.open(d + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as f:
                f.write("[default]\naws_access_key_id=%s\naws_secret_access_key=%s\n" % (key, secret))
        with open(d + "/endpoint.new", "w") as f:
            f.write("https://localhost:%d" % proxy.port)
        os.rename(d + "/endpoint.new", d + "/endpoint")
        signal.pause()
    except SystemExit:
        with open(d + "/report", "w") as f:
            print(*faults.report(proxy.server), sep="\n", file=f)
        raise
    finally:
        server.stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
