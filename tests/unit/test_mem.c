#include "base/mem.h"

#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#define OBJECTS 100000u
#define OBJECT_LEN 200u
#define ROUNDS 8

static void *objects[OBJECTS];

/* Sanitizers and valgrind bring a heap of their own, which knows nothing of arenas. */
static void needs_the_heap_of_glibc(void)
{
	void *p = malloc(1);
	size_t used = mallinfo2().uordblks;

	free(p);
	if (used == 0)
		skip();
}

static size_t resident_bytes(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%*s %lu", &pages), 1);
	assert_int_equal(fclose(f), 0);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void *fill(void *arg)
{
	size_t i;

	(void)arg;
	for (i = 0; i < OBJECTS; i++)
		objects[i] = calloc(1, OBJECT_LEN);
	return NULL;
}

static pthread_barrier_t turn;

/* The worker whose number is the round's fills the table; what another has left at the end of its heap keeps that from shrinking. */
static void *works(void *arg)
{
	uintptr_t self = (uintptr_t)arg, round;
	void *last = NULL;

	for (round = 0; round < ROUNDS; round++) {
		(void)pthread_barrier_wait(&turn);
		if (round == self) {
			(void)fill(NULL);
			last = malloc(OBJECT_LEN);
		}
		(void)pthread_barrier_wait(&turn);
	}
	free(last);
	return NULL;
}

static void what_one_thread_freed_another_can_use(void **state)
{
	pthread_t worker[ROUNDS];
	size_t first = 0, i;
	uintptr_t n;

	(void)state;
	needs_the_heap_of_glibc();
	mem_init();
	assert_int_equal(pthread_barrier_init(&turn, NULL, ROUNDS + 1), 0);
	for (n = 0; n < ROUNDS; n++)
		assert_int_equal(pthread_create(&worker[n], NULL, works, (void *)n), 0); /* NOLINT(performance-no-int-to-ptr) */
	for (n = 0; n < ROUNDS; n++) {
		(void)pthread_barrier_wait(&turn);
		(void)pthread_barrier_wait(&turn);
		if (n == 0)
			first = mallinfo2().arena;
		assert_true(first >= (size_t)OBJECTS * OBJECT_LEN);
		assert_true(mallinfo2().arena <= first + first / 8);
		for (i = 0; i < OBJECTS; i++)
			free(objects[i]);
	}
	for (n = 0; n < ROUNDS; n++)
		assert_int_equal(pthread_join(worker[n], NULL), 0);
	(void)pthread_barrier_destroy(&turn);
}

static void trim_gives_back_what_lies_between_objects(void **state)
{
	size_t full, i;

	(void)state;
	needs_the_heap_of_glibc();
	(void)fill(NULL);
	full = resident_bytes();
	for (i = 0; i < OBJECTS; i++) {
		if (i % 1000 != 0)
			free(objects[i]);
	}
	mem_trim();
	assert_true(resident_bytes() + (size_t)OBJECTS * OBJECT_LEN / 2 < full);
	for (i = 0; i < OBJECTS; i += 1000)
		free(objects[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_one_thread_freed_another_can_use),
		cmocka_unit_test(trim_gives_back_what_lies_between_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
