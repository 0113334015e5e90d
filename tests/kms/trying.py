"""tests/kms/kms_try as an object: one process with a key URI and settings, asked again and again."""
import os
import re
import subprocess

TRY = os.path.join(os.environ.get("top_builddir", "."), "tests/kms/kms_try")


class Answer:
    def __init__(self, line):
        self.line = line
        m = re.fullmatch(r"([A-Z]+) alarm=(\d) http=(\d+) attempts=(\d+) ms=(\d+) id=(\S*) credential=(.*?) code=(.*?): (.*)", line, re.S)
        if m is None:
            raise AssertionError("no answer: " + line)
        self.kind, self.id, self.credential, self.code, self.message = m[1], m[6], m[7], m[8], m[9]
        self.alarm, self.http, self.attempts, self.ms = (int(m[i]) for i in (2, 3, 4, 5))


class Try:
    """A kms_try process; before: a command that becomes it; without: variables that it must not have."""

    def __init__(self, uri, *settings, env=None, before=(), without=("VAULT_TOKEN", "BAO_TOKEN")):
        full = {k: v for k, v in os.environ.items() if k not in without}
        full.update(env or {})
        self.p = subprocess.Popen([*before, TRY, uri, *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=full)

    def raw(self, *words):
        self.p.stdin.write(" ".join(words) + "\n")
        self.p.stdin.flush()
        return self.p.stdout.readline().rstrip("\n")

    def __call__(self, *words):
        return Answer(self.raw(*words))

    def close(self):
        self.p.stdin.close()
        self.p.stdout.close()
        self.p.wait()
