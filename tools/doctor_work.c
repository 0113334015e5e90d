/* doctor_work.c: engines and what they need, out of their sources and documents; each need is really tried (doctor_work.h). A step that two engines share is run for each, because
 * it is the engine that is asked about. */
#include "tools/doctor_work.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static int pages_4k(int dir)
{
	return doctor_step_pages(dir, 4096);
}

static int pages_8k(int dir)
{
	return doctor_step_pages(dir, 8192);
}

static int blocks_256k(int dir)
{
	return doctor_step_pages(dir, 256 << 10);
}

static int granules_64k(int dir)
{
	return doctor_step_pages(dir, 64 << 10);
}

struct need {
	const char *text;
	int (*run)(int dir);
};

static const struct need sqlite[] = {
	{ "pages of 4 KiB: written in any order, flushed, read back", pages_4k },
	{ "an overwrite changes no byte beside it (powersafe overwrite)", doctor_step_neighbour },
	{ "locks on byte ranges between processes", doctor_step_record_locks },
	{ "the -shm file: memory that processes share", doctor_step_shared_memory },
	{ "a rollback journal: made, flushed with its directory, removed", doctor_step_journal },
	{ "a file cut and grown again reads as zeros", doctor_step_truncate },
	{ NULL, NULL },
};
static const struct need postgres[] = {
	{ "a data directory of its own, mode 0700", doctor_step_private },
	{ "pages of 8 KiB: written in any order, flushed, read back", pages_8k },
	{ "WAL segments allocated ahead, written back early, flushed", doctor_step_allocate },
	{ "WAL segments and control files renamed into place, durably", doctor_step_replace },
	{ "hard links", doctor_step_hard_link },
	{ "tablespaces: symbolic links", doctor_step_symlink },
	{ "tables dropped while they are open", doctor_step_open_removed },
	{ "directories and files flushed through read-only descriptors (initdb -S)", doctor_step_flush_readonly },
	{ "relations cut and grown again read as zeros", doctor_step_truncate },
	{ "WAL with O_DIRECT", doctor_step_direct },
	{ NULL, NULL },
};
static const struct need duckdb[] = {
	{ "blocks of 256 KiB: written in any order, flushed, read back", blocks_256k },
	{ "a lock on the whole file, that another process meets", doctor_step_whole_lock },
	{ "a write-ahead log that is appended to, and flushed", doctor_step_append },
	{ "the log cut when a checkpoint is done", doctor_step_truncate },
	{ "temporary files removed while they are open", doctor_step_open_removed },
	{ NULL, NULL },
};
static const struct need clickhouse[] = {
	{ "a part: a directory of flushed files, renamed into place, removed with all in it", doctor_step_part },
	{ "hard links of a part's files (mutations, FREEZE, ATTACH)", doctor_step_hard_link },
	{ "two directories exchanged (EXCHANGE TABLES)", doctor_step_exchange },
	{ "column files written and read in pieces of 64 KiB", granules_64k },
	{ "merges with O_DIRECT", doctor_step_direct },
	{ "files read by mapping, also when a merge has removed them", doctor_step_mapped_read },
	{ "the status file's lock (flock)", doctor_step_flock },
	{ "symbolic links", doctor_step_symlink },
	{ NULL, NULL },
};
static const struct need lucene[] = {
	{ "segments read by mapping, also when they have been removed", doctor_step_mapped_read },
	{ "fsync through a descriptor that is open for reading", doctor_step_flush_readonly },
	{ "segments_N renamed into place, and its directory flushed", doctor_step_replace },
	{ "write.lock: a lock on a whole file, that another process meets", doctor_step_whole_lock },
	{ "the translog: appended to, and flushed", doctor_step_append },
	{ NULL, NULL },
};

static const struct engine {
	const char *name;
	const struct need *needs;
} engines[] = {
	{ "sqlite", sqlite }, { "postgres", postgres }, { "duckdb", duckdb }, { "clickhouse", clickhouse }, { "lucene", lucene },
};

const char *doctor_engines(void)
{
	return "sqlite, postgres, duckdb, clickhouse, lucene";
}

static const char *why(int r)
{
	return r == -EBADMSG ? "it went through, but the result is not what it must be" : r == -ETIMEDOUT ? "another process got stuck in it" : err_text(r);
}

int doctor_work(struct doctor *d, const char *engine, const char *mountpoint)
{
	AUTO_FREE char *path = NULL;
	AUTO_CLOSE int dir = -1;
	const struct engine *e = NULL;
	int r;

	for (size_t i = 0; i < sizeof(engines) / sizeof(engines[0]); i++)
		if (strcmp(engines[i].name, engine) == 0)
			e = &engines[i];
	if (!e)
		return -ENOENT;
	if (asprintf(&path, "%s/.coffer-doctor-XXXXXX", mountpoint) < 0 || !mkdtemp(path) ||
	    (dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		doctor_row(d, engine, DOCTOR_FAIL, NULL, "no directory can be made in %s: %s", mountpoint, strerror(errno));
		return 0;
	}
	for (const struct need *n = e->needs; n->text; n++) {
		r = n->run(dir);
		doctor_row(d, engine, r == 0 ? DOCTOR_OK : DOCTOR_FAIL, "coffer-mount(1) says what differs from other filesystems",
			   r == 0 ? "%s" : "%s: %s", n->text, why(r));
	}
	if (rmdir(path) < 0)
		doctor_row(d, engine, DOCTOR_WARN, "remove it", "%s stays behind: %s", path, strerror(errno));
	return 0;
}
