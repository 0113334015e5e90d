/* fuse_uring.h: what Linux 6.14 added to <linux/fuse.h> for FUSE over io_uring, for systems whose header is older. Source: include/uapi/linux/fuse.h, interface 7.42;
 * Documentation/filesystems/fuse-io-uring.rst. */
#ifndef COFFER_FS_FUSE_URING_H
#define COFFER_FS_FUSE_URING_H

#include <linux/fuse.h>

#ifndef FUSE_OVER_IO_URING

#define FUSE_OVER_IO_URING (1ULL << 41)
#define FUSE_URING_IN_OUT_HEADER_SZ 128
#define FUSE_URING_OP_IN_OUT_SZ 128

struct fuse_uring_ent_in_out {
	uint64_t flags;
	uint64_t commit_id;      /* of the request, for its answer */
	uint32_t payload_sz;     /* of the request; then of the answer */
	uint32_t padding;
	uint64_t reserved;
};

struct fuse_uring_req_header {
	char in_out[FUSE_URING_IN_OUT_HEADER_SZ]; /* struct fuse_in_header; then struct fuse_out_header */
	char op_in[FUSE_URING_OP_IN_OUT_SZ];      /* what the operation has in front of names and data */
	struct fuse_uring_ent_in_out ring_ent_in_out;
};

enum fuse_uring_cmd {
	FUSE_IO_URING_CMD_INVALID = 0,
	FUSE_IO_URING_CMD_REGISTER = 1,
	FUSE_IO_URING_CMD_COMMIT_AND_FETCH = 2,
};

/* In the 80 bytes of a large submission queue entry. */
struct fuse_uring_cmd_req {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t qid;            /* the processor */
	uint8_t padding[6];
};

#endif

#endif
