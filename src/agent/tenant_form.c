/* tenant_form.c: sections and keys of tenants.d/NAME.conf. What values mean is tenant_conf.c's; nothing here needs a provider, so a command can read such
 * a file, too. */
#include "agent/tenant_form.h"

static const struct ini_key tenant_keys[] = {
	{ "kms", INI_STRING, true },           { "probe", INI_TIME, false },       { "confirm", INI_STRING, false },
	{ "max-stale", INI_TIME, false },      { "max-auth", INI_TIME, false },    { "agent-grace", INI_TIME, false },
	{ "auto-unlock", INI_BOOL, false },    { "recovery", INI_STRING, false },  { NULL, INI_STRING, false },
};
static const struct ini_key allow_keys[] = {
	{ "user", INI_STRING, false },    { "unit", INI_STRING, false },       { "volumes", INI_STRING, false },
	{ "operations", INI_STRING, false }, { NULL, INI_STRING, false },
};
static const struct ini_key kms_keys[] = {
	{ "credentials", INI_STRING, false }, { "role-arn", INI_STRING, false }, { "external-id", INI_STRING, false },
	{ "region", INI_STRING, false },      { "endpoint", INI_STRING, false }, { "ca-file", INI_STRING, false },
	{ "proxy", INI_STRING, false },       { "auth", INI_STRING, false },     { "namespace", INI_STRING, false },
	{ "mount", INI_STRING, false },       { NULL, INI_STRING, false },
};
static const struct ini_key credential_keys[] = {
	{ "file", INI_STRING, false }, { "unit", INI_STRING, false }, { "min-version", INI_INTEGER, false },
	{ NULL, INI_STRING, false },
};
const struct ini_rule tenant_form[] = {
	{ "tenant", tenant_keys, false },
	{ "allow", allow_keys, true },
	{ "kms", kms_keys, false },
	{ "credential", credential_keys, true },
	{ NULL, NULL, false },
};
