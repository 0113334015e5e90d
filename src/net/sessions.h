/* sessions.h: what was fetched over the network and is kept for a while (tokens, credentials), by key: a table of a fixed size, where one thread fetches for a
 * key and the others that want it wait for that. What is kept, for how long, and when it is fetched anew, is its owner's.
 *
 *	struct mine { struct session session; ... };                         session first
 *	static struct mine of[N];
 *	static struct sessions all = SESSIONS_INIT(of, clear);
 *
 *	s = sessions_take(&all, key, deadline_ms);                           all.m is held from here on, unless NULL
 *	if (it has to be fetched) {
 *		sessions_fetch_begin(&all, s);                               not held; s is ours alone
 *		...
 *		sessions_fetch_end(&all, s);                                 held again
 *	}
 *	sessions_give(&all, s);
 *
 * Process-wide tables, since any thread may come first; no thread of their own. Thread safe. */
#ifndef COFFER_NET_SESSIONS_H
#define COFFER_NET_SESSIONS_H

#include "base/err.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SESSION_KEY_MAX 3072

struct session {
	char key[SESSION_KEY_MAX]; /* empty: free */
	uint64_t used_ms;          /* its owner says when: clock_boot_ms() */
	bool busy;                 /* somebody fetches: all else of the entry is his */
	unsigned waiting;
};

struct sessions {
	pthread_mutex_t m;
	pthread_cond_t changed;
	uint64_t generation;       /* lock: m; of all entries, so that none repeats */
	void *of;                  /* lock: m, but for what is busy */
	size_t count, size;        /* of entries, of one */
	void (*clear)(void *entry); /* wipes what it owns and zeroes it, session and all */
};

#define SESSIONS_INIT(array, clear_fn)                                                                                                        \
	{                                                                                                                                     \
		.m = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .of = (array), .count = sizeof(array) / sizeof(*(array)), \
		.size = sizeof(*(array)), .clear = (clear_fn)                                                                                  \
	}

/* The entry of key, which is shorter than SESSION_KEY_MAX and not empty; a new one takes the place of the one not used for longest. NULL, and nothing held: all are in
 * use, or a fetch is not over at deadline_ms (CLOCK_BOOTTIME). */
void *sessions_take(struct sessions *t, const char *key, uint64_t deadline_ms);
/* The entry of key if there is one, else NULL; t->m is held in any case. It may be busy. */
void *sessions_peek(struct sessions *t, const char *key);
void sessions_give(struct sessions *t);
void sessions_fetch_begin(struct sessions *t, void *entry);
void sessions_fetch_end(struct sessions *t, void *entry);
/* Clear all that nobody uses. */
void sessions_forget(struct sessions *t);

#endif
