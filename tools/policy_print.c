/* policy_print.c: the policies of `coffer policy`, each in its provider's words (docs/kms.md and docs/stores.md say what is asked of each). Everything that goes into one is of
 * POLICY_PLAIN, so nothing needs quoting. What only the owner of keys and buckets knows is a variable of the shell.
 *
 * AWS    the key's use with this tenant's context and no other, and describing it, which has no context
 * GCP    two permissions, in a role of their own: the ready-made role has more
 * Azure  three data actions, in a role of their own; a Managed HSM has its own roles, and one that fits
 * Vault  update (never create: Transit makes a key that it is asked for so), with a context
 * stores objects below the prefix, their listing, and the unfinished uploads of the bucket, which no condition can tell apart */
#include "tools/policy.h"

#include <stdio.h>
#include <string.h>

/* --- parts --- */

static size_t parts(const char *text)
{
	size_t n = 1;

	for (; *text; text++)
		n += *text == '/';
	return n;
}

/* The n-th part between slashes, or from there to the end. */
static const char *part(const char *text, unsigned n, bool rest, char ret[static POLICY_TEXT_MAX])
{
	size_t len;

	while (n > 0 && *text)
		n -= *text++ == '/';
	len = rest ? strlen(text) : strcspn(text, "/");
	(void)snprintf(ret, POLICY_TEXT_MAX, "%.*s", (int)len, text);
	return ret;
}

static bool part_is(const char *text, unsigned n, const char *word)
{
	char buf[POLICY_TEXT_MAX];

	return strcmp(part(text, n, false, buf), word) == 0;
}

/* No part may be empty. */
static bool parts_fit(const char *text, size_t min, size_t max)
{
	return parts(text) >= min && parts(text) <= max && text[0] != '/' && text[strlen(text) - 1] != '/' && !strstr(text, "//");
}

/* --- AWS KMS --- */

static bool aws_fits(const char *text)
{
	return parts_fit(text, 2, 2) && strncmp(text, "arn:", 4) == 0;
}

static void print_aws_trust(const struct policy_found *f)
{
	(void)printf("{\n \"Version\": \"2012-10-17\",\n \"Statement\": [\n  {\n   \"Effect\": \"Allow\",\n   \"Principal\": {\"AWS\": \"%s\"},\n   \"Action\": [\"sts:AssumeRole\"]", f->trust);
	if (f->external_id[0])
		(void)printf(",\n   \"Condition\": {\"StringEquals\": {\"sts:ExternalId\": \"%s\"}}", f->external_id);
	(void)printf("\n  }\n ]\n}\n");
}

static void print_aws(const struct policy_found *f)
{
	if (f->trust) {
		print_aws_trust(f);
		return;
	}
	(void)printf("{\n \"Version\": \"2012-10-17\",\n \"Statement\": [\n");
	if (f->host) {
		(void)printf("  {\n   \"Effect\": \"Allow\",\n   \"Action\": [\"sts:AssumeRole\"],\n   \"Resource\": [\"%s\"]\n  }\n ]\n}\n", f->role_arn);
		return;
	}
	for (int describe = 0; describe < 2; describe++) {
		(void)printf("  {\n   \"Effect\": \"Allow\",\n   \"Action\": [%s],\n   \"Resource\": [", describe ? "\"kms:DescribeKey\"" : "\"kms:Encrypt\", \"kms:Decrypt\"");
		for (size_t i = 0; i < f->count; i++)
			(void)printf("%s\"%s\"", i ? ", " : "", f->items[i].text);
		if (describe)
			(void)printf("]\n  }\n");
		else
			(void)printf("],\n   \"Condition\": {\n"
				     "    \"StringEquals\": {\"kms:EncryptionContext:tenant\": \"%s\", \"kms:EncryptionContext:purpose\": \"root\"},\n"
				     "    \"ForAllValues:StringEquals\": {\"kms:EncryptionContextKeys\": [\"purpose\", \"tenant\", \"volume\"]}\n   }\n  },\n", f->tenant);
	}
	(void)printf(" ]\n}\n");
}

/* --- Google Cloud KMS --- */

static bool gcp_fits(const char *text)
{
	return parts_fit(text, 8, 8) && part_is(text, 0, "projects") && part_is(text, 2, "locations") && part_is(text, 4, "keyRings") && part_is(text, 6, "cryptoKeys");
}

/* A role of a project, made unless it is there. */
static void print_gcp_role(const char *project, const char *role, const char *title, const char *permissions)
{
	(void)printf("gcloud iam roles describe %s --project %s >/dev/null 2>&1 ||\n\tgcloud iam roles create %s --project %s --stage GA --title '%s' \\\n\t\t--permissions %s\n",
		     role, project, role, project, title, permissions);
}

static void print_gcp(const struct policy_found *f)
{
	char project[POLICY_TEXT_MAX], location[POLICY_TEXT_MAX], ring[POLICY_TEXT_MAX], key[POLICY_TEXT_MAX], seen[POLICY_TEXT_MAX] = "";

	(void)printf("# As the keys' owner; $HOST is the service account of this host's agent. For tenant %s.\n", f->tenant);
	for (size_t i = 0; i < f->count; i++) {
		part(f->items[i].text, 1, false, project);
		part(f->items[i].text, 3, false, location);
		part(f->items[i].text, 5, false, ring);
		part(f->items[i].text, 7, false, key);
		if (strcmp(project, seen) != 0)
			print_gcp_role(project, "cofferKeys", "coffer: wrap and unwrap", "cloudkms.cryptoKeyVersions.useToEncrypt,cloudkms.cryptoKeyVersions.useToDecrypt");
		memcpy(seen, project, sizeof(seen));
		if (strcmp(key, "*") == 0)
			(void)printf("gcloud kms keyrings add-iam-policy-binding %s", ring);
		else
			(void)printf("gcloud kms keys add-iam-policy-binding %s --keyring %s", key, ring);
		(void)printf(" --location %s --project %s \\\n\t--member \"serviceAccount:$HOST\" --role projects/%s/roles/cofferKeys\n", location, project, project);
	}
}

/* --- Azure Key Vault --- */

static bool azure_fits(const char *text)
{
	return parts_fit(text, 3, 4) && part_is(text, 1, "keys") && !part_is(text, 0, "*");
}

static void print_azure_role(const char *tenant)
{
	(void)printf("az role definition create --role-definition '{\n \"Name\": \"coffer %s\",\n \"Description\": \"wrap and unwrap with the keys it is assigned on\",\n \"Actions\": [],\n"
		     " \"DataActions\": [\"Microsoft.KeyVault/vaults/keys/wrap/action\", \"Microsoft.KeyVault/vaults/keys/unwrap/action\", \"Microsoft.KeyVault/vaults/keys/read\"],\n"
		     " \"AssignableScopes\": [\"'\"$SCOPE\"'\"]\n}'\n", tenant);
}

static void print_azure(const struct policy_found *f)
{
	char host[POLICY_TEXT_MAX], key[POLICY_TEXT_MAX];
	bool made = false, any;

	(void)printf("# As the vaults' owner; $SCOPE is /subscriptions/ID/resourceGroups/GROUP, $HOST the object id of this host's identity. For tenant %s.\n", f->tenant);
	for (size_t i = 0; i < f->count; i++) {
		int name = (int)strcspn(part(f->items[i].text, 0, false, host), ".");

		any = strcmp(part(f->items[i].text, 2, false, key), "*") == 0;
		if (strncmp(host + name, ".managedhsm.", 12) == 0) {
			(void)printf("az keyvault role assignment create --hsm-name %.*s --assignee-object-id \"$HOST\" --assignee-principal-type ServicePrincipal \\\n"
				     "\t--role 'Managed HSM Crypto Service Encryption User' --scope /keys%s%s\n", name, host, any ? "" : "/", any ? "" : key);
			continue;
		}
		if (!made)
			print_azure_role(f->tenant);
		made = true;
		(void)printf("az role assignment create --assignee-object-id \"$HOST\" --assignee-principal-type ServicePrincipal --role 'coffer %s' \\\n"
			     "\t--scope \"$SCOPE/providers/Microsoft.KeyVault/vaults/%.*s%s%s\"\n", f->tenant, name, host, any ? "" : "/keys/", any ? "" : key);
	}
}

/* --- Vault --- */

static bool vault_fits(const char *text)
{
	return parts_fit(text, 4, 16) && part_is(text, (unsigned)parts(text) - 2, "keys");
}

static void print_vault(const struct policy_found *f)
{
	static const char *const verbs[] = { "encrypt", "decrypt" };
	char mount[POLICY_TEXT_MAX], key[POLICY_TEXT_MAX];

	(void)printf("# bao policy write%s%s %s - (or vault policy write)\n", f->ns[0] ? " -namespace=" : "", f->ns, f->tenant);
	for (size_t i = 0; i < f->count; i++) {
		const char *text = f->items[i].text;

		part(text, 1, true, mount);
		*strstr(mount, "/keys/") = '\0';
		part(text, (unsigned)parts(text) - 1, false, key);
		for (int v = 0; v < 2; v++)
			(void)printf("path \"%s/%s/%s\" {\n  capabilities = [\"update\"]\n  required_parameters = [\"associated_data\", \"context\"]\n}\n", f->mount[0] ? f->mount : mount,
				     verbs[v], strcmp(key, "*") == 0 ? "+" : key);
	}
}

/* --- stores --- */

static bool store_fits(const char *text)
{
	return text[0] && text[0] != '/' && !strstr(text, "//");
}

/* BUCKET and PREFIX; the latter with its slash, or empty. */
static void bucket_of(const char *item, char bucket[static POLICY_TEXT_MAX], char prefix[static POLICY_TEXT_MAX + 1])
{
	char rest[POLICY_TEXT_MAX];

	part(item, 0, false, bucket);
	part(item, 1, true, rest);
	(void)snprintf(prefix, POLICY_TEXT_MAX + 1, "%s%s", rest, rest[0] && rest[strlen(rest) - 1] != '/' ? "/" : "");
}

/* What is done with objects, in the order of the columns: for backups, for pruning, with object lock alone. Runs put nothing in parts; who sweeps what others have left does more. */
static const struct {
	const char *action;
	bool backup, prune, lock;
} s3_actions[] = {
	{ "s3:GetObject", true, true, false },
	{ "s3:PutObject", true, true, false },
	{ "s3:DeleteObject", false, true, false },
	{ "s3:AbortMultipartUpload", false, false, false },
	{ "s3:GetObjectRetention", true, true, true },
	{ "s3:PutObjectRetention", true, false, true },
	{ "s3:GetObjectLegalHold", false, true, true },
	{ "s3:DeleteObjectVersion", false, true, true },
};

static void print_s3_objects(const struct policy_found *f, const struct policy_item *item)
{
	const char *comma = "";

	(void)printf("  {\n   \"Effect\": \"Allow\",\n   \"Action\": [");
	for (size_t i = 0; i < sizeof(s3_actions) / sizeof(s3_actions[0]); i++) {
		if (s3_actions[i].lock && !item->lock)
			continue;
		if ((f->who == POLICY_BACKUP && !s3_actions[i].backup) || (f->who == POLICY_PRUNE && !s3_actions[i].prune))
			continue;
		(void)printf("%s\"%s\"", comma, s3_actions[i].action);
		comma = ", ";
	}
	(void)printf("],\n");
}

static void print_s3(const struct policy_found *f)
{
	char bucket[POLICY_TEXT_MAX], prefix[POLICY_TEXT_MAX + 1];

	(void)printf("{\n \"Version\": \"2012-10-17\",\n \"Statement\": [\n");
	for (size_t i = 0; i < f->count; i++) {
		const char *region = f->items[i].region, *partition = strncmp(region, "cn-", 3) == 0 ? "aws-cn" : strncmp(region, "us-gov-", 7) == 0 ? "aws-us-gov" : "aws";

		bucket_of(f->items[i].text, bucket, prefix);
		print_s3_objects(f, &f->items[i]);
		(void)printf("   \"Resource\": [\"arn:%s:s3:::%s/%s*\"]\n  },\n", partition, bucket, prefix);
		(void)printf("  {\n   \"Effect\": \"Allow\",\n   \"Action\": [\"s3:ListBucket\"],\n   \"Resource\": [\"arn:%s:s3:::%s\"]", partition, bucket);
		if (prefix[0])
			(void)printf(",\n   \"Condition\": {\"StringLike\": {\"s3:prefix\": \"%s*\"}}", prefix);
		if (f->who == POLICY_ALL)
			(void)printf("\n  },\n  {\n   \"Effect\": \"Allow\",\n   \"Action\": [\"s3:ListBucketMultipartUploads\"],\n   \"Resource\": [\"arn:%s:s3:::%s\"]", partition, bucket);
		(void)printf("\n  }%s\n", i + 1 < f->count ? "," : "");
	}
	(void)printf(" ]\n}\n");
}

/* ACCOUNT and jurisdiction out of https://ACCOUNT[.JURISDICTION].r2.cloudflarestorage.com; else words that somebody must replace. */
static void account_of(const char *endpoint, char account[static POLICY_TEXT_MAX], const char **ret_jurisdiction)
{
	const char *host = strncmp(endpoint, "https://", 8) == 0 ? endpoint + 8 : "", *rest = host + strcspn(host, ".");

	*ret_jurisdiction = strncmp(rest, ".eu.", 4) == 0 ? "eu" : strncmp(rest, ".fedramp.", 9) == 0 ? "fedramp" : "default";
	(void)snprintf(account, POLICY_TEXT_MAX, "%.*s", (int)(rest - host), host);
	if (!strstr(rest, ".r2.cloudflarestorage.com"))
		(void)snprintf(account, POLICY_TEXT_MAX, "ACCOUNT");
}

/* Is an item before the i-th in the same bucket? A member of a JSON object must not stand there twice. */
static bool bucket_before(const struct policy_found *f, size_t i, const char *bucket)
{
	char other[POLICY_TEXT_MAX];

	for (size_t j = 0; j < i; j++)
		if (strcmp(part(f->items[j].text, 0, false, other), bucket) == 0 && strcmp(f->items[j].endpoint, f->items[i].endpoint) == 0)
			return true;
	return false;
}

/* The body of a request that makes the token; the group is "Workers R2 Storage Bucket Item Write", which Cloudflare names by this id. */
static void print_r2(const struct policy_found *f)
{
	char bucket[POLICY_TEXT_MAX], prefix[POLICY_TEXT_MAX + 1], account[POLICY_TEXT_MAX];
	const char *jurisdiction, *comma = "";

	(void)printf("{\n \"name\": \"coffer %s\",\n \"policies\": [\n  {\n   \"effect\": \"allow\",\n   \"permission_groups\": [{\"id\": \"2efd5506f9c8494dacb1fa10a3e7d5b6\"}],\n   \"resources\": {", f->tenant);
	for (size_t i = 0; i < f->count; i++) {
		bucket_of(f->items[i].text, bucket, prefix);
		account_of(f->items[i].endpoint, account, &jurisdiction);
		if (bucket_before(f, i, bucket))
			continue;
		(void)printf("%s\n    \"com.cloudflare.edge.r2.bucket.%s_%s_%s\": \"*\"", comma, account, jurisdiction, bucket);
		comma = ",";
	}
	(void)printf("\n   }\n  }\n ]\n}\n");
}

static void print_gcs(const struct policy_found *f)
{
	char bucket[POLICY_TEXT_MAX], prefix[POLICY_TEXT_MAX + 1];

	(void)printf("# As the buckets' owner; $HOST is a service account of tenant %s for this host, $PROJECT the buckets' project. The store's keys are then: gcloud storage hmac create \"$HOST\"\n",
		     f->tenant);
	print_gcp_role("\"$PROJECT\"", "cofferObjects", "coffer: objects of backups", "storage.objects.create,storage.objects.get,storage.objects.list,storage.objects.delete");
	print_gcp_role("\"$PROJECT\"", "cofferUploads", "coffer: unfinished uploads",
		       "storage.multipartUploads.create,storage.multipartUploads.list,storage.multipartUploads.abort");
	for (size_t i = 0; i < f->count; i++) {
		bucket_of(f->items[i].text, bucket, prefix);
		(void)printf("gcloud storage buckets add-iam-policy-binding gs://%s --member \"serviceAccount:$HOST\" --role \"projects/$PROJECT/roles/cofferUploads\" --condition None\n", bucket);
		(void)printf("gcloud storage buckets add-iam-policy-binding gs://%s --member \"serviceAccount:$HOST\" --role \"projects/$PROJECT/roles/cofferObjects\" \\\n", bucket);
		if (prefix[0])
			(void)printf("\t--condition-from-file=/dev/stdin <<'END'\n{\"title\": \"coffer\", \"expression\": \"resource.name.startsWith('projects/_/buckets/%s/objects/%s') || "
				     "api.getAttribute('storage.googleapis.com/objectListPrefix', '').startsWith('%s')\"}\nEND\n", bucket, prefix, prefix);
		else
			(void)printf("\t--condition None\n");
	}
}

const struct policy_kind *policy_kind(const char *name)
{
	static const struct policy_kind kinds[] = {
		{ "aws", "aws-kms://", false, aws_fits, print_aws },       { "gcp", "gcp-kms://", false, gcp_fits, print_gcp },
		{ "azure", "azure-kms://", false, azure_fits, print_azure }, { "vault", "hcvault://", false, vault_fits, print_vault },
		{ "s3", "s3://", true, store_fits, print_s3 },             { "r2", "s3://", true, store_fits, print_r2 },
		{ "gcs", "s3://", true, store_fits, print_gcs },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}
