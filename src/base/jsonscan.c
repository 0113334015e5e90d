/* jsonscan.c: a scanner that only moves forward. Recursion is bounded by JSONSCAN_DEPTH_MAX. What jsonscan_check accepted is well formed, so
 * the look-ups afterwards cannot fail in the middle; they check all the same, since nothing but the caller's care says that it was called. */
#include "base/jsonscan.h"

#include <string.h>

#include "base/text.h"

struct at {
	const char *p, *end;
};

static void blanks(struct at *a)
{
	while (a->p < a->end && (*a->p == ' ' || *a->p == '\t' || *a->p == '\n' || *a->p == '\r'))
		a->p++;
}

static bool take(struct at *a, char c)
{
	if (a->p == a->end || *a->p != c)
		return false;
	a->p++;
	return true;
}

static bool digits(struct at *a)
{
	const char *from = a->p;

	while (a->p < a->end && *a->p >= '0' && *a->p <= '9')
		a->p++;
	return a->p > from;
}

static int hex4(const char *p, unsigned *ret_code)
{
	unsigned v = 0;
	int i;

	for (i = 0; i < 4; i++) {
		unsigned d;

		if (p[i] >= '0' && p[i] <= '9')
			d = (unsigned)(p[i] - '0');
		else if ((p[i] | 32) >= 'a' && (p[i] | 32) <= 'f')
			d = (unsigned)((p[i] | 32) - 'a') + 10;
		else
			return -EUCLEAN;
		v = v << 4 | d;
	}
	*ret_code = v;
	return 0;
}

/* Behind the opening quote, to behind the closing one. */
static int string(struct at *a, struct jsonscan *ret_v)
{
	const char *from = a->p;
	unsigned code;
	size_t n;

	while (a->p < a->end && *a->p != '"') {
		if ((unsigned char)*a->p < 0x20)
			return -EUCLEAN;
		if (*a->p == '\\') {
			if (a->end - a->p < 2 || !strchr("\"\\/bfnrtu", a->p[1]) || a->p[1] == '\0')
				return -EUCLEAN;
			if (a->p[1] == 'u' && (a->end - a->p < 6 || hex4(a->p + 2, &code) < 0))
				return -EUCLEAN;
			a->p += a->p[1] == 'u' ? 6 : 2;
			continue;
		}
		n = text_utf8_len(a->p, (size_t)(a->end - a->p));
		if (n == 0)
			return -EUCLEAN;
		a->p += n;
	}
	*ret_v = (struct jsonscan){ .p = from, .len = (size_t)(a->p - from), .type = '"' };
	return take(a, '"') ? 0 : -EUCLEAN;
}

static int number(struct at *a)
{
	(void)take(a, '-');
	if (!take(a, '0') && !digits(a))
		return -EUCLEAN;
	if (take(a, '.') && !digits(a))
		return -EUCLEAN;
	if (take(a, 'e') || take(a, 'E')) {
		if (!take(a, '+'))
			(void)take(a, '-');
		if (!digits(a))
			return -EUCLEAN;
	}
	return 0;
}

static int word(struct at *a, const char *text)
{
	size_t n = strlen(text);

	if ((size_t)(a->end - a->p) < n || strncmp(a->p, text, n) != 0)
		return -EUCLEAN;
	a->p += n;
	return 0;
}

static int value(struct at *a, int depth, struct jsonscan *ret_v);

/* "key": of an object, to behind the colon. */
static int key_take(struct at *a, struct jsonscan *ret_key)
{
	int r;

	blanks(a);
	if (!take(a, '"'))
		return -EUCLEAN;
	r = string(a, ret_key);
	if (r < 0)
		return r;
	blanks(a);
	return take(a, ':') ? 0 : -EUCLEAN;
}

/* Behind { or [, to behind } or ]. */
static int members(struct at *a, char close, int depth)
{
	struct jsonscan ignored;
	int r;

	blanks(a);
	if (take(a, close))
		return 0;
	for (;;) {
		r = close == '}' ? key_take(a, &ignored) : 0;
		if (r >= 0)
			r = value(a, depth, &ignored);
		if (r < 0)
			return r;
		blanks(a);
		if (take(a, close))
			return 0;
		if (!take(a, ','))
			return -EUCLEAN;
	}
}

static int value(struct at *a, int depth, struct jsonscan *ret_v)
{
	const char *from;
	char type;
	int r;

	blanks(a);
	if (a->p == a->end)
		return -EUCLEAN;
	from = a->p;
	type = *from;
	switch (type) {
	case '"':
		a->p++;
		return string(a, ret_v);
	case '{':
	case '[':
		if (depth == JSONSCAN_DEPTH_MAX)
			return -EUCLEAN;
		a->p++;
		r = members(a, type == '{' ? '}' : ']', depth + 1);
		break;
	case 't':
		r = word(a, "true");
		break;
	case 'f':
		r = word(a, "false");
		break;
	case 'n':
		r = word(a, "null");
		type = '0';
		break;
	default:
		r = number(a);
		type = 'n';
		break;
	}
	if (r >= 0)
		*ret_v = (struct jsonscan){ .p = from, .len = (size_t)(a->p - from), .type = type };
	return r;
}

int jsonscan_check(const char *p, size_t len, struct jsonscan *ret_v)
{
	struct at a = { .p = p, .end = p + len };
	struct jsonscan v;
	int r;

	r = value(&a, 0, &v);
	if (r < 0)
		return r;
	blanks(&a);
	if (a.p != a.end)
		return -EUCLEAN;
	*ret_v = v;
	return 0;
}

int jsonscan_member(const struct jsonscan *v, const char *key, struct jsonscan *ret_v)
{
	struct at a = { .p = v->p + 1, .end = v->p + v->len };
	size_t key_len = strlen(key);
	struct jsonscan k, sub;
	bool found = false;
	int r;

	if (v->type != '{')
		return -EUCLEAN;
	blanks(&a);
	if (take(&a, '}'))
		return -ENOENT;
	do {
		r = key_take(&a, &k);
		if (r >= 0)
			r = value(&a, 0, &sub);
		if (r < 0)
			return r;
		if (k.len == key_len && strncmp(k.p, key, key_len) == 0) {
			if (found)
				return -EUCLEAN;
			found = true;
			*ret_v = sub;
		}
		blanks(&a);
	} while (take(&a, ','));
	return found ? 0 : -ENOENT;
}

int jsonscan_element(const struct jsonscan *v, size_t i, struct jsonscan *ret_v)
{
	struct at a = { .p = v->p + 1, .end = v->p + v->len };
	struct jsonscan sub;
	int r;

	if (v->type != '[')
		return -EUCLEAN;
	blanks(&a);
	if (take(&a, ']'))
		return -ENOENT;
	do {
		r = value(&a, 0, &sub);
		if (r < 0)
			return r;
		if (i-- == 0) {
			*ret_v = sub;
			return 0;
		}
		blanks(&a);
	} while (take(&a, ','));
	return -ENOENT;
}

int jsonscan_integer(const struct jsonscan *v, uint64_t *ret_n)
{
	uint64_t n = 0;
	size_t i;

	if (v->type != 'n' || v->len > 16)
		return -EUCLEAN;
	for (i = 0; i < v->len; i++) {
		if (v->p[i] < '0' || v->p[i] > '9')
			return -EUCLEAN;
		n = n * 10 + (uint64_t)(v->p[i] - '0');
	}
	if (n > UINT64_C(1) << 53)
		return -EUCLEAN;
	*ret_n = n;
	return 0;
}

/* One character of a string; an escape above ASCII becomes a question mark: this is for messages. */
static char character(const char **p)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const char *at = *p, *escape;
	unsigned code = '?';

	if (at[0] != '\\') {
		*p += 1;
		return at[0];
	}
	if (at[1] == 'u') {
		*p += 6;
		return hex4(at + 2, &code) >= 0 && code > 0 && code < 0x80 ? (char)code : '?';
	}
	*p += 2;
	escape = strchr(from, at[1]);
	return escape ? to[escape - from] : at[1];
}

size_t jsonscan_text(const struct jsonscan *v, char *out, size_t max)
{
	const char *p = v->p, *end = v->p + v->len;
	size_t n = 0;

	if (v->type == '"')
		while (p < end && n + 1 < max)
			out[n++] = character(&p);
	out[n] = '\0';
	return n;
}
