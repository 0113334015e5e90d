#include "base/env.h"

#include <stdlib.h>

static const char *const env_names[] = {
	[ENV_COFFER_AGENT] = "COFFER_AGENT",
	[ENV_NO_COLOR] = "NO_COLOR",
	[ENV_JOURNAL_STREAM] = "JOURNAL_STREAM",
	[ENV_TERM] = "TERM",
	[ENV_HOME] = "HOME",
	[ENV_XDG_CACHE_HOME] = "XDG_CACHE_HOME",
	[ENV_CACHE_DIRECTORY] = "CACHE_DIRECTORY",
	[ENV_VAULT_TOKEN] = "VAULT_TOKEN",
	[ENV_BAO_TOKEN] = "BAO_TOKEN",
	[ENV_GOOGLE_APPLICATION_CREDENTIALS] = "GOOGLE_APPLICATION_CREDENTIALS",
	[ENV_GCE_METADATA_HOST] = "GCE_METADATA_HOST",
	[ENV_COFFER_IOQ] = "COFFER_IOQ",
};

const char *env_get(enum env_var var)
{
	const char *v = secure_getenv(env_names[var]);

	return v && *v ? v : NULL;
}
