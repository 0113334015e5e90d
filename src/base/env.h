/* env.h: the environment variables we read, all of them; the one caller of getenv(3). */
#ifndef COFFER_BASE_ENV_H
#define COFFER_BASE_ENV_H

enum env_var {
	ENV_COFFER_AGENT,   /* path of the agent's socket */
	ENV_NO_COLOR,       /* no colours, whatever its value */
	ENV_JOURNAL_STREAM, /* "DEV:INO" of the journal's stream, set by systemd */
	ENV_TERM,
	ENV_HOME,           /* with the next two: where backups keep what they know of files */
	ENV_XDG_CACHE_HOME,
	ENV_CACHE_DIRECTORY, /* of a unit, set by systemd */
	ENV_VAULT_TOKEN,    /* the agent only: the token of a tenant whose configuration names no other */
	ENV_BAO_TOKEN,      /* the same by its newer name; VAULT_TOKEN wins */
	ENV_GOOGLE_APPLICATION_CREDENTIALS, /* the agent only: the file of a service account, for tenants whose configuration names no other */
	ENV_GCE_METADATA_HOST, /* the agent only: HOST[:PORT] of Google's metadata service; one of those that net/url.h allows */
	ENV_COFFER_IOQ,     /* test builds only: "sync" keeps io_uring away */
};

/* The value, or NULL when it is not set, empty, or the program runs with another's privilege. */
const char *env_get(enum env_var var);

#endif
