/* ops_meter.c: how long requests take (base/meter.h), by worker, so that no two threads count in one place. What is measured is from the moment a worker has a request to
 * its answer; what it waited in the kernel before is not. A request that leaves its worker (ops_seek.c) counts until it does. */
#include "fs/ops_impl.h"

#include <linux/fuse.h>
#include <string.h>

enum meter_op ops_meter_of(uint32_t opcode)
{
	switch (opcode) {
	case FUSE_READ:
		return METER_READ;
	case FUSE_WRITE:
		return METER_WRITE;
	case FUSE_FSYNC:
	case FUSE_FSYNCDIR:
	case FUSE_SYNCFS:
		return METER_SYNC;
	case FUSE_LOOKUP:
	case FUSE_GETATTR:
		return METER_LOOKUP;
	case FUSE_READDIR:
	case FUSE_READDIRPLUS:
		return METER_LIST;
	case FUSE_CREATE:
	case FUSE_MKNOD:
	case FUSE_MKDIR:
	case FUSE_SYMLINK:
	case FUSE_LINK:
		return METER_CREATE;
	case FUSE_UNLINK:
	case FUSE_RMDIR:
		return METER_REMOVE;
	case FUSE_RENAME:
	case FUSE_RENAME2:
		return METER_RENAME;
	case FUSE_SETATTR:
	case FUSE_FALLOCATE:
	case FUSE_SETXATTR:
	case FUSE_REMOVEXATTR:
		return METER_SETATTR;
	default:
		return METER_OTHER;
	}
}

void ops_times(const struct ops *o, struct meter_sum ret_sums[static METER_OPS])
{
	memset(ret_sums, 0, METER_OPS * sizeof(*ret_sums));
	for (unsigned k = 0; k < o->threads + o->rings; k++)
		for (unsigned i = 0; i < METER_OPS; i++)
			meter_read(&o->workers[k].meters[i], &ret_sums[i]);
}
