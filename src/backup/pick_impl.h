/* pick_impl.h: what pick*.c share; private to them. */
#ifndef COFFER_BACKUP_PICK_IMPL_H
#define COFFER_BACKUP_PICK_IMPL_H

#include "backup/backup_set.h"
#include "backup/pick.h"

#define PICK_MARK_LEN 16                  /* of the hash of a name */

/* A directory of the snapshot, in the order of numbers; the root is the first. */
struct pick_dir {
	uint64_t no;
	uint32_t parent;                 /* index */
	uint8_t name[PICK_MARK_LEN];
	uint8_t id[DIR_ID_LEN];
	uint16_t epoch;                  /* of the id; 0: it has none, or a malformed one */
	bool filled;                     /* something is in it */
};

enum pick_state { PICK_SOUGHT, PICK_FOUND, PICK_NOT_DIR };

struct pick_path {
	char *text;
	bool must_dir;
	enum pick_state state;
};

/* An entry that is looked for. */
enum pick_kind {
	PICK_LAST,                       /* the path's end */
	PICK_BETWEEN,                    /* should have been a directory, and is none */
	PICK_BESIDE,                     /* the link of a long name */
};
struct pick_want {
	uint64_t parent;
	enum pick_kind kind;
	uint32_t path;
	char name[LOWER_NAME_LEN_MAX + 1];
};

struct pick_range {
	uint64_t first, end;
};

/* A file with more names, whose first one is not picked. */
struct pick_linked {
	uint64_t no, bytes;
	bool wanted;
};

struct pick {
	struct pick_path *paths;
	size_t npaths;
	const char *bad;

	/* pick_survey.c */
	struct pick_dir *dirs;
	size_t ndirs, dirs_max;
	uint32_t open[RECORD_DEPTH_MAX]; /* the directories around the entry at hand */
	struct snapshot_config config;

	/* pick_resolve */
	uint32_t *by_name;               /* of dirs, by parent and name */
	struct pick_want *wants;         /* sorted by parent */
	size_t nwants, wants_max;
	uint64_t *keep;                  /* directories that paths lead through; sorted */
	size_t nkeep, keep_max;

	/* pick_find.c */
	bool under, taking;              /* in a directory that is picked; the last entry is picked */
	unsigned under_depth;
	uint64_t quarantine;             /* number of coffer.quarantine; 0: there is none */
	struct pick_range *ranges;
	size_t nranges, ranges_max;
	struct pick_linked *linked;
	size_t nlinked, linked_max;
	bool at_linked;                  /* the last entry is the last of these */
	uint64_t *contents;
	size_t ncontents;
	struct backup_set packs;         /* at: how many pieces of it */
	uint64_t entries, bytes;
};

/* Room for one more of size bytes in *list. -ENOMEM. */
int pick_room(void *list, size_t n, size_t *max, size_t size) must_check;
/* What stands for the name of a directory. */
int pick_mark(const char *name, uint8_t ret_mark[static PICK_MARK_LEN]) must_check;
/* Is it one of the directories that paths lead through? */
bool pick_keeps(const struct pick *p, uint64_t no);

#endif
