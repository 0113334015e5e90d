/* doctor_tls.c: a handshake of our own with each key service of a volume, as tenants.d/TENANT.conf says that it is reached: the agent's answer says that something
 * is wrong, this says what, and what will be: a certificate that is about to end, clocks that drift apart. No credential is read or sent. */
#include "tools/doctor.h"

#include "agent/tenant_form.h"
#include "base/fileio.h"
#include "base/text.h"
#include "net/awshost.h"
#include "net/http_probe.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIME_TEXT 32
#define DAY_S 86400
#define SKEW_WARN_S 30
#define SKEW_FAIL_S 240 /* AWS and Google refuse a signature that is 5 minutes off */
#define GCP_ORIGIN "https://cloudkms.googleapis.com"
#define AWS_ARN "aws-kms://arn:aws"

/* A tenant's file, or nothing of it. false: it is there and cannot be used, which was told. */
static bool tenant_read(struct doctor *d, const char *tenant, struct ini **ret_ini)
{
	AUTO_FREE uint8_t *p = NULL;
	struct ini_error error = { 0 };
	char path[PATH_MAX];
	size_t len;
	int r;

	(void)snprintf(path, sizeof(path), "%s/tenants.d/%s.conf", d->g->config, tenant);
	r = fileio_read_at(AT_FDCWD, path, INI_BYTES_MAX, &p, &len);
	if (r == -ENOENT)
		return true;
	if (r < 0) {
		doctor_row(d, "TLS", DOCTOR_WARN, "as root", "not tried: %s cannot be read, which says how: %s", path, err_text(r));
		return false;
	}
	r = ini_read(p, len, tenant_form, ret_ini, &error);
	if (r < 0)
		doctor_row(d, "TLS", DOCTOR_FAIL, "coffer.conf(5); the agent goes on with what it read before", "%s:%u: %s", path, error.line, r == -EUCLEAN ? error.text : err_text(r));
	return r == 0;
}

static const char *said(const struct ini_section *kms, const char *key)
{
	const char *text = ini_string(kms, key, 0);

	return text ? text : "";
}

/* Where the agent asks for a key. -ENOENT: nowhere, its provider needs no network; -EINVAL. */
static int origin_of(const char *uri, const struct ini_section *kms, char ret_origin[static URL_ORIGIN_MAX + 1])
{
	const char *endpoint = said(kms, "endpoint"), *host = strstr(uri, "://");
	char text[URL_ORIGIN_MAX + 1], region[40] = "";
	int n;

	if (strncmp(uri, AWS_ARN, strlen(AWS_ARN)) == 0) {
		if (sscanf(uri, "aws-kms://arn:%*[^:]:kms:%39[^:]:", region) != 1)
			return -EINVAL;
		return awshost_find("kms", *said(kms, "region") ? said(kms, "region") : region, endpoint, ret_origin);
	}
	if (!host)
		return -ENOENT;
	if (*endpoint)
		return url_origin_parse(endpoint, ret_origin);
	if (strncmp(uri, "gcp-kms:", 8) == 0)
		return url_origin_parse(GCP_ORIGIN, ret_origin);
	host += 3;
	n = snprintf(text, sizeof(text), "https://%.*s", (int)strcspn(host, "/"), host);
	return n < (int)sizeof(text) ? url_origin_parse(text, ret_origin) : -EINVAL;
}

/* Does the host's configuration name this key itself? */
static bool is_listed(const struct ini_section *tenant, const char *uri)
{
	for (size_t i = 0; i < ini_count(tenant, "kms"); i++)
		if (strcmp(ini_string(tenant, "kms", i), uri) == 0)
			return true;
	return false;
}

/* ---- rows */

static void when(int64_t t, char ret_text[static TIME_TEXT])
{
	if (text_time((time_t)t, TIME_TEXT, ret_text) < 0)
		(void)snprintf(ret_text, TIME_TEXT, "?");
}

static void not_trusted(struct doctor *d, const char *host, const struct http_probe *p)
{
	const char *clock = "is this host's clock right (chrony, systemd-timesyncd)? If it is, the server needs another certificate";
	char now[TIME_TEXT], begins[TIME_TEXT], ends[TIME_TEXT];
	time_t t = time(NULL);

	when(t, now);
	when(p->begins, begins);
	when(p->ends, ends);
	if (!p->reached)
		doctor_row(d, "TLS", DOCTOR_FAIL, "network and firewall, IPAddressAllow= of the agent's unit; endpoint=, proxy= and ca-file= in tenants.d", "%s", p->message);
	else if (!p->version)
		doctor_row(d, "TLS", DOCTOR_FAIL, "is that the key service, and its port?", "%s", p->message);
	else if (strcmp(p->version, "1.3") != 0)
		doctor_row(d, "TLS", DOCTOR_FAIL, "let the server speak TLS 1.3 (Vault: tls_max_version, tls_min_version = \"tls13\")",
			   "%s speaks TLS %s and nothing newer; 1.3 is required", host, p->version);
	else if (p->begins > t)
		doctor_row(d, "TLS", DOCTOR_FAIL, clock, "%s: its certificate is good from %s on; here it is %s", host, begins, now);
	else if (p->ends && p->ends < t)
		doctor_row(d, "TLS", DOCTOR_FAIL, clock, "%s: its certificate was good until %s; here it is %s", host, ends, now);
	else
		doctor_row(d, "TLS", DOCTOR_FAIL, "the authority: ca-file= in tenants.d; the name: one of the certificate's in kms= or endpoint=",
			   "%s; it is of %s (%s), from %s", p->message, p->subject, p->names, p->issuer);
}

static void trusted(struct doctor *d, const char *host, const struct http_probe *p)
{
	char ends[TIME_TEXT];
	time_t t = time(NULL);
	int64_t skew = p->date > t ? p->date - t : t - p->date;
	bool soon = p->ends - t < (p->ends - p->begins) / 10;

	when(p->ends, ends);
	if (p->ends)
		doctor_row(d, "TLS", soon ? DOCTOR_WARN : DOCTOR_OK, "less than a tenth of its time is left: who renews it? Behind it every mount is on max-stale=",
			   "%s speaks TLS 1.3; its certificate is good until %s, %lld days", host, ends, (long long)(p->ends - t) / DAY_S);
	else
		doctor_row(d, "TLS", DOCTOR_OK, NULL, "%s speaks TLS 1.3; its certificate is good", host);
	if (p->date)
		doctor_row(d, "clock", skew >= SKEW_FAIL_S ? DOCTOR_FAIL : skew >= SKEW_WARN_S ? DOCTOR_WARN : DOCTOR_OK,
			   "set the one that is wrong (chrony, systemd-timesyncd); signed requests are refused when they are minutes off",
			   "%s says a time that is %lld s off", host, (long long)skew);
}

static void probe(struct doctor *d, const char *origin, const struct ini_section *kms)
{
	struct http_request req = { .owner = "", .ca_file = said(kms, "ca-file"), .proxy = said(kms, "proxy"), .timeout_ms = HTTP_TRY_MS };
	const char *host = origin + strlen("https://");
	struct http_probe p;
	int r;

	url_root(&req.url, origin);
	r = http_probe(&req, &p);
	if (r < 0)
		doctor_row(d, "TLS", DOCTOR_FAIL, NULL, "%s: not tried: %s", host, err_text(r));
	else if (p.trusted)
		trusted(d, host, &p);
	else
		not_trusted(d, host, &p);
}

/* One key: its host, unless that was asked already. */
static void key(struct doctor *d, const char *uri, const struct ini_section *kms, char done[static SLOTS_MAX][URL_ORIGIN_MAX + 1], size_t *count)
{
	size_t k;
	int r;

	if (*count == SLOTS_MAX)
		return;
	r = origin_of(uri, kms, done[*count]);
	if (r == -ENOENT)
		return;
	if (r < 0) {
		doctor_row(d, "TLS", DOCTOR_FAIL, "kms=, endpoint= and region= in tenants.d", "no host can be found for %s", uri);
		return;
	}
	for (k = 0; k < *count; k++)
		if (strcmp(done[k], done[*count]) == 0)
			return;
	probe(d, done[(*count)++], kms);
}

void doctor_tls(struct doctor *d, struct client *c, const struct cmd_volume *v)
{
	AUTO_FREE struct client_keys *pin = calloc(1, sizeof(*pin));
	AUTO_INI struct ini *ini = NULL;
	char done[SLOTS_MAX][URL_ORIGIN_MAX + 1];
	const struct ini_section *kms, *tenant;
	const struct key_slot *s;
	size_t count = 0;
	bool pinned;

	(void)signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to connections that a server has closed */
	if (!pin) {
		d->error = -ENOMEM;
		return;
	}
	pinned = c && client_keys(c, &v->instance, pin) == 0;
	if (tenant_read(d, pinned ? pin->tenant : v->parsed->tenant, &ini)) {
		kms = ini ? ini_section(ini, "kms", 0) : NULL;
		tenant = ini ? ini_section(ini, "tenant", 0) : NULL;
		for (size_t i = 0; pinned && i < pin->kms_count; i++)
			key(d, pin->kms[i], kms, done, &count);
		for (size_t i = 0; !pinned && i < v->parsed->slot_count; i++) {
			s = &v->parsed->slots[i];
			if (s->active && is_listed(tenant, s->kms))
				key(d, s->kms, kms, done, &count);
		}
	}
	client_keys_done(pin);
}
