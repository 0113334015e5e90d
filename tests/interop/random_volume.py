"""Files and a log by a seed: transactions of all kinds, checkpoints whole and torn, a last transaction that is lost."""

import random

from cofferbuild import AT_HOME, BLOCK, EMPTY, FRESH, GROUP_BLOCKS, HOLE, HOME, pattern
from coffervol import GROUP_LOWER

GROUPS = 9


def shape(groups):
    """(alloc_groups, gaps) of a set of groups that exist."""
    alloc, gaps = max(groups) + 1, []
    for g in range(alloc):
        if g in groups:
            continue
        if gaps and sum(gaps[-1]) == g:
            gaps[-1] = (gaps[-1][0], gaps[-1][1] + 1)
        else:
            gaps.append((g, 1))
    return alloc, tuple(gaps)


class History:
    def __init__(self, b, seed):
        self.b, self.rng = b, random.Random(seed)
        self.files = [self._new_file(i) for i in range(self.rng.randint(1, 4))]
        self.touched = set()    # files with something in the log since the tail

    def _index(self):
        return self.rng.choice((0, 1, 2, 63, 126, 127, self.rng.randrange(GROUP_BLOCKS)))

    def _new_file(self, i):
        r, groups = self.rng, {0}
        groups |= {r.randrange(GROUPS) for _ in range(r.randint(0, 4))}
        blocks = {g * GROUP_BLOCKS + self._index(): pattern(r.randrange(256)) for g in groups for _ in range(r.randint(0, 4))}
        alloc, gaps = shape(groups)
        f = self.b.home(b"file %d" % i, GROUPS * GROUP_BLOCKS * BLOCK, blocks, alloc=alloc, gaps=gaps,
                        epoch=r.choice((1, 2, 259)))
        if r.random() < 0.3:
            f.pwrite(pattern(3), GROUPS * GROUP_LOWER)
        return f

    def _entry(self, entries, index):
        return entries[28 * index:28 * index + 28]

    def _group(self, f, g, existed):
        """One GROUP for Transaction.file()."""
        r = self.rng
        epoch = f.now[g][0] if existed else r.choice((f.epoch, 259))
        base = HOME
        if not existed or r.random() < 0.1:
            base = EMPTY
        elif g in f.home and f.home[g] == f.now[g][1] and r.random() < 0.5:
            base = FRESH
        changes = {}
        for _ in range(r.randint(0, 5)):
            index = self._index()
            free = all(self._entry(e, index) == HOLE for e in (f.home.get(g, bytes(3584)),
                                                               f.now[g][1] if existed else bytes(3584)))
            kind = r.random()
            data = pattern(r.randrange(256))
            changes[index] = None if kind < 0.2 else (AT_HOME, data) if kind < 0.5 and free else data
        if existed and epoch != 259 and base != FRESH and r.random() < 0.3:
            epoch = 259         # to the newest epoch: every block again
            if base == HOME:
                for index in range(GROUP_BLOCKS):
                    if self._entry(f.now[g][1], index) != HOLE and changes.get(index, 1) is not None:
                        changes[index] = pattern(r.randrange(256))
        return g, base, changes, epoch

    def transaction(self):
        r, b = self.rng, self.b
        t = b.transaction()
        for f in r.sample(self.files, r.randint(1, len(self.files))):
            groups, before = set(f.now), set(f.now)
            while len(groups) > 1 and r.random() < 0.2:
                groups.discard(r.choice(sorted(groups - {0})))
            if r.random() < 0.4:
                groups.add(r.randrange(GROUPS))
            new = groups - before
            touch = sorted(new | {g for g in groups if r.random() < 0.5})
            alloc, gaps = shape(groups)
            whole = alloc * GROUP_BLOCKS * BLOCK
            size = r.choice((max(f.size, whole), whole, whole + r.randrange(1 << 24), r.randrange(whole, 1 << 48)))
            t.file(f, size, [self._group(f, g, g in before) for g in touch], alloc=alloc, gaps=gaps,
                   split=r.random() < 0.1)
            self.touched.add(f)
            if r.random() < 0.2:
                t.split()
        return t

    def checkpoint(self):
        for f in self.touched:
            f.bring_home()
        if self.rng.random() < 0.7:
            self.b.tail, self.b.tail_sequence = self.b.position, self.b.sequence
            self.touched = set()

    def torn_checkpoint(self):
        """Any blocks, and any sectors of any metadata blocks, of what is in the log."""
        r = self.rng
        for f in sorted(self.touched, key=lambda f: f.file_id):
            for n, c in f.pending.items():
                if r.random() < 0.5:
                    f.pwrite(c, f.lower_offset(n))
            for g, (_, entries) in f.now.items():
                if r.random() < 0.7:
                    block = f.headers[g] + bytes(entries)
                    for sector in range(8):
                        if r.random() < 0.5:
                            f.pwrite(block[512 * sector:512 * sector + 512], g * GROUP_LOWER + 512 * sector)

    def run(self):
        r, b = self.rng, self.b
        for _ in range(r.randint(0, 8)):
            b.commit(self.transaction(), durable=b.sequence if r.random() < 0.5 else b.tail_sequence,
                     epoch=r.choice((1, 2, 259)))
            if r.random() < 0.2:
                self.checkpoint()
        torn, lost = r.random() < 0.6, r.random() < 0.4
        if torn:
            self.torn_checkpoint()
        seen, durable = b.snapshot(), b.sequence
        if lost:
            t = self.transaction()
            b.commit(t, durable=durable)
            start, end = b.positions[b.sequence]
            b.block_at(r.randrange(start, end), r.choice((bytes(BLOCK), pattern(9))))
        b.finish(durable=r.choice((durable, b.tail_sequence)), other={"serial": r.choice((1, 8))})
        return {"tree": seen}


def variant(seed):
    r = random.Random(-1 - seed)
    kw = {}
    if r.random() < 0.5:
        kw = {"tail": r.randrange(1 << 40), "tail_sequence": r.randrange(1 << 40)}
    if r.random() < 0.5:
        kw["tail"] = kw.get("tail", 0) // 4096 * 4096 + 4096 - r.randint(1, 60)
    return lambda b: History(b, seed).run(), kw
