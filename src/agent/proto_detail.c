/* proto_detail.c: `detail` of a mount's numbers: what metrics are made of (docs/protocol.md, "Events"). Asked for with "detail":true, so that an agent or a mount of before
 * never meets it. Names that one side does not know are passed over: their numbers are zero. Pure. */
#include "agent/proto.h"

#include "base/json.h"

/* [sum of nanoseconds, count of each bucket…] */
static int sum_parse(const struct json *o, const char *key, struct meter_sum *ret_s)
{
	struct meter_sum s = { 0 };
	const struct json *a;
	int r;

	r = json_get_array(o, key, &a);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (json_array_len(a) != METER_BUCKETS + 1)
		return -EUCLEAN;
	for (size_t i = 0; i < METER_BUCKETS + 1; i++) {
		int64_t n;

		r = json_int(json_array_at(a, i), &n);
		if (r < 0 || n < 0)
			return -EUCLEAN;
		if (i == 0)
			s.sum_ns = (uint64_t)n;
		else
			s.count[i - 1] = (uint64_t)n;
	}
	*ret_s = s;
	return 0;
}

static int sum_put(struct json *o, const char *key, const struct meter_sum *s)
{
	AUTO_JSON struct json *a = json_new_array();
	int r;

	r = json_append_int(a, (int64_t)(s->sum_ns & INT64_MAX));
	for (size_t i = 0; i < METER_BUCKETS && r >= 0; i++)
		r = json_append_int(a, (int64_t)(s->count[i] & INT64_MAX));
	if (r < 0)
		return r;
	return json_put_json(o, key, take_ptr(a));
}

int proto_detail_parse(const struct json *o, struct proto_detail *ret_d)
{
	const struct json *v, *ops, *kinds;
	struct proto_detail d = { 0 };
	int r;

	r = json_get_object(o, "detail", &v);
	if (r < 0)
		return r;
	r = proto_u64_parse(v, "commits", &d.commits);
	if (r >= 0)
		r = json_get_bool(v, "reserve_whole", &d.reserve_whole);
	if (r >= 0)
		r = json_get_object(v, "ops", &ops);
	if (r >= 0)
		r = json_get_object(v, "integrity", &kinds);
	for (unsigned i = 0; i < METER_OPS && r >= 0; i++)
		r = sum_parse(ops, meter_op_text((enum meter_op)i), &d.ops[i]);
	for (unsigned i = 0; i < METER_KINDS && r >= 0; i++) {
		r = proto_u64_parse(kinds, meter_kind_text((enum meter_kind)i), &d.integrity[i]);
		r = r == -ENOENT ? 0 : r;
	}
	if (r >= 0)
		r = sum_parse(v, "commit", &d.commit);
	if (r >= 0)
		r = sum_parse(v, "checkpoint", &d.checkpoint);
	if (r < 0)
		return -EUCLEAN;
	*ret_d = d;
	return 0;
}

int proto_detail_put(struct json *o, const struct proto_detail *d)
{
	AUTO_JSON struct json *v = json_new_object();
	AUTO_JSON struct json *ops = json_new_object();
	AUTO_JSON struct json *kinds = json_new_object();
	int r;

	r = proto_u64_put(v, "commits", d->commits);
	if (r >= 0)
		r = json_put_bool(v, "reserve_whole", d->reserve_whole);
	for (unsigned i = 0; i < METER_OPS && r >= 0; i++)
		r = sum_put(ops, meter_op_text((enum meter_op)i), &d->ops[i]);
	for (unsigned i = 0; i < METER_KINDS && r >= 0; i++)
		r = proto_u64_put(kinds, meter_kind_text((enum meter_kind)i), d->integrity[i]);
	if (r >= 0)
		r = json_put_json(v, "ops", take_ptr(ops));
	if (r >= 0)
		r = json_put_json(v, "integrity", take_ptr(kinds));
	if (r >= 0)
		r = sum_put(v, "commit", &d->commit);
	if (r >= 0)
		r = sum_put(v, "checkpoint", &d->checkpoint);
	if (r < 0)
		return r;
	return json_put_json(o, "detail", take_ptr(v));
}
