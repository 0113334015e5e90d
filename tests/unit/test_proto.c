/* test_proto.c: the agent's messages: what is put can be parsed, what is malformed is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "agent/proto.h"

struct parsed {
	enum proto_type type;
	struct proto_request req;
	struct proto_event ev;
	int64_t id;
	char why[128];
};

static struct parsed got;
static struct proto_reply in, out; /* too large for a stack */

static int parse(const char *text)
{
	memset(&got, 0, sizeof(got));
	return proto_request_parse(text, strlen(text), &got.type, &got.req, &got.ev, &got.id, got.why);
}

static struct proto_request sample;

static struct proto_request *request(enum proto_op op)
{
	struct proto_request *q = &sample;

	memset(q, 0, sizeof(*q));
	q->id = 77;
	q->op = op;
	return q;
}

static void instance_fill(struct proto_instance *i)
{
	memset(i->uuid, 0xab, UUID_LEN);
	i->handle_type = 1;
	i->handle_len = 8;
	memcpy(i->handle, "\x00\x01\x02\x03\xff\xfe\xfd\xfc", 8);
	i->fsid = UINT64_C(0xfedcba9876543210);
}

static void round_trip(const struct proto_request *q)
{
	char *text = NULL;

	assert_int_equal(proto_request_put(q, &text), 0);
	assert_int_equal(parse(text), 0);
	assert_int_equal(got.type, PROTO_TYPE_REQUEST);
	assert_memory_equal(&got.req, q, sizeof(*q));
	free(text);
}

static void requests_come_back_as_they_were_put(void **state)
{
	struct proto_request *q;

	(void)state;
	round_trip(request(PROTO_OP_HELLO));
	round_trip(request(PROTO_OP_STATUS));

	q = request(PROTO_OP_INIT);
	strcpy(q->tenant, "acme");
	memset(q->uuid, 0x5a, UUID_LEN);
	round_trip(q);
	q->kms_count = 2;
	strcpy(q->kms[0], "local:one");
	strcpy(q->kms[1], "aws-kms://arn:aws:kms:eu-west-1:111122223333:key/1234");
	round_trip(q);

	q = request(PROTO_OP_PIN);
	instance_fill(&q->instance);
	round_trip(q);
	q = request(PROTO_OP_UNLOCK);
	instance_fill(&q->instance);
	strcpy(q->purpose, "mount");
	round_trip(q);
	q = request(PROTO_OP_ACK);
	q->of = 76;
	round_trip(q);
	q = request(PROTO_OP_TRUST);
	instance_fill(&q->instance);
	q->older = true;
	round_trip(q);
	q->scratch = true;
	round_trip(q);
	q = request(PROTO_OP_REGISTER);
	instance_fill(&q->instance);
	strcpy(q->volume, "/srv/data");
	strcpy(q->source, "/srv/data");
	strcpy(q->mountpoint, "/mnt/\xc3\xa9 \"x\"");
	q->read_only = true;
	round_trip(q);
	q->locked = true;
	round_trip(q);
	q = request(PROTO_OP_LOCK);
	strcpy(q->tenant, "acme");
	strcpy(q->reason, "audit \"7\"");
	round_trip(q);
	q = request(PROTO_OP_LOCK);
	memset(q->uuid, 7, sizeof(q->uuid));
	round_trip(q);
	q->op = PROTO_OP_UNLOCK_TENANT;
	round_trip(q);
	q = request(PROTO_OP_KEYS);
	instance_fill(&q->instance);
	round_trip(q);
	q->op = PROTO_OP_RECOVER;
	round_trip(q);
	q->op = PROTO_OP_BACKUP_SIGN;
	strcpy(q->statement, "coffer-backup 1\nline\n");
	round_trip(q);
	memset(q->statement, 0, sizeof(q->statement));
	q = request(PROTO_OP_BACKUP_TAG);
	strcpy(q->mountpoint, "/mnt/a");
	strcpy(q->statement, "coffer-backup 1\nline\n");
	q->mounter = 1001;
	round_trip(q);
	q->has_tag = true;
	memset(q->tag, 0xa7, sizeof(q->tag));
	round_trip(q);
	q = request(PROTO_OP_DONE);
	instance_fill(&q->instance);
	q->done = PROTO_DONE_VERIFY;
	strcpy(q->detail, "latest");
	round_trip(q);
	q = request(PROTO_OP_AUDIT);
	strcpy(q->tenant, "acme");
	q->since_ns = 1700000000000000000;
	q->from_seq = 12;
	round_trip(q);
	q = request(PROTO_OP_SYNC);
	strcpy(q->mountpoint, "/mnt");
	q->mounter = -1;
	round_trip(q);
}

static void events_of_a_mount_come_back_as_they_were_put(void **state)
{
	struct proto_request *q = request(PROTO_OP_EVENT);

	(void)state;
	q->kind = PROTO_KIND_SEEN;
	q->seen.config_version = 3;
	q->seen.stamp_limit = INT64_MAX;
	memset(q->seen.generation, 0x77, PROTO_GENERATION_LEN);
	round_trip(q);
	q = request(PROTO_OP_EVENT);
	q->kind = PROTO_KIND_DRILL;
	strcpy(q->object, "volume");
	round_trip(q);
	q = request(PROTO_OP_EVENT);
	q->kind = PROTO_KIND_INTEGRITY;
	strcpy(q->object, "file");
	strcpy(q->detail, "abc/def: block 7");
	q->count = 5;
	round_trip(q);
}

static void a_number_beyond_63_bits_is_not_put(void **state)
{
	struct proto_request *q = request(PROTO_OP_EVENT);
	char *text = NULL;

	(void)state;
	q->kind = PROTO_KIND_SEEN;
	q->seen.stamp_limit = UINT64_C(1) << 63;
	assert_int_equal(proto_request_put(q, &text), -EINVAL);
	assert_null(text);
}

static void text_that_is_not_utf8_is_not_put(void **state)
{
	struct proto_request *q = request(PROTO_OP_SYNC);
	char *text = NULL;

	(void)state;
	strcpy(q->mountpoint, "/mnt/\xff");
	assert_int_equal(proto_request_put(q, &text), -EINVAL);
}

static void malformed_requests_are_refused_with_the_id_they_had(void **state)
{
	static const struct {
		const char *text;
		int64_t id;
	} bad[] = {
		{ "", 0 },
		{ "{", 0 },
		{ "[]", 0 },
		{ "7", 0 },
		{ "{}", 0 },
		{ "{\"v\":1,\"op\":\"hello\"}", 0 },
		{ "{\"v\":1,\"id\":0,\"op\":\"hello\"}", 0 },
		{ "{\"v\":1,\"id\":-4,\"op\":\"hello\"}", 0 },
		{ "{\"v\":1,\"id\":\"1\",\"op\":\"hello\"}", 0 },
		{ "{\"id\":5,\"op\":\"hello\"}", 5 },
		{ "{\"v\":1,\"id\":5}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":7}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"nothing\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"hello\",\"more\":1}", 5 },
		{ "{\"v\":1,\"id\":5,\"id\":6,\"op\":\"hello\"}", 0 },
		{ "{\"v\":1,\"id\":5,\"op\":\"hello\"}x", 0 },
		{ "{\"v\":1,\"id\":5,\"op\":\"sync\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"sync\",\"mountpoint\":7}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"sync\",\"mountpoint\":\"/m\",\"mounter\":-1}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"sync\",\"mountpoint\":\"/m\",\"mounter\":4294967296}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"sync\",\"mountpoint\":\"/m\",\"mounter\":\"0\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"ack\",\"of\":\"7\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"event\",\"kind\":\"seen\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"event\",\"kind\":\"other\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"init\",\"tenant\":\".x\",\"uuid\":\"00112233445566778899aabbccddeeff\","
		  "\"kms\":[]}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"init\",\"tenant\":\"x\",\"uuid\":\"00112233445566778899AABBCCDDEEFF\","
		  "\"kms\":[]}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"init\",\"tenant\":\"x\",\"uuid\":\"00112233445566778899aabbccddeeff\","
		  "\"kms\":[1]}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"init\",\"tenant\":\"x\",\"uuid\":\"00112233445566778899aabbccddeeff\","
		  "\"kms\":[\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\",\"a\"]}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"pin\",\"instance\":{\"uuid\":\"00\",\"handle_type\":1,\"handle\":\"\","
		  "\"fsid\":\"0000000000000000\"}}", 5 },
		{ "{\"v\":1,\"id\":5,\"op\":\"pin\",\"instance\":{\"uuid\":\"00112233445566778899aabbccddeeff\","
		  "\"handle_type\":70000,\"handle\":\"\",\"fsid\":\"0000000000000000\"}}", 5 },
		{ "{\"v\":1,\"id\":5,\"event\":\"sync\"}", 5 },
		{ "{\"v\":1,\"id\":5,\"event\":\"other\",\"ok\":true}", 5 },
		{ "{\"v\":1,\"id\":5,\"event\":\"stats\",\"ok\":true,\"stats\":{}}", 5 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (parse(bad[i].text) != -EUCLEAN || got.id != bad[i].id || got.why[0] == '\0')
			fail_msg("taken, or with another id: %s", bad[i].text);
	}
}

static void another_protocol_version_is_not_supported(void **state)
{
	(void)state;
	assert_int_equal(parse("{\"v\":2,\"id\":5,\"op\":\"hello\"}"), -EOPNOTSUPP);
	assert_int_equal(got.id, 5);
}

static void a_packet_beyond_the_limit_is_refused(void **state)
{
	static char big[PROTO_PACKET_MAX + 2];

	(void)state;
	memset(big, ' ', sizeof(big) - 1);
	assert_int_equal(parse(big), -EFBIG);
}

static void a_member_longer_than_its_field_is_refused(void **state)
{
	static char text[PROTO_PATH_MAX + 200];
	size_t n;

	(void)state;
	n = (size_t)sprintf(text, "{\"v\":1,\"id\":5,\"op\":\"sync\",\"mountpoint\":\"");
	memset(text + n, 'a', PROTO_PATH_MAX - 1);
	strcpy(text + n + PROTO_PATH_MAX - 1, "\"}");
	assert_int_equal(parse(text), 0);
	memset(text + n, 'a', PROTO_PATH_MAX);
	strcpy(text + n + PROTO_PATH_MAX, "\"}");
	assert_int_equal(parse(text), -EUCLEAN);
}

static void answers_come_back_as_they_were_put(void **state)
{
	struct proto_event ev;
	bool is_event = true;
	char *text = NULL;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.id = 9;
	in.op = PROTO_OP_UNLOCK;
	strcpy(in.tenant, "acme");
	strcpy(in.key_uri, "local:acme");
	memset(in.commitment, 0x31, COMMITMENT_LEN);
	in.seen.stamp_limit = 4096;
	in.seen.older_ok = true;
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_UNLOCK, &out, &ev, &is_event), 0);
	assert_false(is_event);
	assert_memory_equal(&in, &out, sizeof(in));
	free(text);

	memset(&in, 0, sizeof(in));
	in.id = 10;
	in.op = PROTO_OP_TRUST;
	strcpy(in.tenant, "acme");
	in.kms_count = 1;
	strcpy(in.kms[0], "local:acme");
	in.known = true;
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_TRUST, &out, &ev, &is_event), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	free(text);

	in.op = PROTO_OP_KEYS;
	in.known = false;
	strcpy(in.key_uri, "local:acme");
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_KEYS, &out, &ev, &is_event), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	free(text);

	memset(&in, 0, sizeof(in));
	in.id = 11;
	in.op = PROTO_OP_RECOVER;
	strcpy(in.key_uri, "recovery:0011223344556677");
	in.kept_ms = 86400000;
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_RECOVER, &out, &ev, &is_event), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	free(text);

	memset(&in, 0, sizeof(in));
	in.id = 12;
	in.op = PROTO_OP_AUDIT;
	in.next_seq = 4711;
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_AUDIT, &out, &ev, &is_event), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	free(text);
	in.next_seq = 0;
	in.op = PROTO_OP_BACKUP_SIGN;
	memset(in.public_key, 0x5a, sizeof(in.public_key));
	memset(in.signature, 0xa5, sizeof(in.signature));
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_BACKUP_SIGN, &out, &ev, &is_event), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	free(text);
	text = strdup("{\"v\":1,\"id\":1,\"ok\":true,\"public_key\":\"00\",\"signature\":\"00\"}");
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_BACKUP_SIGN, &out, &ev, &is_event), -EUCLEAN);
	free(text);
}

static void slots_come_back_as_they_were_put(void **state)
{
	static struct key_slot slots[2];
	struct proto_event ev;
	bool is_event = true;
	char *text = NULL;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.id = 3;
	in.op = PROTO_OP_INIT;
	in.slot_count = 2;
	in.slots = slots;
	strcpy(slots[0].kms, "local:a");
	slots[0].wrapped_kek_len = 60;
	memset(slots[0].wrapped_kek, 1, 60);
	strcpy(slots[0].created, "2026-01-01T00:00:00Z");
	slots[0].active = true;
	slots[1] = slots[0];
	strcpy(slots[1].kms, "local:b");
	assert_int_equal(proto_reply_put(&in, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_INIT, &out, &ev, &is_event), 0);
	assert_int_equal(out.slot_count, 2);
	assert_memory_equal(out.slots, slots, sizeof(slots));
	proto_reply_done(&out);
	free(text);
}

static void an_answer_larger_than_a_packet_is_not_put(void **state)
{
	static struct key_slot slots[8];
	char *text = NULL;
	int i;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.id = 3;
	in.op = PROTO_OP_INIT;
	in.slot_count = 8;
	in.slots = slots;
	for (i = 0; i < 8; i++)
		slots[i].wrapped_kek_len = WRAPPED_KEK_MAX;
	assert_int_equal(proto_reply_put(&in, &text), -EMSGSIZE);
	assert_null(text);
}

static void every_class_travels_and_means_the_same(void **state)
{
	struct proto_event ev;
	bool is_event;
	char *text;
	int c;

	(void)state;
	memset(&in, 0, sizeof(in));
	in.id = 1;
	in.op = PROTO_OP_SYNC;
	strcpy(in.message, "no");
	for (c = PROTO_CLASS_OK + 1; c < PROTO_CLASSES; c++) {
		in.class = (enum proto_class)c;
		assert_int_equal(proto_reply_put(&in, &text), 0);
		assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_SYNC, &out, &ev, &is_event), 0);
		assert_int_equal(out.class, c);
		assert_string_equal(out.message, "no");
		assert_true(proto_class_errno(in.class) < 0);
		assert_int_not_equal(proto_class_exit(in.class), EXIT_CODE_OK);
		free(text);
	}
	assert_int_equal(proto_class_exit(PROTO_CLASS_DENIED), 11);
	assert_int_equal(proto_class_exit(PROTO_CLASS_UNTRUSTED), 11);
	assert_int_equal(proto_class_exit(PROTO_CLASS_OLDER), 23);
	assert_int_equal(proto_class_exit(PROTO_CLASS_REVOKED), 12);
	assert_int_equal(proto_class_exit(PROTO_CLASS_KMS_DENIED), 12);
	assert_int_equal(proto_class_exit(PROTO_CLASS_TRANSIENT), 13);
	assert_int_equal(proto_class_exit(PROTO_CLASS_CORRUPT), 7);
	assert_int_equal(proto_class_exit(PROTO_CLASS_NOT_MOUNTED), 14);
	assert_int_equal(proto_class_exit(PROTO_CLASS_AUDIT), 21);
}

static void a_newer_agent_may_say_more_and_unknown_classes(void **state)
{
	static const char more[] = "{\"v\":1,\"id\":1,\"ok\":true,\"version\":\"9\",\"pid\":1,\"more\":[]}";
	static const char class[] = "{\"v\":1,\"id\":1,\"ok\":false,\"class\":\"NEW\",\"errno\":\"E\",\"message\":\"m\"}";
	struct proto_event ev;
	bool is_event;

	(void)state;
	assert_int_equal(proto_reply_parse(more, strlen(more), PROTO_OP_HELLO, &out, &ev, &is_event), 0);
	assert_string_equal(out.version, "9");
	assert_int_equal(proto_reply_parse(class, strlen(class), PROTO_OP_HELLO, &out, &ev, &is_event), 0);
	assert_int_equal(out.class, PROTO_CLASS_INTERNAL);
}

static void an_answer_without_what_its_request_needs_is_refused(void **state)
{
	static const char text[] = "{\"v\":1,\"id\":1,\"ok\":true,\"tenant\":\"x\"}";
	struct proto_event ev;
	bool is_event;

	(void)state;
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_UNLOCK, &out, &ev, &is_event), -EUCLEAN);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_INIT, &out, &ev, &is_event), -EUCLEAN);
	assert_int_equal(proto_reply_parse("{}", 2, PROTO_OP_SYNC, &out, &ev, &is_event), -EUCLEAN);
}

static void events_come_back_as_they_were_put(void **state)
{
	struct proto_event ev = { .id = 4, .push = PROTO_PUSH_LOCK }, back;
	bool is_event = false;
	char *text = NULL;

	(void)state;
	strcpy(ev.reason, "key disabled");
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_SYNC, &out, &back, &is_event), 0);
	assert_true(is_event);
	assert_memory_equal(&ev, &back, sizeof(ev));
	free(text);

	memset(&ev, 0, sizeof(ev));
	ev = (struct proto_event){ .id = 5, .push = PROTO_PUSH_STATS, .done = true, .has_stats = true };
	strcpy(ev.stats.state, "ready");
	strcpy(ev.stats.since, "2026-01-01T00:00:00Z");
	ev.stats.log_size_bytes = 64 << 20;
	ev.stats.replayed_transactions = 3;
	ev.stats.locked = true;
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_int_equal(parse(text), 0);
	assert_int_equal(got.type, PROTO_TYPE_EVENT_DONE);
	assert_memory_equal(&ev, &got.ev, sizeof(ev));
	free(text);
}

static void a_tag_is_asked_for_by_its_statement_and_comes_back(void **state)
{
	static struct proto_event ev = { .id = 4, .push = PROTO_PUSH_BACKUP_TAG, .statement = "coffer-backup 1\nline\n" }, back;
	struct proto_reply reply = { .id = 7, .op = PROTO_OP_BACKUP_TAG };
	bool is_event = false;
	char *text = NULL, *at;

	(void)state;
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_SYNC, &out, &back, &is_event), 0);
	assert_memory_equal(&ev, &back, sizeof(ev));
	free(text);
	ev.has_tag = true;
	memset(ev.tag, 0xa7, sizeof(ev.tag));
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_SYNC, &out, &back, &is_event), 0);
	assert_memory_equal(&ev, &back, sizeof(ev));
	free(text);

	ev = (struct proto_event){ .id = 5, .push = PROTO_PUSH_BACKUP_TAG, .done = true, .has_tag = true };
	memset(ev.tag, 0xa7, sizeof(ev.tag));
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_int_equal(parse(text), 0);
	assert_memory_equal(&ev, &got.ev, sizeof(ev));
	at = strstr(text, "a7a7");
	assert_non_null(at);
	*at = 'g';
	assert_int_equal(parse(text), -EUCLEAN);
	free(text);

	memset(reply.tag, 0xa7, sizeof(reply.tag));
	assert_int_equal(proto_reply_put(&reply, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_BACKUP_TAG, &out, &back, &is_event), 0);
	assert_memory_equal(out.tag, reply.tag, sizeof(reply.tag));
	assert_int_equal(proto_reply_parse("{\"v\":1,\"id\":7,\"ok\":true}", 24, PROTO_OP_BACKUP_TAG, &out, &back, &is_event), -EUCLEAN);
	free(text);
}

static void numbers_in_detail_are_asked_for_and_come_whole(void **state)
{
	static struct proto_event ask = { .id = 4, .push = PROTO_PUSH_STATS, .wants_detail = true }, ev, back;
	bool is_event = false;
	char *text = NULL, *at;

	(void)state;
	assert_int_equal(proto_event_put(&ask, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_SYNC, &out, &back, &is_event), 0);
	assert_memory_equal(&ask, &back, sizeof(ask));
	free(text);

	ev = (struct proto_event){ .id = 5, .push = PROTO_PUSH_STATS, .done = true, .has_stats = true };
	strcpy(ev.stats.state, "ready");
	strcpy(ev.stats.since, "2026-01-01T00:00:00Z");
	ev.stats.has_detail = true;
	ev.stats.detail.commits = 12;
	ev.stats.detail.reserve_whole = true;
	ev.stats.detail.integrity[METER_XATTR] = 9;
	ev.stats.detail.ops[METER_OTHER].count[METER_BOUNDS] = 3;
	ev.stats.detail.commit.sum_ns = 99;
	ev.stats.detail.checkpoint.count[0] = 1;
	assert_int_equal(proto_event_put(&ev, &text), 0);
	assert_int_equal(parse(text), 0);
	assert_memory_equal(&ev, &got.ev, sizeof(ev));
	at = strstr(text, "\"other\":[0,");
	assert_non_null(at);
	at[strlen("\"other\":[")] = '-'; /* and no longer a number */
	assert_int_equal(parse(text), -EUCLEAN);
	memcpy(at, "\"later\":[0", strlen("\"later\":[0")); /* of a mount that is newer */
	assert_int_equal(parse(text), 0);
	assert_int_equal(got.ev.stats.detail.ops[METER_OTHER].count[METER_BOUNDS], 0);
	at = strstr(text, "[0,0,");
	assert_non_null(at);
	at[2] = '0'; /* a bucket too few, and a number that is none */
	assert_int_equal(parse(text), -EUCLEAN);
	free(text);
}

static void a_mount_is_told_how_long_it_may_go_on_alone(void **state)
{
	static struct proto_reply put, back;
	static struct proto_event ev;
	bool is_event;
	const char *bare = "{\"v\":1,\"id\":9,\"ok\":true}", *bad = "{\"v\":1,\"id\":9,\"ok\":true,\"agent_grace_ms\":-1}";
	char *text;

	(void)state;
	put = (struct proto_reply){ .id = 9, .op = PROTO_OP_REGISTER, .agent_grace_ms = 1500 };
	assert_int_equal(proto_reply_put(&put, &text), 0);
	assert_int_equal(proto_reply_parse(text, strlen(text), PROTO_OP_REGISTER, &back, &ev, &is_event), 0);
	assert_int_equal(back.agent_grace_ms, 1500);
	free(text);
	assert_int_equal(proto_reply_parse(bare, strlen(bare), PROTO_OP_REGISTER, &back, &ev, &is_event), 0);
	assert_int_equal(back.agent_grace_ms, 0);
	assert_int_equal(proto_reply_parse(bad, strlen(bad), PROTO_OP_REGISTER, &back, &ev, &is_event), -EUCLEAN);
}

static void a_mount_cannot_invent_a_state(void **state)
{
	struct proto_event ev = { .id = 5, .push = PROTO_PUSH_STATS, .done = true, .has_stats = true };
	char *text = NULL;

	(void)state;
	strcpy(ev.stats.state, "happy");
	assert_int_equal(proto_event_put(&ev, &text), -EINVAL);
}

static struct proto_seen seen(uint64_t config, uint64_t limit, uint64_t stamp, uint8_t random)
{
	struct proto_seen s = { .config_version = config, .stamp_limit = limit };
	int i;

	for (i = 0; i < 8; i++)
		s.generation[i] = (uint8_t)(stamp >> (8 * i));
	memset(s.generation + 8, random, 8);
	return s;
}

static void older_is_told_by_version_limit_and_generation(void **state)
{
	struct proto_seen s = seen(5, 1000, 300, 7), now;

	(void)state;
	assert_false(proto_seen_is_older(&s, &s));
	now = seen(6, 1001, 301, 9);
	assert_false(proto_seen_is_older(&now, &s));
	now = seen(4, 2000, 400, 7);
	assert_true(proto_seen_is_older(&now, &s));
	now = seen(5, 999, 400, 7);
	assert_true(proto_seen_is_older(&now, &s));
	now = seen(5, 1000, 299, 7);
	assert_true(proto_seen_is_older(&now, &s));
	now = seen(5, 1000, 300, 8);
	assert_true(proto_seen_is_older(&now, &s));
	s = seen(5, 1000, 255, 7);
	now = seen(5, 1000, 256, 7);
	assert_false(proto_seen_is_older(&now, &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_come_back_as_they_were_put),
		cmocka_unit_test(events_of_a_mount_come_back_as_they_were_put),
		cmocka_unit_test(a_number_beyond_63_bits_is_not_put),
		cmocka_unit_test(text_that_is_not_utf8_is_not_put),
		cmocka_unit_test(malformed_requests_are_refused_with_the_id_they_had),
		cmocka_unit_test(another_protocol_version_is_not_supported),
		cmocka_unit_test(a_packet_beyond_the_limit_is_refused),
		cmocka_unit_test(a_member_longer_than_its_field_is_refused),
		cmocka_unit_test(answers_come_back_as_they_were_put),
		cmocka_unit_test(slots_come_back_as_they_were_put),
		cmocka_unit_test(an_answer_larger_than_a_packet_is_not_put),
		cmocka_unit_test(every_class_travels_and_means_the_same),
		cmocka_unit_test(a_newer_agent_may_say_more_and_unknown_classes),
		cmocka_unit_test(an_answer_without_what_its_request_needs_is_refused),
		cmocka_unit_test(events_come_back_as_they_were_put),
		cmocka_unit_test(a_tag_is_asked_for_by_its_statement_and_comes_back),
		cmocka_unit_test(a_mount_is_told_how_long_it_may_go_on_alone),
		cmocka_unit_test(numbers_in_detail_are_asked_for_and_come_whole),
		cmocka_unit_test(a_mount_cannot_invent_a_state),
		cmocka_unit_test(older_is_told_by_version_limit_and_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
