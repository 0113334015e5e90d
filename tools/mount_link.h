/* mount_link.h: a mount while it lives, and what the agent asks of it (docs/protocol.md, "Events"). */
#ifndef COFFER_TOOLS_MOUNT_LINK_H
#define COFFER_TOOLS_MOUNT_LINK_H

#include <pthread.h>
#include <time.h>

#include "fs/ops.h"
#include "tools/cmd.h"
#include "tools/mount_options.h"
#include "tools/mount_watch.h"

#define MOUNT_GIVEN_MAX 16
#define MOUNT_EARLY_MAX 16               /* the journal has all of them */

struct mount_hand;

struct mounting {
	const struct cmd_global *g;
	struct mount_options o;
	const char *given[MOUNT_GIVEN_MAX];    /* the texts behind -o */
	size_t ngiven;
	const char *name;                /* as the user gave it */
	char *path;                      /* the volume's directory, absolute */
	char *mountpoint;                /* absolute */
	const char *user;                /* user= of volumes.d; NULL */
	bool foreground;
	bool fake;                       /* look at everything, mount nothing */
	int ready_fd;                    /* the parent waits here; -1 */
	uint64_t since_ms;
	time_t since;
	struct mount_watch *watch;       /* NULL: nobody wants it */
	struct volume *volume;
	struct ops *ops;
	struct client *c;
	pthread_mutex_t early_m;         /* guards link until it is there, and the next two */
	struct {
		enum proto_kind kind;
		char text[256];
	} early[MOUNT_EARLY_MAX];        /* what replay had to say before there was a link */
	size_t nearly;
	struct client_mount *link;
	struct proto_seen seen;          /* told before there was a link */
	bool have_seen;
	struct proto_instance instance;
	char *program, *command_line;    /* how this process was started (mount_restart.h); program NULL: not known */
	char **argv;
	uint32_t restarted;              /* the token of the restart that was answered last */
	struct mount_hand *hand;         /* NULL, or what this process goes on with (mount_hand.h) */
};

#define MOUNTING_INIT(global) { .g = (global), .ready_fd = -1, .early_m = PTHREAD_MUTEX_INITIALIZER }
/* Mount VOLUME at dir (NULL: where volumes.d says) with m->o and m->given. Exit code, after a message. */
int mounting_run(struct mounting *m, const char *volume, const char *dir) must_check;
void mounting_done(struct mounting *m);
/* STATUS= of the unit. */
void mounting_tell(const char *state, const char *about);

/* arg of each: the struct mounting. */
extern const struct client_mount_ops mount_link_ops;

#endif
