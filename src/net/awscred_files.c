/* awscred_files.c: profiles. AWS_SHARED_CREDENTIALS_FILE (~/.aws/credentials) and AWS_CONFIG_FILE (~/.aws/config) and AWS_PROFILE, or one file that a
 * tenant's configuration names, and its profile "default".
 *
 *	static keys                  used
 *	role_arn, source_profile     AssumeRole with what that profile has, and external_id
 *	role_arn, credential_source  AssumeRole with Environment, Ec2InstanceMetadata or EcsContainer
 *	role_arn, web_identity_token_file   AssumeRoleWithWebIdentity
 *	credential_process, sso_…    refused: nothing is run here, and nobody sits here to log in */
#include "net/awscred_impl.h"

#include <stdio.h>
#include <string.h>

#include "base/env.h"

#define PROFILE_MAX 128
#define VALUE_MAX 1024

struct file {
	const char *path;
	struct secret *text;
	size_t len;
	bool everybody;   /* may read it */
};

struct files {
	const struct awscred_fetch *f;
	struct file of[2];
	char paths[2][VALUE_MAX];
};

/* Both texts of a profile's key; secret: it must not stand where everybody can read it. NULL: none. */
static const char *find(const struct files *fs, const char *profile, const char *key, size_t *ret_len, const struct file **ret_file)
{
	const char *p = NULL;
	size_t i;

	for (i = 0; i < 2 && !p; i++) {
		if (fs->of[i].text)
			p = awscred_profile((const char *)secret_bytes_const(fs->of[i].text), fs->of[i].len, profile, key, ret_len);
		if (p && ret_file)
			*ret_file = &fs->of[i];
	}
	return p;
}

/* false: none. Too long is none. */
static bool value(const struct files *fs, const char *profile, const char *key, size_t max, char *out)
{
	size_t n;
	const char *p = find(fs, profile, key, &n, NULL);

	if (!p || n == 0 || n >= max)
		return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

static int keys_of(const struct files *fs, const char *profile, struct awscred *ret_cred)
{
	char key[SIGV4_ACCESS_KEY_MAX + 1];
	const struct file *file = NULL;
	size_t secret_len, token_len = 0;
	const char *secret, *token;
	int r;

	secret = find(fs, profile, "aws_secret_access_key", &secret_len, &file);
	if (!secret || !value(fs, profile, "aws_access_key_id", sizeof(key), key))
		return -ENOENT;
	if (file->everybody)
		return awscred_fail(fs->f->err, -EINVAL, "%.150s: holds a secret key; others may not read it", file->path);
	token = find(fs, profile, "aws_session_token", &token_len, NULL);
	r = awscred_make(key, secret, secret_len, token, token ? token_len : 0, "file", ret_cred);
	return r == -EINVAL ? awscred_fail(fs->f->err, r, "%.150s: [%.60s] has what cannot be a credential", file->path, profile) : r;
}

int awscred_read(const struct secret *text, struct awscred *ret_cred)
{
	static const char *const names[] = { "aws_access_key_id", "aws_secret_access_key", "aws_session_token" };
	const char *all = (const char *)secret_bytes_const(text), *p[3];
	char key[SIGV4_ACCESS_KEY_MAX + 1];
	size_t n[3] = { 0 };

	for (size_t i = 0; i < 3; i++)
		p[i] = awscred_profile(all, secret_len(text), "default", names[i], &n[i]);
	if (!p[0] || !p[1])
		return -ENOENT;
	if (n[0] >= sizeof(key) || memchr(p[0], '\0', n[0]))
		return -EINVAL;
	memcpy(key, p[0], n[0]);
	key[n[0]] = '\0';
	return awscred_make(key, p[1], n[1], p[2], n[2], "given", ret_cred);
}

static int by_source(const struct files *fs, const char *profile, struct awscred *ret_cred)
{
	static const struct {
		const char *name;
		int (*get)(const struct awscred_fetch *f, struct awscred *ret_cred);
	} sources[] = { { "Environment", awscred_env }, { "Ec2InstanceMetadata", awscred_imds }, { "EcsContainer", awscred_pod } };
	char name[64];
	size_t i;
	int r;

	if (!value(fs, profile, "credential_source", sizeof(name), name))
		return awscred_fail(fs->f->err, -EINVAL, "profile %.60s: role_arn needs source_profile, credential_source or web_identity_token_file",
				    profile);
	for (i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		if (strcmp(name, sources[i].name) != 0)
			continue;
		r = sources[i].get(fs->f, ret_cred);
		return r == -ENOENT ? awscred_fail(fs->f->err, -EACCES, "profile %.60s: %s has no credentials", profile, name) : r;
	}
	return awscred_fail(fs->f->err, -EINVAL, "profile %.60s: credential_source=%.40s is not known", profile, name);
}

/* The base of a role, or the role, of a profile: chains of source_profile are followed to where keys are, then assumed on the way back. */
static int resolve(const struct files *fs, const char *first, struct awscred *ret_cred)
{
	char chain[AWSCRED_PROFILES_MAX][PROFILE_MAX], role[AWSCRED_ROLE_MAX], external[VALUE_MAX], session[VALUE_MAX], file[VALUE_MAX], next[PROFILE_MAX];
	struct awscred base = { 0 }, got = { 0 };
	int depth = 0, r;

	(void)snprintf(next, sizeof(next), "%s", first);
	for (;;) {
		bool self = depth > 0 && strcmp(chain[depth - 1], next) == 0;

		if (self || !value(fs, next, "role_arn", sizeof(role), role)) {
			r = keys_of(fs, next, &base);
			break;
		}
		if (depth == AWSCRED_PROFILES_MAX)
			return awscred_fail(fs->f->err, -EINVAL, "profile %.60s: more than %d roles, or a circle", first, AWSCRED_PROFILES_MAX);
		memcpy(chain[depth++], next, sizeof(next));
		if (value(fs, chain[depth - 1], "source_profile", sizeof(next), next))
			continue;
		if (!value(fs, chain[depth - 1], "web_identity_token_file", sizeof(file), file)) {
			r = by_source(fs, chain[depth - 1], &base);
			break;
		}
		depth--;
		r = awscred_assume_web(fs->f, file, role, value(fs, chain[depth], "role_session_name", sizeof(session), session) ? session : NULL, &base);
		break;
	}
	if (r == -ENOENT && depth > 0)
		r = awscred_fail(fs->f->err, -EINVAL, "profile %.60s: [%.60s] has no keys", first, next);
	while (r >= 0 && depth > 0) {
		const char *profile = chain[--depth];

		(void)value(fs, profile, "role_arn", sizeof(role), role);
		if (!value(fs, profile, "external_id", sizeof(external), external))
			external[0] = '\0';
		r = awscred_assume(fs->f, &base, role, external, value(fs, profile, "role_session_name", sizeof(session), session) ? session : NULL, &got);
		awscred_done(&base);
		base = got;
		got = (struct awscred){ 0 };
	}
	if (r < 0) {
		awscred_done(&base);
		return r;
	}
	base.kind = strcmp(base.kind, "role") == 0 ? "file+role" : base.kind;
	*ret_cred = base;
	return 0;
}

static int refused_forms(const struct files *fs, const char *profile)
{
	static const char *const keys[] = { "credential_process", "sso_session", "sso_account_id" };
	size_t i, n;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (find(fs, profile, keys[i], &n, NULL))
			return awscred_fail(fs->f->err, -EINVAL, "profile %.60s: %s is not supported", profile, keys[i]);
	return -ENOENT;
}

static int file_open(struct files *fs, size_t i, const char *path, bool must)
{
	int r;

	fs->of[i].path = path;
	r = awscred_file_read(path, true, fs->f->err, &fs->of[i].text, &fs->of[i].len, &fs->of[i].everybody);
	return r == -ENOENT ? (must ? -EACCES : 0) : r;
}

static int open_both(struct files *fs)
{
	static const struct {
		enum env_var var;
		const char *home;
	} known[] = { { ENV_AWS_SHARED_CREDENTIALS_FILE, "credentials" }, { ENV_AWS_CONFIG_FILE, "config" } };
	const char *home = env_get(ENV_HOME), *path;
	size_t i;
	int r = 0;

	for (i = 0; i < 2 && r >= 0; i++) {
		path = env_get(known[i].var);
		if (path && strlen(path) < VALUE_MAX)
			(void)snprintf(fs->paths[i], VALUE_MAX, "%s", path);
		else if (home && strlen(home) < VALUE_MAX / 2)
			(void)snprintf(fs->paths[i], VALUE_MAX, "%s/.aws/%s", home, known[i].home);
		else
			continue;
		r = file_open(fs, i, fs->paths[i], path != NULL);
	}
	return r;
}

int awscred_files(const struct awscred_fetch *f, const char *path, struct awscred *ret_cred)
{
	const char *named = path ? NULL : env_get(ENV_AWS_PROFILE);
	const char *profile = named ? named : "default";
	struct files fs = { .f = f };
	int r;

	r = strlen(profile) >= PROFILE_MAX ? awscred_fail(f->err, -EINVAL, "AWS_PROFILE: is too long") :
	    path			   ? file_open(&fs, 0, path, true) :
					     open_both(&fs);
	if (r >= 0)
		r = resolve(&fs, profile, ret_cred);
	if (r == -ENOENT)
		r = refused_forms(&fs, profile);
	if (r == -ENOENT && (path || named))
		r = awscred_fail(f->err, -EACCES, "%.150s: there are no keys in profile %.60s", path ? path : "AWS_PROFILE", profile);
	secret_free(fs.of[0].text);
	secret_free(fs.of[1].text);
	return r;
}
