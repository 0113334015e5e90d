/* replay.c: see replay.h; what is common to its parts, and the order of them (replay_impl.h).
 *
 * Nothing is believed before it is flushed (what the cache shows may not be on disk), and nothing is written before every file has
 * been found or given up. Writing is idempotent, so meeting a full disk gives up the ballast and starts writing again. */
#include "io/replay_impl.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/text.h"
#include "io/reserve.h"

#define SYNCFS_MIN 64u           /* more files than this: one syncfs instead of a flush each */
#define EVENT_LEN_MAX 256

/* ---- common to all parts ---- */

int replay_tag_key(struct replay *rp, uint16_t epoch, const uint8_t file_id[static FILE_ID_LEN], const struct key_tag **ret_key)
{
	struct replay_key *k = &rp->key;
	int r;

	if (!k->set || k->epoch != epoch || memcmp(k->file_id, file_id, FILE_ID_LEN) != 0) {
		k->set = false;
		r = key_ring_file_tag(rp->p->ring, epoch, file_id, &k->key);
		if (r < 0)
			return r == -ENOKEY ? -EBADMSG : r; /* no such epoch: no tag of it is good */
		k->epoch = epoch;
		memcpy(k->file_id, file_id, FILE_ID_LEN);
		k->set = true;
	}
	*ret_key = &k->key;
	return 0;
}

int replay_direct(struct replay *rp, int fd)
{
	int direct = rp->l->ops->reopen(rp->l, fd, O_RDONLY | O_DIRECT);

	return direct == -EOPNOTSUPP ? -EINVAL : direct;
}

void replay_event(struct replay *rp, enum vio_event ev, const char *fmt, ...)
{
	char text[EVENT_LEN_MAX];
	va_list ap;

	if (!rp->p->cb.event || rp->quiet)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	rp->p->cb.event(rp->p->cb.ctx, ev, text);
}

void replay_id_text(const uint8_t file_id[static FILE_ID_LEN], char ret_text[static 33])
{
	text_hex(file_id, FILE_ID_LEN, ret_text);
}

/* ---- the order ---- */

/* An error of before is told once to each descriptor and each file: what it lost is not in the cache's favour, because log and metadata are read past it. */
static int flush_first(struct replay *rp)
{
	int r;

	if (rp->check_only || !rule_on(rp->p, mountsync))
		return 0;
	r = rp->l->ops->fsync(rp->l, rp->log_fd); /* the state was flushed when it was opened */
	if (r < 0) {
		log_warning("%s had lost writes (%s); flushing again", NAME_LOG, err_text(r));
		r = rp->l->ops->fsync(rp->l, rp->log_fd);
	}
	if (r < 0)
		return log_ret(r, NAME_LOG);
	r = rp->l->ops->syncfs(rp->l, rp->p->root_fd);
	if (r < 0) {
		log_warning("the backing filesystem had lost writes (%s); flushing again", err_text(r));
		r = rp->l->ops->syncfs(rp->l, rp->p->root_fd);
	}
	return r < 0 ? log_ret(r, "the backing filesystem cannot be flushed") : 0;
}

static int write_each(struct replay *rp, bool flush)
{
	size_t i;
	int r = 0;

	rp->res.files = 0;
	for (i = 0; i < rp->nfiles && r == 0; i++) {
		if (rp->files[i]->found)
			r = replay_file_run(rp, rp->files[i], flush);
	}
	return r;
}

/* What is written again after a failed flush counts (replay_file.c does the same for one file). */
static int write_files(struct replay *rp)
{
	size_t i, n = 0;
	int r;

	for (i = 0; i < rp->nfiles; i++)
		n += rp->files[i]->found;
	if (n <= SYNCFS_MIN || rp->check_only)
		return write_each(rp, true);
	r = write_each(rp, false);
	if (r < 0)
		return r;
	r = rp->l->ops->syncfs(rp->l, rp->p->root_fd);
	if (r == 0)
		return 0;
	log_warning("the flush behind replay failed (%s); writing again", err_text(r));
	r = write_each(rp, false);
	return r < 0 ? r : rp->l->ops->syncfs(rp->l, rp->p->root_fd);
}

static int write_home(struct replay *rp)
{
	int r;

	r = write_files(rp);
	if (r != -ENOSPC && r != -EDQUOT)
		return r;
	log_warning("the backing filesystem is full; giving up %s", NAME_RESERVE);
	replay_event(rp, VIO_EVENT_NO_RESERVE, "the ballast is spent by replay");
	if (reserve_spend_closed(rp->l, rp->p->root_fd) < 0)
		return r;
	return write_files(rp);
}

static int run(struct replay *rp, int log_fd)
{
	int r;

	r = replay_log_init(rp, log_fd);
	if (r == 0)
		r = flush_first(rp);
	if (r == 0)
		r = replay_log_gather(rp);
	if (r == 0)
		r = replay_log_check_durable(rp);
	if (r < 0 || rp->res.transactions == 0)
		return r;
	r = replay_find(rp);
	return r < 0 ? r : write_home(rp);
}

static struct replay *replay_new(const struct vio_params *p, struct state *s)
{
	struct replay *rp = calloc(1, sizeof(*rp));

	if (!rp)
		return NULL;
	rp->p = p;
	rp->l = p->lower;
	rp->s = s;
	rp->bc = blockcrypt_get();
	rp->log_direct = -1;
	state_get(s, &rp->st);
	return rp;
}

static int run_and_tell(struct replay *rp, int log_fd, struct replay_result *ret_res)
{
	int r;

	r = rp->bc ? run(rp, log_fd) : -ENOMEM;
	if (r < 0)
		return r;
	*ret_res = rp->res;
	if (rp->res.transactions > 0)
		log_info("the log held %llu transactions of %llu files; %llu are gone, %llu failed",
			 (unsigned long long)rp->res.transactions, (unsigned long long)rp->res.files,
			 (unsigned long long)rp->res.unlinked, (unsigned long long)rp->res.quarantined);
	return 0;
}

void replay_free(struct replay *rp)
{
	if (!rp)
		return;
	replay_log_done(rp);
	replay_gather_done(rp);
	keys_wipe(&rp->key);
	free(rp);
}

int replay_run(const struct vio_params *p, struct state *s, int log_fd, bool accept_log_loss, bool check_only,
	       struct replay_result *ret_res)
{
	struct replay *rp = replay_new(p, s);
	int r;

	if (!rp)
		return -ENOMEM;
	rp->accept_log_loss = accept_log_loss;
	rp->check_only = rp->quiet = check_only;
	r = run_and_tell(rp, log_fd, ret_res);
	replay_free(rp);
	return r;
}

int replay_look(const struct vio_params *p, struct state *s, int log_fd, struct replay_result *ret_res, struct replay **ret_rp)
{
	struct replay *rp = replay_new(p, s);
	int r;

	if (!rp)
		return -ENOMEM;
	rp->check_only = true;
	r = run_and_tell(rp, log_fd, ret_res);
	if (r < 0) {
		replay_free(rp);
		return r;
	}
	*ret_rp = rp;
	return 0;
}
