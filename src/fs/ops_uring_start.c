/* ops_uring_start.c: whether a mount gets its requests by FUSE over io_uring (ops_uring.c), and the moment in which that is settled: INIT's answer (ops_impl.h). */
#include "fs/ops_impl.h"

#include <stdio.h>

#include "base/fileio.h"
#include "base/log.h"
#include "fs/fuse_uring.h"

#define CPUS_MAX 64u                     /* the kernel wants an entry for each, and each is a thread here */
#define WORKERS_MAX 128u

/* The kernel has a queue for each processor that there may ever be. 0: it does not say, or does not count from 0. */
static unsigned queues(void)
{
	unsigned first = 1, last = 0;
	char text[64];
	int n;

	if (!fileio_first_line("/sys/devices/system/cpu/possible", text, sizeof(text)))
		return 0;
	n = sscanf(text, "%u-%u", &first, &last);
	return n >= 1 && first == 0 ? last + 1 : 0;
}

int ops_uring_offered(void)
{
	char text[8];

	if (!fileio_first_line("/sys/module/fuse/parameters/enable_uring", text, sizeof(text)))
		return -ENOENT;
	return text[0] == 'Y' || text[0] == '1';
}

void ops_uring_wanted(struct ops *o)
{
	unsigned each = o->threads / 2 > 0 ? o->threads / 2 : 1;

	atomic_store(&o->uring, OPS_URING_NO);
	if (!o->params.fuse_uring || o->params.hand)
		return;
	if (ops_uring_offered() != 1) {
		log_warning("%s: fuse-uring: the kernel does not offer it (parameter enable_uring of its module fuse); without it", o->mountpoint);
		return;
	}
	o->cpus = queues();
	if (o->cpus == 0 || o->cpus > CPUS_MAX || sched_getaffinity(0, sizeof(o->allowed), &o->allowed) < 0) {
		log_warning("%s: fuse-uring: is for hosts of at most %u processors; without it", o->mountpoint, CPUS_MAX);
		return;
	}
	if (each > WORKERS_MAX / o->cpus)
		each = WORKERS_MAX / o->cpus;
	o->rings = each * o->cpus;
	atomic_store(&o->uring, OPS_URING_WANTED);
}

bool ops_uring_offers(const struct ops *o, const void *init_in, size_t len)
{
	const struct fuse_init_in *in = init_in;

	return atomic_load(&o->uring) == OPS_URING_WANTED && atomic_load(&o->rings_made) == o->rings &&
	       len >= offsetof(struct fuse_init_in, flags2) + sizeof(in->flags2) && (in->flags & FUSE_INIT_EXT) &&
	       (in->flags2 & (uint32_t)(FUSE_OVER_IO_URING >> 32));
}

bool ops_by_uring(const struct ops *o)
{
	return atomic_load(&o->uring) == OPS_URING_AGREED;
}

void ops_uring_kick_all(struct ops *o)
{
	for (unsigned k = 0; k < o->started; k++)
		if (o->workers[k].ring)
			ops_uring_kick(&o->workers[k]);
}

void ops_uring_settle(struct ops *o, bool agreed)
{
	if (atomic_load(&o->uring) != OPS_URING_WANTED)
		return;
	if (agreed)
		log_info("%s: requests come by io_uring: %u processors, %u workers for each", o->mountpoint, o->cpus, o->rings / o->cpus);
	else
		log_warning("%s: fuse-uring: no ring could be made, or the kernel does not offer it; without it", o->mountpoint);
	atomic_store(&o->uring, agreed ? OPS_URING_AGREED : OPS_URING_NO);
	ops_uring_kick_all(o);
	ops_wake(o);
}
