/* kms_fixture.h: for tests of providers: the rows of their tables of errors, and a KEK whose bytes are known. After cmocka.h. */
#ifndef COFFER_TESTS_KMS_FIXTURE_H
#define COFFER_TESTS_KMS_FIXTURE_H

#include "kms/kms.h"

#include <string.h>

/* An answer, and what it must mean. */
struct kms_row {
	const char *what;
	int status;
	const char *body;
	enum kms_class class;
	bool alarm;
};

static inline void kms_rows_check(const struct kms_row *rows, size_t n, enum kms_class (*classify)(int status, const char *body, size_t len, struct kms_error *err))
{
	for (size_t i = 0; i < n; i++) {
		struct kms_error err = { 0 };
		enum kms_class class = classify(rows[i].status, rows[i].body, strlen(rows[i].body), &err);

		if (class != rows[i].class || err.class != class || err.alarm != rows[i].alarm)
			fail_msg("%s: %s, alarm %d", rows[i].what, kms_class_text(class), err.alarm);
		assert_true((class == KMS_OK) == (err.message[0] == '\0'));
	}
}

/* Bytes 0, 1, 2, … */
static inline struct secret *kms_kek_make(void)
{
	struct secret *kek;

	assert_int_equal(secret_new(KEY_LEN, &kek), 0);
	for (uint8_t i = 0; i < KEY_LEN; i++)
		secret_bytes(kek)[i] = i;
	return kek;
}

#endif
