/* client.c: one connection to the agent, one request at a time (docs/protocol.md). A mount's lasting link is client_mount.c. */
#include "agent/client.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "agent/client_priv.h"
#include "agent/packet.h"
#include "base/clock.h"

struct client *client_new(const char *path)
{
	struct client *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->fd = -1;
	c->path = strdup(path ? path : CLIENT_SOCKET_DEFAULT);
	if (!c->path) {
		free(c);
		return NULL;
	}
	return c;
}

void client_free(struct client *c)
{
	if (!c)
		return;
	client_disconnect(c);
	free(c->path);
	free(c);
}

void client_disconnect(struct client *c)
{
	if (c->fd >= 0)
		(void)close(c->fd);
	c->fd = -1;
}

const struct client_error *client_error(const struct client *c)
{
	return &c->error;
}

const char *client_agent_version(const struct client *c)
{
	return c->version;
}

int client_agent_pid(const struct client *c)
{
	return c->pid;
}

/* A failure of our side: exit code by errno. */
int client_fail(struct client *c, int r, const char *fmt, ...)
{
	va_list ap;

	c->error.r = r;
	c->error.class = PROTO_CLASS_OK;
	switch (r) {
	case -ECONNREFUSED:
	case -ECONNRESET:
	case -EPIPE:
	case -ETIMEDOUT:
	case -EACCES:
	case -EPROTO:
		c->error.exit_code = EXIT_CODE_AGENT_UNREACHABLE;
		break;
	case -ENOMEM:
	case -EMFILE:
	case -ENFILE:
	case -ENOSPC:
		c->error.exit_code = EXIT_CODE_NO_RESOURCE;
		break;
	case -EKEYREJECTED:
		c->error.exit_code = EXIT_CODE_WRONG_KEY;
		break;
	case -ESTALE:
		c->error.exit_code = EXIT_CODE_OLDER;
		break;
	default:
		c->error.exit_code = EXIT_CODE_OTHER;
	}
	va_start(ap, fmt);
	(void)vsnprintf(c->error.message, sizeof(c->error.message), fmt, ap);
	va_end(ap);
	return r;
}

static int refused(struct client *c, const struct proto_reply *reply)
{
	c->error.r = proto_class_errno(reply->class);
	c->error.class = reply->class;
	c->error.exit_code = proto_class_exit(reply->class);
	memcpy(c->error.message, reply->message, sizeof(c->error.message));
	return c->error.r;
}

int client_lost(struct client *c, int r)
{
	client_disconnect(c);
	if (r == -ETIMEDOUT)
		return client_fail(c, r, "the agent does not answer");
	if (r == -EUCLEAN || r == -EPROTO || r == -EMSGSIZE || r == -EFBIG)
		return client_fail(c, -EPROTO, "the agent's answer is not understood; are coffer and coffer-agent of one version?");
	return client_fail(c, r == -ENOMEM ? r : -ECONNRESET, "the agent closed the connection");
}

/* --- connecting --- */

static int connect_failed(struct client *c, int e)
{
	if (e == ENOENT || e == ECONNREFUSED)
		return client_fail(c, -ECONNREFUSED, "no agent at %s; start it: systemctl start coffer-agent, or coffer-agent",
			    c->path);
	if (e == EACCES || e == EPERM)
		return client_fail(c, -EACCES, "%s: no permission to connect to the agent", c->path);
	if (e == EAGAIN)
		return client_fail(c, -ETIMEDOUT, "the agent at %s is too busy to accept", c->path);
	return client_fail(c, -ECONNREFUSED, "%s: cannot connect to the agent: %s", c->path, strerror(e));
}

static int socket_connect(struct client *c)
{
	struct sockaddr_un sa = { .sun_family = AF_UNIX };
	struct timeval tv = { .tv_sec = 5 };

	if (strlen(c->path) >= sizeof(sa.sun_path))
		return client_fail(c, -ENAMETOOLONG, "%s: too long for a socket's name", c->path);
	memcpy(sa.sun_path, c->path, strlen(c->path) + 1);
	c->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return client_fail(c, -errno, "socket: %s", strerror(errno));
	/* Blocking, so that a full queue of a busy agent is waited for; SO_SNDTIMEO bounds that. */
	(void)setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	if (connect(c->fd, (const struct sockaddr *)&sa, sizeof(sa)) < 0)
		return connect_failed(c, errno);
	return 0;
}

int client_connect(struct client *c)
{
	struct proto_request *req = &c->req;
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	int r;

	client_disconnect(c);
	c->next_id = 1;
	r = socket_connect(c);
	if (r >= 0) {
		client_request_begin(c, PROTO_OP_HELLO);
		r = client_call(c, req, -1, c->hello_ms ? c->hello_ms : CLIENT_DEADLINE_MS, &reply, NULL);
	}
	if (r < 0) {
		client_disconnect(c);
		return r;
	}
	memcpy(c->version, reply.version, sizeof(c->version));
	c->pid = (int)reply.pid;
	return 0;
}

/* --- one request --- */

void client_request_begin(struct client *c, enum proto_op op)
{
	memset(&c->req, 0, sizeof(c->req));
	c->req.op = op;
}

static int send_text(struct client *c, const char *text, int fd, uint64_t deadline)
{
	int r;

	for (;;) {
		r = packet_send(c->fd, text, fd);
		if (r != -EAGAIN)
			return r;
		r = packet_wait(c->fd, true, deadline);
		if (r < 0)
			return r;
	}
}

int client_receive(struct client *c, uint64_t deadline, enum proto_op expect, struct proto_reply *reply,
		   struct proto_event *ev, bool *ret_is_event, int *ret_fd)
{
	AUTO_FREE char *buf = malloc(PROTO_PACKET_MAX + 1);
	AUTO_CLOSE int fd = -1;
	struct packet_from from;
	int r;

	if (!buf)
		return -ENOMEM;
	for (;;) {
		r = packet_recv(c->fd, buf, PROTO_PACKET_MAX + 1, true, &fd, &from);
		if (r != -EAGAIN)
			break;
		r = packet_wait(c->fd, false, deadline);
		if (r < 0)
			return r;
	}
	if (r == 0)
		return -ECONNRESET;
	if (r < 0)
		return r;
	r = proto_reply_parse(buf, (size_t)r, expect, reply, ev, ret_is_event);
	if (r < 0)
		return r;
	*ret_fd = take_fd(&fd);
	return 0;
}

int client_call(struct client *c, struct proto_request *req, int fd, unsigned ms, struct proto_reply *reply,
		int *ret_fd)
{
	uint64_t deadline = clock_boot_ms() + ms;
	AUTO_FREE struct proto_event *ev = malloc(sizeof(*ev));
	AUTO_FREE char *text = NULL;
	AUTO_CLOSE int got = -1;
	bool is_event = false;
	int r;

	if (!ev)
		return client_fail(c, -ENOMEM, "out of memory");
	if (c->fd < 0)
		return client_fail(c, -ECONNREFUSED, "not connected to the agent");
	req->id = c->next_id++;
	r = proto_request_put(req, &text);
	if (r < 0)
		return client_fail(c, r, "a value that the agent's protocol cannot carry");
	r = send_text(c, text, fd, deadline);
	if (r < 0)
		return client_lost(c, r);
	do {
		r = client_receive(c, deadline, req->op, reply, ev, &is_event, &got);
		if (r >= 0 && is_event)
			r = c->on_event ? c->on_event(c->on_event_arg, ev) : -EPROTO;
	} while (r >= 0 && is_event);
	if (r >= 0 && reply->id != req->id)
		r = -EPROTO;
	if (r < 0)
		return client_lost(c, r);
	if (reply->class != PROTO_CLASS_OK)
		return refused(c, reply);
	if (ret_fd)
		*ret_fd = take_fd(&got);
	return 0;
}

/* With a config beside it. */
static int call_with_config(struct client *c, const void *config, size_t len, struct proto_reply *reply, int *ret_fd)
{
	AUTO_CLOSE int fd = -1;
	int r;

	r = packet_seal(config, len, &fd);
	if (r < 0)
		return client_fail(c, r, "memory file: %s", strerror(-r));
	return client_call(c, &c->req, fd, CLIENT_DEADLINE_MS, reply, ret_fd);
}

/* --- keys --- */

/* Copy the key, check the commitment on the copy, then say that we have it. */
static int key_take(struct client *c, int fd, int64_t of, const uint8_t uuid[static UUID_LEN],
		    const uint8_t commitment[static COMMITMENT_LEN], struct secret **ret_root)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_SECRET struct secret *root = NULL;
	uint8_t own[COMMITMENT_LEN];
	int r;

	if (fd < 0)
		return client_lost(c, -EPROTO);
	r = secret_from_fd(fd, KEY_LEN, &root);
	if (r == -EPROTO)
		return client_lost(c, r);
	if (r >= 0)
		r = keys_commitment(root, uuid, own);
	if (r < 0)
		return client_fail(c, r, "key: no locked memory: %s", strerror(-r));
	if (!secret_equal(own, commitment, COMMITMENT_LEN))
		return client_fail(c, -EKEYREJECTED, "key: what the agent handed over does not fit the commitment");
	client_request_begin(c, PROTO_OP_ACK);
	c->req.of = of;
	r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
	if (r < 0)
		return r;
	*ret_root = take_ptr(root);
	return 0;
}

int client_init(struct client *c, const uint8_t uuid[static UUID_LEN], const char *tenant, const char *const *kms,
		size_t kms_count, const struct secret *recovery, struct key_slot *ret_slots, size_t *ret_slot_count, struct secret **ret_root)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_CLOSE int fd = -1;
	AUTO_CLOSE int key_fd = -1;
	size_t i;
	int r;

	if (!volume_config_tenant_ok(tenant))
		return client_fail(c, -EINVAL, "not a tenant's name: 1 to 64 of A-Z a-z 0-9 _ - and, not first, a dot");
	if (kms_count > PROTO_KMS_MAX)
		return client_fail(c, -EINVAL, "too many keys: at most %d", PROTO_KMS_MAX);
	client_request_begin(c, PROTO_OP_INIT);
	memcpy(c->req.uuid, uuid, UUID_LEN);
	memcpy(c->req.tenant, tenant, strlen(tenant) + 1);
	for (i = 0; i < kms_count; i++) {
		if (strlen(kms[i]) > KMS_URI_MAX)
			return client_fail(c, -EINVAL, "a key URI is longer than %d bytes", KMS_URI_MAX);
		memcpy(c->req.kms[i], kms[i], strlen(kms[i]) + 1);
	}
	c->req.kms_count = kms_count;
	r = recovery ? secret_to_fd(recovery, &key_fd) : 0;
	if (r < 0)
		return client_fail(c, r, "key: no locked memory: %s", strerror(-r));
	r = client_call(c, &c->req, key_fd, CLIENT_DEADLINE_MS, &reply, &fd);
	if (r < 0)
		return r;
	r = key_take(c, fd, reply.id, uuid, reply.slots[0].commitment, ret_root);
	if (r < 0)
		return r;
	memcpy(ret_slots, reply.slots, reply.slot_count * sizeof(*ret_slots));
	*ret_slot_count = reply.slot_count;
	return 0;
}

int client_pin(struct client *c, const void *config, size_t config_len, const struct proto_instance *instance)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };

	client_request_begin(c, PROTO_OP_PIN);
	c->req.instance = *instance;
	return call_with_config(c, config, config_len, &reply, NULL);
}

int client_unlock(struct client *c, const char *purpose, const void *config, size_t config_len,
		  const struct proto_instance *instance, struct client_unlocked *ret_unlocked,
		  struct secret **ret_root)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_CLOSE int fd = -1;
	int r;

	client_request_begin(c, PROTO_OP_UNLOCK);
	c->req.instance = *instance;
	(void)snprintf(c->req.purpose, sizeof(c->req.purpose), "%s", purpose);
	r = call_with_config(c, config, config_len, &reply, &fd);
	if (r < 0)
		return r;
	r = key_take(c, fd, reply.id, instance->uuid, reply.commitment, ret_root);
	if (r < 0)
		return r;
	memcpy(ret_unlocked->tenant, reply.tenant, sizeof(ret_unlocked->tenant));
	memcpy(ret_unlocked->key_uri, reply.key_uri, sizeof(ret_unlocked->key_uri));
	memcpy(ret_unlocked->credential, reply.credential, sizeof(ret_unlocked->credential));
	ret_unlocked->seen = reply.seen;
	return 0;
}

int client_seen_check(const struct client_unlocked *unlocked, const struct proto_seen *now)
{
	if (unlocked->seen.older_ok || !proto_seen_is_older(now, &unlocked->seen))
		return 0;
	return -ESTALE;
}

int client_report(struct client *c, enum proto_kind kind, const char *object, const char *detail, uint64_t count)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };

	client_request_begin(c, PROTO_OP_EVENT);
	c->req.kind = kind;
	c->req.count = count;
	client_text_copy(object, sizeof(c->req.object), c->req.object);
	client_text_copy(detail, sizeof(c->req.detail), c->req.detail);
	return client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
}

int client_trust(struct client *c, const void *config, size_t config_len, const struct proto_instance *instance,
		 bool older, struct client_trusted *ret_trusted)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	int r;

	client_request_begin(c, PROTO_OP_TRUST);
	c->req.instance = *instance;
	c->req.older = older;
	r = call_with_config(c, config, config_len, &reply, NULL);
	if (r < 0)
		return r;
	memcpy(ret_trusted->tenant, reply.tenant, sizeof(ret_trusted->tenant));
	memcpy(ret_trusted->kms, reply.kms, sizeof(ret_trusted->kms));
	ret_trusted->kms_count = reply.kms_count;
	ret_trusted->known = reply.known;
	ret_trusted->other_instance = reply.other_instance;
	ret_trusted->seen = reply.seen;
	return 0;
}

int client_trust_scratch(struct client *c, const void *config, size_t config_len, const struct proto_instance *instance)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };

	client_request_begin(c, PROTO_OP_TRUST);
	c->req.instance = *instance;
	c->req.scratch = true;
	return call_with_config(c, config, config_len, &reply, NULL);
}

int client_status(struct client *c, char **ret_text)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	AUTO_FREE uint8_t *p = NULL;
	AUTO_CLOSE int fd = -1;
	size_t len;
	int r;

	client_request_begin(c, PROTO_OP_STATUS);
	r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, &fd);
	if (r < 0)
		return r;
	if (fd < 0)
		return client_lost(c, -EPROTO);
	r = packet_read_sealed(fd, PROTO_STATUS_MAX, &p, &len);
	if (r < 0)
		return client_lost(c, r);
	*ret_text = (char *)take_ptr(p);
	return 0;
}

static int at_mount(struct client *c, enum proto_op op, const char *mountpoint, int64_t mounter)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };

	client_request_begin(c, op);
	client_text_copy(mountpoint, sizeof(c->req.mountpoint), c->req.mountpoint);
	c->req.mounter = mounter;
	return client_call(c, &c->req, -1, CLIENT_SYNC_DEADLINE_MS, &reply, NULL);
}

int client_sync(struct client *c, const char *mountpoint, int64_t mounter)
{
	return at_mount(c, PROTO_OP_SYNC, mountpoint, mounter);
}

int client_freeze(struct client *c, const char *mountpoint, int64_t mounter)
{
	return at_mount(c, PROTO_OP_FREEZE, mountpoint, mounter);
}

int client_thaw(struct client *c, const char *mountpoint, int64_t mounter)
{
	return at_mount(c, PROTO_OP_THAW, mountpoint, mounter);
}

static int at_target(struct client *c, enum proto_op op, const char *tenant, const uint8_t *uuid, const char *reason,
		     uint64_t *ret_mounts)
{
	AUTO_CLIENT_REPLY struct proto_reply reply = { 0 };
	int r;

	if (tenant && !volume_config_tenant_ok(tenant))
		return client_fail(c, -EINVAL, "not a tenant's name");
	client_request_begin(c, op);
	if (tenant)
		memcpy(c->req.tenant, tenant, strlen(tenant) + 1);
	else
		memcpy(c->req.uuid, uuid, UUID_LEN);
	client_text_copy(reason, sizeof(c->req.reason), c->req.reason);
	r = client_call(c, &c->req, -1, CLIENT_DEADLINE_MS, &reply, NULL);
	if (r >= 0)
		*ret_mounts = reply.mounts;
	return r;
}

int client_lock(struct client *c, const char *tenant, const uint8_t *uuid, const char *reason, uint64_t *ret_mounts)
{
	return at_target(c, PROTO_OP_LOCK, tenant, uuid, reason, ret_mounts);
}

int client_lock_end(struct client *c, const char *tenant, const uint8_t *uuid, uint64_t *ret_mounts)
{
	return at_target(c, PROTO_OP_UNLOCK_TENANT, tenant, uuid, "", ret_mounts);
}
