/* ioq_impl.h: what the engines of ioq.h share. Private to src/io/ioq*.c. */
#ifndef COFFER_IO_IOQ_IMPL_H
#define COFFER_IO_IOQ_IMPL_H

#include "io/ioq.h"

struct ioq_ops {
	int (*submit)(struct ioq *q, struct ioq_req *r);
	struct ioq_req *(*wait)(struct ioq *q);
	void (*free)(struct ioq *q);
};

/* Requests in the order in which they were put. */
struct ioq_list {
	struct ioq_req *head;
	struct ioq_req **tail;   /* NULL: the list is empty */
};

struct ioq {
	const struct ioq_ops *ops;
	struct lower *l;
	bool uring;
	struct ioq_list done;
	size_t outstanding;      /* submitted and not yet returned by ioq_wait */
};

void ioq_list_put(struct ioq_list *li, struct ioq_req *r);
struct ioq_req *ioq_list_take(struct ioq_list *li); /* NULL: empty */

/* Do r by plain calls and set its result. */
void ioq_do_plain(struct lower *l, struct ioq_req *r);

#endif
