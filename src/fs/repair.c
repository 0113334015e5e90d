/* repair.c: the passes (repair.h). Each is a whole check that mends what it meets; what was mended may show more (a directory that has its names again), so
 * passes go on until one mends nothing. What that one finds is left. */
#include "fs/repair.h"

#include <fcntl.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "fs/repair_impl.h"

#define PASSES_MAX 32
#define TOLD_MAX 65536u

static bool told_before(struct repair *rp, const struct repair_action *a)
{
	uint64_t h = hash_u64x2(hash_bytes(a->backing_path, strlen(a->backing_path)), (uint64_t)a->problem);
	uint64_t *list;
	size_t i;

	for (i = 0; i < rp->ntold; i++)
		if (rp->told[i] == h)
			return true;
	if (rp->ntold == TOLD_MAX)
		return false;
	list = reallocarray(rp->told, rp->ntold + 1, sizeof(*list));
	if (!list)
		return false;
	rp->told = list;
	rp->told[rp->ntold++] = h;
	return false;
}

static void tell(struct repair *rp, const struct repair_action *a)
{
	if (a->kind == REPAIR_FAILED && told_before(rp, a))
		return;
	if (a->kind != REPAIR_FAILED) {
		rp->res.actions++;
		rp->fixed += a->kind != REPAIR_LINK; /* nothing else depends on that */
	}
	if (rp->p->action)
		rp->p->action(rp->p->ctx, a);
}

static int remove_link(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	int r = rp->v->lower->ops->unlinkat(rp->v->lower, at->dirfd, at->entry, 0);

	a->kind = REPAIR_LINK;
	return r;
}

static int take_symlink(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	struct stat st;
	int r;

	r = rp->v->lower->ops->fstatat(rp->v->lower, at->dirfd, at->entry, &st);
	if (r == 0)
		r = repair_take(rp, at->dirfd, at->entry, &st);
	a->kind = REPAIR_TAKEN;
	a->to = rp->to;
	return r;
}

static int mend_io(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	struct stat st;
	int r;

	if (!at->named)
		return -EIO;
	r = rp->v->lower->ops->fstatat(rp->v->lower, at->dirfd, at->entry, &st);
	if (r == 0 && S_ISREG(st.st_mode))
		return repair_file(rp, at, a);
	return r < 0 ? r : -EIO;
}

static int mend_kind(struct repair *rp, const struct check_place *at, struct repair_action *a)
{
	switch (at->kind) {
	case CHECK_HEADER:
	case CHECK_DAMAGED:
	case CHECK_GROUP:
	case CHECK_BLOCK:
		return repair_file(rp, at, a);
	case CHECK_IO:
		return mend_io(rp, at, a);
	case CHECK_NAME:
	case CHECK_LONG_NAME:
		return repair_nameless(rp, at, a);
	case CHECK_DIR_ID:
		return repair_dir(rp, at, a);
	case CHECK_STRAY_LINK:
		return remove_link(rp, at, a);
	case CHECK_SYMLINK:
		return take_symlink(rp, at, a);
	case CHECK_TYPE:
		return -EXDEV;
	case CHECK_XATTR:
		return -EBADMSG; /* nothing else is known of it, and its file is whole: left as it is */
	case CHECK_TOMBSTONE:
		break;
	}
	return 0;
}

static int mend(void *ctx, const struct check_place *at)
{
	struct repair *rp = ctx;
	struct repair_action a = {
		.kind = REPAIR_FAILED, .problem = at->kind, .plain_path = at->plain_path, .backing_path = at->backing_path,
	};
	int r;

	if (at->kind == CHECK_TOMBSTONE)
		return 0;
	r = mend_kind(rp, at, &a);
	if (r == -ENOMEM || r == -EINTR || r == -EROFS)
		return r;
	if (r < 0) {
		a.kind = REPAIR_FAILED;
		a.error = r;
	}
	tell(rp, &a);
	return 0;
}

static void first_problem(void *ctx, const struct check_problem *pr)
{
	struct repair *rp = ctx;

	if (rp->p->problem)
		rp->p->problem(rp->p->ctx, pr);
}

static bool progress(void *ctx, const struct check_counts *c)
{
	struct repair *rp = ctx;

	return !rp->p->progress || rp->p->progress(rp->p->ctx, c);
}

static int passes(struct repair *rp)
{
	struct check_params first = { .ctx = rp, .problem = first_problem, .progress = progress, .mend = mend };
	struct check_params again = { .ctx = rp, .progress = progress, .mend = mend };
	int r = 0;

	for (int n = 0; n < PASSES_MAX && r == 0; n++) {
		rp->fixed = 0;
		r = repair_settle(rp);
		if (r == 0)
			r = check_run(rp->v, n == 0 ? &first : &again, &rp->res.last);
		if (r == 0 && n == 0)
			rp->res.first = rp->res.last;
		if (rp->fixed == 0)
			break;
	}
	return r;
}

int repair_run(struct volume *v, const struct repair_params *p, struct repair_result *ret_res)
{
	AUTO_FREE struct repair *rp = calloc(1, sizeof(*rp));
	int r;

	if (!rp)
		return -ENOMEM;
	if (v->info.read_only)
		return -EROFS;
	rp->v = v;
	rp->p = p;
	rp->qfd = -1;
	r = repair_quarantine_open(rp);
	if (r == 0)
		r = passes(rp);
	lower_close(v->lower, rp->qfd);
	repair_tidy(rp);
	free(rp->told);
	if (r < 0)
		return r == -EINTR ? r : log_ret(r, "the repair stopped");
	*ret_res = rp->res;
	return 0;
}

const char *repair_kind_text(enum repair_kind kind)
{
	switch (kind) {
	case REPAIR_NOTHING:
		return "read again it is whole: left";
	case REPAIR_REAPPLIED:
		return "what was saved of it fits again: whole";
	case REPAIR_SALVAGED:
		return "what is readable was copied";
	case REPAIR_TAKEN:
		return "nothing is readable: taken away";
	case REPAIR_QUARANTINED:
		return "nothing of this volume: taken away";
	case REPAIR_FOUND:
		return "its name is lost: moved";
	case REPAIR_DIR_ID:
		return "the directory's id was put right";
	case REPAIR_LINK:
		return "the link was removed";
	case REPAIR_FAILED:
		return "left as it is";
	}
	return "unknown";
}
