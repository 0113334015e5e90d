/* env.h: the environment variables we read, all of them; the one caller of getenv(3). */
#ifndef COFFER_BASE_ENV_H
#define COFFER_BASE_ENV_H

enum env_var {
	ENV_COFFER_AGENT,   /* path of the agent's socket */
	ENV_NO_COLOR,       /* no colours, whatever its value */
	ENV_JOURNAL_STREAM, /* "DEV:INO" of the journal's stream, set by systemd */
	ENV_TERM,
	ENV_HOME,           /* where ~/.aws is; with the next two: where backups keep what they know of files */
	ENV_XDG_CACHE_HOME,
	ENV_CACHE_DIRECTORY, /* of a unit, set by systemd */
	ENV_VAULT_TOKEN,    /* the agent only: the token of a tenant whose configuration names no other */
	ENV_BAO_TOKEN,      /* the same by its newer name; VAULT_TOKEN wins */
	ENV_GOOGLE_APPLICATION_CREDENTIALS, /* the agent only: the file of a service account, for tenants whose configuration names no other */
	ENV_GCE_METADATA_HOST, /* the agent only: HOST[:PORT] of Google's metadata service; one of those that net/url.h allows */
	/* The chains of AWS, of the agent and of stores (net/awscred.h, net/awshost.h); docs/kms.md says what each does. */
	ENV_AWS_ACCESS_KEY_ID,
	ENV_AWS_SECRET_ACCESS_KEY,
	ENV_AWS_SESSION_TOKEN,
	ENV_AWS_WEB_IDENTITY_TOKEN_FILE,
	ENV_AWS_ROLE_ARN,
	ENV_AWS_ROLE_SESSION_NAME,
	ENV_AWS_SHARED_CREDENTIALS_FILE,
	ENV_AWS_CONFIG_FILE,
	ENV_AWS_PROFILE,
	ENV_AWS_CONTAINER_CREDENTIALS_RELATIVE_URI,
	ENV_AWS_CONTAINER_CREDENTIALS_FULL_URI,
	ENV_AWS_CONTAINER_AUTHORIZATION_TOKEN,
	ENV_AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE,
	ENV_AWS_EC2_METADATA_DISABLED,
	ENV_AWS_EC2_METADATA_SERVICE_ENDPOINT,
	ENV_AWS_ENDPOINT_URL,
	ENV_AWS_ENDPOINT_URL_KMS,
	ENV_AWS_ENDPOINT_URL_STS,
	ENV_AWS_ENDPOINT_URL_S3,
	ENV_AWS_IGNORE_CONFIGURED_ENDPOINT_URLS,
	ENV_AWS_USE_FIPS_ENDPOINT,
	ENV_AWS_USE_DUALSTACK_ENDPOINT,
	ENV_AWS_CA_BUNDLE,
	ENV_AWS_REGION,     /* of object stores, when nothing else says so; then the next one */
	ENV_AWS_DEFAULT_REGION,
	ENV_AZURE_TENANT_ID, /* this and the next: the agent only; an application of Azure's directory, for tenants whose configuration names no other */
	ENV_AZURE_CLIENT_ID,
	ENV_AZURE_CLIENT_SECRET,
	ENV_AZURE_FEDERATED_TOKEN_FILE,
	ENV_AZURE_AUTHORITY_HOST,
	ENV_IDENTITY_ENDPOINT,   /* the agent only: who gives a hosted process its identity, and with it */
	ENV_IDENTITY_HEADER,
	ENV_COFFER_HANDOVER, /* set by a mount alone, for the program that goes on with it: the number of a descriptor */
	ENV_COFFER_IOQ,     /* test builds only: "sync" keeps io_uring away */
};

/* The value, or NULL when it is not set, empty, or the program runs with another's privilege. */
const char *env_get(enum env_var var);

/* The environment with one variable set otherwise, for a program to be executed: malloc'ed, in one piece. NULL: out of memory. */
char **env_with(enum env_var var, const char *value);
/* Nobody who is started from here shall see it. Before there are threads. */
void env_drop(enum env_var var);

#endif
