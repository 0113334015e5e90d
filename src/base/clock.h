/* clock.h: the time that deadlines and leases are of: milliseconds since boot, those of a suspended machine included (CLOCK_BOOTTIME); and the one that threads
 * wait by, which stands still with the machine (CLOCK_MONOTONIC). Header only. */
#ifndef COFFER_BASE_CLOCK_H
#define COFFER_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_boot_ms(void)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* CLOCK_MONOTONIC in ms milliseconds. */
static inline struct timespec clock_after_ms(uint64_t ms)
{
	struct timespec t = { 0 };

	(void)clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += (time_t)(ms / 1000);
	t.tv_nsec += (long)(ms % 1000) * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

/* Sleep for ms milliseconds, less if a signal comes: between looks at something that tells nobody. */
static inline void clock_pause_ms(unsigned ms)
{
	const struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	(void)nanosleep(&t, NULL);
}

#endif
