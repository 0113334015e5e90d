/* store_rate.h: a token bucket. Pure: time comes in as a number. It fills at the rate, holds one second of it, and may be overdrawn by one request,
 * since that is sent as a whole; who comes next waits until it is level again. So the mean holds, not the speed of a moment. */
#ifndef COFFER_BACKUP_STORE_RATE_H
#define COFFER_BACKUP_STORE_RATE_H

#include <stdint.h>

struct store_rate {
	uint64_t rate;      /* bytes a second; 0: no limit */
	int64_t have;       /* below 0: overdrawn */
	uint64_t filled_ms; /* up to when it was filled */
};

void store_rate_init(struct store_rate *b, uint64_t rate, uint64_t now_ms);
/* Take n bytes; returns the milliseconds to wait before they go out. */
uint64_t store_rate_take(struct store_rate *b, uint64_t n, uint64_t now_ms);

#endif
