/* lease.h: how long a mount may go on with a key that its KMS was last asked about (DESIGN section 6, "Lease"). Times are of CLOCK_BOOTTIME. */
#ifndef COFFER_AGENT_LEASE_H
#define COFFER_AGENT_LEASE_H

#include <stdbool.h>
#include <stdint.h>

/* [tenant] of tenants.d/NAME.conf: probe=, confirm=, max-stale=, max-auth=, agent-grace=, auto-unlock=. */
struct lease_conf {
	uint64_t probe_ms;       /* between two real unwraps while all is well, +-10 % */
	unsigned confirm_count;  /* refusals (DENIED) that lock, … */
	uint64_t confirm_ms;     /* … over at least this long */
	uint64_t max_stale_ms;   /* without any answer */
	uint64_t max_auth_ms;    /* while our own credential is refused */
	uint64_t agent_grace_ms; /* without an agent, counted by the mount */
	bool auto_unlock;        /* a good answer unlocks, unless an operator locked */
};

#define LEASE_CONF_DEFAULT                                                                                            \
	{                                                                                                             \
		.probe_ms = 60000, .confirm_count = 3, .confirm_ms = 20000, .max_stale_ms = 24ull * 3600 * 1000,      \
		.max_auth_ms = 3600ull * 1000, .agent_grace_ms = 15ull * 60 * 1000, .auto_unlock = true,              \
	}

#endif
