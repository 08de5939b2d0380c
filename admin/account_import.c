/* postroom account import: a passwd-file of Dovecot (also Apache's htpasswd, which has its first two fields). */
#include "admin/account_import.h"

#include "admin/bulk.h"
#include "admin/print.h"
#include "common/memory.h"

#include "common/banned.h"

/* "storage=1G" counts KiB when it has no unit, "bytes=" octets. */
static bool storage(struct sv text, const char *key, uint64_t unit, uint64_t *out)
{
	size_t at = sv_search(text, sv_z(key)), len = 0;
	uint64_t n;

	if (at == SIZE_MAX)
		return false;
	sv_skip(&text, at + strlen(key));
	while (len < text.len && text.p[len] >= '0' && text.p[len] <= '9')
		len++;
	if (!sv_to_u64(sv_sub(text, 0, len), &n))
		return false;
	switch (len < text.len ? ascii_lower(text.p[len]) : 0) {
	case 'b': unit = 1; break;
	case 'k': unit = 1 << 10; break;
	case 'm': unit = 1 << 20; break;
	case 'g': unit = 1 << 30; break;
	case 't': unit = (uint64_t)1 << 40; break;
	}
	return !__builtin_mul_overflow(n, unit, out);
}

/* The rule for the whole account: "...quota_rule=*:storage=1G:messages=1000". */
static void read_quota(struct sv extra, struct directory_account *account)
{
	size_t at = sv_search(extra, SV("quota_rule=*:"));

	if (at == SIZE_MAX)
		return;
	sv_skip(&extra, at);
	extra = sv_sub(extra, 0, sv_find(extra, ' '));
	if (!storage(extra, ":storage=", 1 << 10, &account->quota_bytes))
		(void)storage(extra, ":bytes=", 1, &account->quota_bytes);
	(void)storage(extra, ":messages=", 1, &account->quota_messages);
}

static struct fault look(struct bulk *b, struct sv address, struct sv secret)
{
	struct directory_account there;
	struct directory_domain domain;
	struct sv password;
	struct fault f = directory_account_get(b->dir, address, &there);

	if (!f.kind)
		return fault(FAULT_EXISTS, "there already");
	if (f.kind == FAULT_NOT_FOUND)
		f = directory_domain_get(b->dir, sv_sub(address, sv_rfind(address, '@') + 1, address.len), &domain);
	if (f.kind)
		return f;
	return !secret.len || passhash_clear(secret, &password) ? FAULT_OK : passhash_check(secret);
}

static struct fault add(struct bulk *b, struct sv address, struct sv secret, uint32_t iterations,
			struct directory_account *made)
{
	struct sv password;

	if (!secret.len)
		return directory_account_add(b->dir, address, NULL, iterations, made);
	if (passhash_clear(secret, &password))
		return directory_account_add(b->dir, address, &password, iterations, made);
	return directory_account_add_hashed(b->dir, address, secret, iterations, made);
}

static struct fault take(struct bulk *b, struct sv line)
{
	const uint32_t *iterations = b->arg;
	char address[DIRECTORY_ADDRESS_MAX + 1];
	struct directory_account made;
	struct sv name, secret, rest = line;

	if (!sv_split(&rest, ':', &name) || !sv_split(&rest, ':', &secret) || !name.len)
		return fault(FAULT_INVALID, "not of the form user:password:...");
	struct fault f = bulk_address(b, name, address);

	if (!f.kind)
		f = look(b, sv_z(address), secret);
	if (f.kind || b->is_dry)
		return f;
	f = add(b, sv_z(address), secret, *iterations, &made);
	if (f.kind)
		return f;
	uint64_t bytes = made.quota_bytes, messages = made.quota_messages;

	read_quota(rest, &made);
	return bytes == made.quota_bytes && messages == made.quota_messages ? FAULT_OK : directory_account_set(b->dir, &made);
}

int account_import(struct cli *cli, uint32_t iterations)
{
	return bulk_run(cli, false, take, &iterations);
}
