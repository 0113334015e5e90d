/* agent.h: the agent's state, shared by server.c (sockets), request.c (one handler per op), relay.c (what mounts are asked
 * for others) and opener.c (slots and keys). Not for clients. Everything runs from server.c's loop, on one
 * thread, so there are no locks; only what waits for a key service or a disk runs on others (unwrap.c, request_key.c's init, request_audit.c, audit_flush.c), with copies of all it needs. */
#ifndef COFFER_AGENT_AGENT_H
#define COFFER_AGENT_AGENT_H

#include "agent/audit.h"
#include "agent/lease.h"
#include "agent/locks.h"
#include "agent/peer.h"
#include "agent/policy.h"
#include "agent/proto.h"
#include "agent/tenants.h"
#include "kms/kms.h"

#include <stdbool.h>

/* What a hostile client could push. */
#define AGENT_CONNECTIONS_MAX 1024
#define AGENT_STRANGERS_MAX 256           /* connections of peers that policy does not admit, all together */
#define AGENT_STRANGERS_PER_UID 16
#define AGENT_BAD_MESSAGES_MAX 8          /* then the connection is closed */
#define AGENT_RELAYS_MAX 256
#define AGENT_RELAYS_PER_CONNECTION 16
#define AGENT_STRANGER_MS 5000            /* a stranger's whole connection */
#define AGENT_HELLO_MS 10000              /* until hello */
#define AGENT_ACCEPT_PAUSE_MS 1000        /* without descriptors or memory for another connection */
#define AGENT_IDLE_MS (30 * 60 * 1000)    /* between requests, unless a mount is registered: a replay may lie between */
#define AGENT_ACK_MS 10000                /* from handing a key over to its acknowledgement */
#define AGENT_STATS_MS 2000               /* a mount's time to answer `stats` */
#define AGENT_LOCK_MS 30000               /* a mount's time to lock, or to open again */
#define AGENT_SEALS_MAX 16                /* secrets of up to 1 MiB in locked memory */
#define AGENT_AUDITS_MAX 2                /* reading the audit log at once: threads that keys wait for, too */
#define AGENT_SYNC_MS (60 * 60 * 1000)

struct agent_options {
	const char *config_dir, *state_dir, *socket_path;
	int listen_fd, cred_listen_fd; /* of socket activation, or -1 */
	const char *version;
};

/* A key on its way: ours until acknowledged, then wiped. */
struct handover {
	int fd;             /* -1: none */
	int64_t id;         /* of the request it answers */
	size_t len;
	uint64_t deadline_ms;
};

/* What init made on this connection; `pin` must fit it. */
struct made {
	uint8_t uuid[UUID_LEN];
	char tenant[TENANT_LEN_MAX + 1];
	size_t slot_count;
	struct key_slot slots[PROTO_KMS_MAX];
};

/* A registered mount. */
struct mount {
	struct proto_request *said;       /* its register request */
	char tenant[TENANT_LEN_MAX + 1];
	char key_uri[KMS_URI_MAX + 1];
	char since[TIME_TEXT_MAX];
	bool has_stats;
	struct proto_stats stats;
	int64_t stats_id;                 /* of the `stats` not answered yet, 0: none */
	bool locked;                      /* it was told to lock, or said that it is */
	char locked_reason[PROTO_MESSAGE_MAX], locked_since[TIME_TEXT_MAX];
	int64_t lock_id, unlock_id;       /* of the events not answered yet, 0: none */
	uint64_t lock_deadline_ms, unlock_deadline_ms;
	struct lease lease;
	enum lease_state lease_said;      /* the state that was logged and recorded */
	uint64_t lease_said_ms;
	char lease_since[TIME_TEXT_MAX], lease_reason[PROTO_MESSAGE_MAX];
	struct kms_error lease_kms;       /* what its key service said last */
	uint64_t probes, probes_ms;       /* since the last row of key.probe */
	int64_t done_s[PROTO_DONES];      /* of its pin */
};

struct conn {
	struct conn *next;
	uint64_t serial;                  /* tells it from a later one: what comes back from a thread asks for it */
	int fd;
	struct peer peer;
	bool admitted;                    /* by policy_admits, at accept and when rules are loaded */
	bool helloed;
	bool dead;                        /* swept at the end of the loop's round */
	unsigned bad_messages;
	unsigned relays;
	uint64_t accepted_ms, last_ms;
	struct handover handover;
	bool waits_for_key;               /* an init or unlock is under way */
	struct made *made;
	bool has_scratch;                 /* a scratch pin, which goes with it */
	struct proto_instance scratch;
	bool has_instance;                /* unlocked, pinned or registered here: whose events we take */
	struct proto_instance instance;
	struct mount *mount;
};

struct credkeys;
struct credsock;
struct agent_conf;
struct metrics;
struct relay;
struct lock_wait;
struct jobs;
struct flight;
struct kept;
struct held;

struct agent {
	struct agent_options options;
	struct policy policy;
	struct tenants *tenants;          /* the rules now; who keeps a pointer into them takes a reference */
	int listen_fd, epoll_fd, signal_fd, clock_fd;
	int state_dirfd, pins_dirfd, creds_dirfd;
	int state_lock_fd, socket_lock_fd;
	bool own_socket;
	struct audit *audit;
	struct conn *conns;
	size_t conn_count, stranger_count;
	bool accept_fails;                /* said already */
	uint64_t alive_ms;                /* when the service manager is to hear of us again; UINT64_MAX: it does not listen */
	uint64_t accept_again_ms;         /* when the listener is watched again; 0: it is */
	struct relay *relays;
	size_t relay_count;
	struct locks *locks;              /* an operator's */
	char conf_hash[65];               /* of coffer.conf in force; empty: none */
	struct lock_wait *lock_waits;
	struct metrics *metrics;          /* NULL: they are off */
	struct jobs *jobs;
	struct flight *flights;           /* unwraps under way */
	struct credkeys *credkeys;        /* of tenants' sealed credentials */
	struct credsock *credsock;        /* credentials.sock, or NULL */
	unsigned seals;                   /* secrets on their way through seal and unseal */
	unsigned audits;                  /* readers of the audit log */
	struct held *held;                /* answers that wait for their audit rows, in the order of the rows */
	struct kept *kept;                /* KEKs of recovery keys, for a while */
	uint64_t next_serial;             /* of connections */
	int64_t next_event_id;
	bool stopping;
};

/* server.c. Whatever cannot be sent ends the connection: it is marked dead, and no pointer to it dangles before the round is over. */
void server_reply(struct agent *a, struct conn *c, const struct proto_reply *reply, int fd);
void server_push(struct agent *a, struct conn *c, const struct proto_event *ev);
void server_drop(struct agent *a, struct conn *c, const char *why);
/* The connection of that serial, if it is there and alive. */
struct conn *server_conn(struct agent *a, uint64_t serial);

/* server_state.c: open and lock the state directory and what is in it, and read coffer.conf; logs why not. */
int server_state_open(struct agent *a, struct agent_conf *ret_conf) must_check;
/* Bind the socket, or adopt the one that was handed over; logs why not. */
int server_state_socket(struct agent *a) must_check;
/* The signals that the loop is told, and what it waits for; -errno. */
int server_state_signals(struct agent *a) must_check;
int server_state_watch(struct agent *a) must_check;
/* Each round of the loop: the service manager hears that it goes on, if it wants to (WatchdogSec=), when that is due. */
void server_state_alive(struct agent *a);

/* request.c: authenticate, decide, record, act, answer; takes fd over. */
void request_handle(struct agent *a, struct conn *c, const struct proto_request *req, int fd);
/* The kernel's and systemd's word on who it is; valid as long as c. */
struct policy_peer request_who(const struct conn *c);
/* Wipe and close a key on its way. */
void request_key_handover_end(struct conn *c);
void request_mount_free(struct conn *c);
/* What it made, and its scratch pin, go. Logs. */
void request_key_conn_end(struct agent *a, struct conn *c);
/* Formats reply->message and returns class. */
enum proto_class request_refuse(struct proto_reply *reply, enum proto_class class, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* request_held.c: send what is kept no longer. */
void request_held_release(struct agent *a);
void request_held_free_all(struct agent *a);

/* relay.c: answers later. -ENOSPC too many at once, -ENOTCONN no such mount. */
int relay_status(struct agent *a, struct conn *c, int64_t id) must_check;
/* Ask every mount for its numbers that is not being asked; some have not answered yet. */
void relay_stats_ask(struct agent *a);
bool relay_stats_outstanding(const struct agent *a);
/* The newest mount of that uid that said it is there; mounter -1: root's, else that of the only user who says so. NULL: none. */
struct conn *relay_mount_at(struct agent *a, const char *mountpoint, int64_t mounter);
/* Push on the mount what was asked of it (op, and statement), and answer req when it has answered. -ENOTCONN: there is none; -ENOSPC, -ENOMEM. */
int relay_sync(struct agent *a, struct conn *c, const struct proto_request *req, enum proto_push push, struct conn *mount) must_check;
void relay_event_done(struct agent *a, struct conn *c, const struct proto_event *ev);
void relay_tick(struct agent *a, uint64_t now_ms);
/* c is going away: as the one who asked, as the mount that was asked. */
void relay_forget(struct agent *a, struct conn *c);
void relay_free_all(struct agent *a);

/* request_lock.c: mounts that are locked and opened again. What a registered mount said of itself decides how it starts. */
void request_lock_registered(struct agent *a, struct conn *c, bool fresh);
void request_lock_event_done(struct agent *a, struct conn *c, const struct proto_event *ev);
void request_lock_tick(struct agent *a, uint64_t now_ms);
/* Push the event; what the mount answers comes to request_lock_event_done. */
void request_lock_mount(struct agent *a, struct conn *c, const char *reason);
void request_lock_open_mount(struct agent *a, struct conn *c);
/* c is going away: as the one who asked, as the mount that was told. */
void request_lock_forget(struct agent *a, struct conn *c);

/* reload.c: the rules at start, and later (SIGHUP): whole, or those before stay. Both log. */
int reload_first(struct agent *a) must_check;
void reload(struct agent *a);
/* Which rules are in force, into the audit log. */
void reload_record(struct agent *a);

/* Time now, RFC 3339 UTC. */
void request_time_text(char ret_text[static TIME_TEXT_MAX]);

#endif
