/* format_malformed.h: tables of malformed structures. Each row is a rule of docs/format.md, broken in an otherwise valid image by
 * writing a few bytes; tags are put right afterwards, so that the rule itself must refuse. Include after cmocka.h. */
#ifndef COFFER_TESTS_FORMAT_MALFORMED_H
#define COFFER_TESTS_FORMAT_MALFORMED_H

#include <stdio.h>
#include <string.h>

#include "format/layout.h"

struct malformed {
	const char *rule;
	size_t at;
	size_t width;    /* 1, 2, 4 or 8 bytes */
	uint64_t value;
	int want;
};

static inline void malformed_apply(const struct malformed *m, uint8_t *p)
{
	uint8_t v[8];

	layout_put64(v, m->value);
	assert_true(m->width <= sizeof(v));
	/* A row that changes nothing would test nothing. */
	assert_memory_not_equal(p + m->at, v, m->width);
	memcpy(p + m->at, v, m->width);
}

/* Say which row it was before failing. */
static inline void malformed_expect(const struct malformed *m, int got)
{
	if (got != m->want)
		fprintf(stderr, "rule \"%s\": got %d, want %d\n", m->rule, got, m->want);
	assert_int_equal(got, m->want);
}

/* What a reader says of a structure that is not as it was sealed. */
static inline bool is_refusal(int r)
{
	return r == -EBADMSG || r == -EUCLEAN || r == -EOPNOTSUPP;
}

#endif
