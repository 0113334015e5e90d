#!/usr/bin/python3
"""A random load of four processes, each checked against a model, while the kernel's caches are dropped: names of all lengths, hard links, renames over
others, files unlinked while open, listings. random_load.py DIR SECONDS SEED; exit 0: everything read as the model says."""
import multiprocessing
import os
import random
import sys
import time

SIZES = (0, 1, 100, 4096, 10000, 200000)


class Load:
    def __init__(self, top, seed):
        self.r, self.files, self.step = random.Random(seed), {}, 0  # path -> [content], shared by hard links
        os.mkdir(top)
        self.dirs = [top]

    def some_path(self, kind, long):
        name = f"{kind}{self.r.randrange(60)}" + (long * 200 if self.r.random() < 0.2 else "")
        return f"{self.r.choice(self.dirs)}/{name}"

    def some_file(self):
        path = self.r.choice(list(self.files))
        return path, self.files[path]

    def check(self, path):
        content, st = self.files[path][0], os.stat(path)
        links = sum(1 for f in self.files.values() if f is self.files[path])
        assert (st.st_size, st.st_nlink) == (len(content), links), f"{path}: {st}, not {len(content)}, {links}"
        with open(path, "rb") as f:
            assert f.read() == content, f"{path}: other content"

    def mkdir(self):
        if len(self.dirs) < 12:
            self.dirs.append(f"{self.r.choice(self.dirs)}/dir{self.step}" + ("X" * 180 if self.r.random() < 0.3 else ""))
            os.mkdir(self.dirs[-1])

    def write(self):
        path, data = self.some_path("f", "L"), self.r.randbytes(self.r.choice(SIZES))
        self.files.setdefault(path, [b""])[0] = data
        with open(path, "wb") as f:
            f.write(data)

    def append(self):
        path, content = self.some_file()
        data = self.r.randbytes(self.r.choice((1, 300, 5000)))
        with open(path, "ab") as f:
            f.write(data)
        content[0] += data

    def truncate(self):
        path, content = self.some_file()
        size = self.r.randrange(len(content[0]) + 5000)
        os.truncate(path, size)
        content[0] = content[0][:size] + bytes(max(0, size - len(content[0])))

    def overwrite(self):
        path, content = self.some_file()
        at, data = self.r.randrange(len(content[0]) + 1), self.r.randbytes(self.r.randrange(1, 6000))
        fd = os.open(path, os.O_RDWR)
        os.pwrite(fd, data, at)
        if self.r.random() < 0.3:
            os.fsync(fd)
        os.close(fd)
        content[0] = content[0][:at] + data + content[0][at + len(data):]

    def rename(self):
        path, content = self.some_file()
        new = self.some_path("f", "M")
        if self.files.get(new) is not content:
            os.rename(path, new)
            self.files[new] = content
            del self.files[path]

    def link(self):
        path, content = self.some_file()
        new = f"{self.r.choice(self.dirs)}/link{self.step}"
        os.link(path, new)
        self.files[new] = content

    def unlink(self):
        path, content = self.some_file()
        fd = os.open(path, os.O_RDWR) if self.r.random() < 0.5 else -1
        os.unlink(path)
        del self.files[path]
        if fd >= 0:
            assert os.pread(fd, len(content[0]) + 10, 0) == content[0], f"{path}: other content once unlinked"
            os.write(fd, b"zz")
            os.close(fd)
            content[0] = b"zz" + content[0][2:]

    def list(self):
        d = self.r.choice(self.dirs)
        want = {os.path.basename(p) for p in [*self.files, *self.dirs[1:]] if os.path.dirname(p) == d}
        got = os.listdir(d)
        assert len(got) == len(want) and set(got) == want, f"{d}: {set(got) ^ want}"

    def run(self, seconds):
        kinds = [self.write] * 22 + [self.append, self.truncate, self.overwrite, self.rename] * 8 + [self.link] * 5 + [self.unlink] * 11
        kinds += [self.list] * 10 + [self.mkdir] * 3 + [lambda: self.check(self.some_file()[0])] * 15
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.step += 1
            (self.r.choice(kinds) if self.files else self.write)()
        for path in self.files:
            self.check(path)
        print(f"{self.step} operations, {len(self.files)} names", flush=True)


def main():
    top, seconds, seed = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
    ps = [multiprocessing.Process(target=lambda n=n: Load(f"{top}/{n}", seed * 10 + n).run(seconds)) for n in range(4)]
    for p in ps:
        p.start()
    while any(p.is_alive() for p in ps):
        time.sleep(0.25)
        try:
            with open("/proc/sys/vm/drop_caches", "w") as f:
                f.write(random.choice("23"))
        except OSError:
            pass
    sys.exit(1 if any(p.exitcode for p in ps) else 0)


main()
