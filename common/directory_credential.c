#include <time.h>

#include "common/crypt.h"
#include "common/directory_private.h"
#include "common/identity.h"
#include "common/saslprep.h"

#include "common/banned.h"

/* Passwords and app passwords. Hashing is slow, so it is done outside of the transaction, which then looks whether the account
 * is still the same. */

void credential_make_keys(struct directory_credential *c, struct sv password, const uint8_t *salt, uint32_t iterations)
{
	struct buf prepared;

	buf_init(&prepared, 8 * DIRECTORY_PASSWORD_MAX);
	/* RFC 5802 §2.2: what SASLprep refuses is used as it is, so that any octets make a password. */
	if (saslprep(password, &prepared))
		password = buf_sv(&prepared);
	for (size_t hash = 0; hash < DIRECTORY_HASHES; hash++) {
		struct directory_verifier *v = &c->verifiers[hash];
		struct scram_keys keys = crypt_scram_keys((enum crypt_hash)hash, password,
							  sv_from((const char *)salt, DIRECTORY_SALT_LEN), iterations);

		v->is_there = true;
		memcpy(v->stored, keys.stored, keys.len);
		memcpy(v->server, keys.server, keys.len);
		secret_wipe(&keys, sizeof(keys));
	}
	buf_wipe(&prepared);
}

struct fault password_check(struct sv password)
{
	if (!password.len)
		return fault(FAULT_INVALID, "an empty password is no password");
	if (password.len > DIRECTORY_PASSWORD_MAX)
		return fault_detail(FAULT_INVALID, "a password has at most %d octets", DIRECTORY_PASSWORD_MAX);
	return FAULT_OK;
}

struct fault iterations_check(uint32_t iterations)
{
	if (iterations < DIRECTORY_ITERATIONS_MIN || iterations > DIRECTORY_ITERATIONS_MAX)
		return fault_detail(FAULT_INVALID, "iterations are %d to %d", DIRECTORY_ITERATIONS_MIN,
				    DIRECTORY_ITERATIONS_MAX);
	return FAULT_OK;
}

struct credential_edit {
	struct name name;
	struct directory_credential credential;
	uint8_t salt[DIRECTORY_SALT_LEN];       /* what the keys were made with: must still be the account's */
	uint32_t iterations;
	bool may_set_iterations;
	uint64_t at_revision;                   /* the account must still be at; 0: at any */
};

static struct fault account_with_credentials(struct kv_txn *txn, const struct name *n, struct account_row *row,
					     struct directory_credential *all, size_t *count)
{
	struct fault f = account_find(txn, n, row);

	return f.kind ? f : credentials_read(txn, row->pub.id, all, count);
}

static bool has_app_password(const struct directory_credential *all, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].number && !all[i].is_certificate)
			return true;
	return false;
}

/* The salt and count that the keys have to be made with; hashing is done outside of the transaction. */
static struct fault prepare_credential(struct directory *dir, struct credential_edit *e, uint32_t wanted)
{
	struct directory_credential *all = credentials_new();
	struct kv_txn *txn = NULL;
	struct account_row row;
	size_t count = 0;
	struct fault f = kv_read_begin(dir->env, &txn);

	if (!f.kind) {
		f = account_with_credentials(txn, &e->name, &row, all, &count);
		kv_read_end(&txn);
	}
	if (!f.kind) {
		memcpy(e->salt, row.salt, sizeof(e->salt));
		e->may_set_iterations = e->credential.number == 0 && !has_app_password(all, count) && wanted;
		e->iterations = e->may_set_iterations ? wanted : row.iterations;
	}
	credentials_free(&all);
	return f;
}

struct fault label_check(struct sv label, char out[DIRECTORY_LABEL_MAX + 1])
{
	if (label.len && sv_is_utf8(label) && copy_text(out, DIRECTORY_LABEL_MAX + 1, label))
		return FAULT_OK;
	return fault_detail(FAULT_INVALID, "a label is 1 to %d octets of text", DIRECTORY_LABEL_MAX);
}

struct fault credential_insert(struct kv_txn *txn, struct account_row *row, struct directory_credential *c)
{
	struct directory_credential *all = credentials_new();
	size_t count = 0;
	struct fault f = credentials_read(txn, row->pub.id, all, &count);
	size_t others = count - (count && all[0].number == 0);

	if (!f.kind && others >= DIRECTORY_CREDENTIALS_MAX - 1)
		f = fault_detail(FAULT_LIMIT, "the account has %zu app passwords and certificates already", others);
	for (size_t i = 0; i < count && !f.kind; i++)
		if (strcmp(all[i].label, c->label) == 0)
			f = fault_detail(FAULT_EXISTS, "there is a credential called %s already", c->label);
	credentials_free(&all);
	if (f.kind)
		return f;
	c->number = row->next_number++;
	f = account_write(txn, row);
	return f.kind ? f : credential_write(txn, row->pub.id, c);
}

/* The account, when its salt and count are those that the keys were made with. */
static struct fault find_unchanged(struct kv_txn *txn, const struct credential_edit *e, struct account_row *row)
{
	struct directory_credential *all = credentials_new();
	size_t count = 0;
	struct fault f = account_with_credentials(txn, &e->name, row, all, &count);

	if (!f.kind && (memcmp(row->salt, e->salt, sizeof(row->salt)) != 0 ||
			(e->may_set_iterations ? has_app_password(all, count) : row->iterations != e->iterations) ||
			(e->at_revision && row->pub.revision != e->at_revision)))
		f = fault_detail(FAULT_BUSY, "the account %s was changed meanwhile", row->pub.address);
	credentials_free(&all);
	return f;
}

static struct fault set_password(struct kv_txn *txn, void *arg)
{
	const struct credential_edit *e = arg;
	struct account_row row;
	struct fault f = find_unchanged(txn, e, &row);

	if (f.kind)
		return f;
	row.hash[0] = '\0';             /* a password of our own takes its place */
	row.iterations = e->iterations;
	f = account_write(txn, &row);
	return f.kind ? f : credential_write(txn, row.pub.id, &e->credential);
}

struct fault directory_password_set(struct directory *dir, struct sv address, struct sv password, uint32_t iterations)
{
	struct credential_edit e = { .credential = { .label = CREDENTIAL_MAIN_LABEL, .scope = SCOPE_ALL, .created_s = (int64_t)time(NULL) } };
	struct fault f = name_seen(dir, address, &e.name);

	if (!f.kind)
		f = password_check(password);
	if (!f.kind)
		f = iterations_check(iterations);
	if (!f.kind)
		f = prepare_credential(dir, &e, iterations);
	if (!f.kind) {
		credential_make_keys(&e.credential, password, e.salt, e.iterations);
		f = kv_update(dir->env, set_password, &e);
	}
	secret_wipe(&e, sizeof(e));
	return f;
}

struct fault directory_password_upgrade(struct directory *dir, const struct directory_login *login, struct sv password)
{
	struct credential_edit e = {
		.credential = { .label = CREDENTIAL_MAIN_LABEL, .scope = SCOPE_ALL, .created_s = (int64_t)time(NULL) },
		.iterations = login->iterations,
		.at_revision = login->account.revision,
	};
	struct fault f = name_from_text(sv_z(login->account.address), &e.name);

	if (!f.kind)
		f = password_check(password);
	if (!f.kind) {
		memcpy(e.salt, login->salt, sizeof(e.salt));
		credential_make_keys(&e.credential, password, e.salt, e.iterations);
		f = kv_update(dir->env, set_password, &e);
	}
	secret_wipe(&e, sizeof(e));
	return f;
}

static struct fault complete_verifiers(struct kv_txn *txn, void *arg)
{
	const struct credential_edit *e = arg;
	struct account_row row;
	struct fault f = account_find(txn, &e->name, &row);

	if (!f.kind && row.pub.revision != e->at_revision)
		f = fault_detail(FAULT_BUSY, "the account %s was changed meanwhile", row.pub.address);
	if (!f.kind)
		f = account_write(txn, &row);
	return f.kind ? f : credential_write(txn, row.pub.id, &e->credential);
}

struct fault directory_verifiers_complete(struct directory *dir, const struct directory_login *login, uint32_t number,
					  struct sv password)
{
	struct credential_edit e = { .at_revision = login->account.revision };
	struct fault f = name_from_text(sv_z(login->account.address), &e.name);
	size_t i = 0;

	while (i < login->count && login->credentials[i].number != number)
		i++;
	if (!f.kind && i == login->count)
		f = fault_detail(FAULT_NOT_FOUND, "%s has no credential %u", login->account.address, number);
	if (!f.kind) {
		e.credential = login->credentials[i];
		credential_make_keys(&e.credential, password, login->salt, login->iterations);
		f = kv_update(dir->env, complete_verifiers, &e);
	}
	secret_wipe(&e, sizeof(e));
	return f;
}

static struct fault add_credential(struct kv_txn *txn, void *arg)
{
	struct credential_edit *e = arg;
	struct account_row row;
	struct fault f = find_unchanged(txn, e, &row);

	return f.kind ? f : credential_insert(txn, &row, &e->credential);
}

struct fault directory_credential_add(struct directory *dir, struct sv address, struct sv label, unsigned scope,
				      struct sv password, uint32_t *number)
{
	const struct directory_bounds none = { .expires_s = 0 };

	return directory_credential_add_bounded(dir, address, label, scope, &none, password, number);
}

struct fault directory_credential_add_bounded(struct directory *dir, struct sv address, struct sv label, unsigned scope,
					      const struct directory_bounds *bounds, struct sv password, uint32_t *number)
{
	/* Not 0, which is the password's number; the real one is taken inside the transaction. */
	struct credential_edit e = { .credential = { .number = 1, .scope = scope & SCOPE_ALL, .created_s = (int64_t)time(NULL),
						     .bounds = *bounds } };
	struct fault f = name_seen(dir, address, &e.name);

	if (!f.kind)
		f = label_check(label, e.credential.label);
	if (!f.kind && !e.credential.scope)
		f = fault(FAULT_INVALID, "an app password without any protocol is of no use");
	if (!f.kind)
		f = password_check(password);
	if (!f.kind)
		f = prepare_credential(dir, &e, 0);
	if (!f.kind) {
		credential_make_keys(&e.credential, password, e.salt, e.iterations);
		f = kv_update(dir->env, add_credential, &e);
	}
	if (!f.kind && number)
		*number = e.credential.number;
	secret_wipe(&e, sizeof(e));
	return f;
}

static struct fault remove_credential(struct kv_txn *txn, void *arg)
{
	const struct credential_edit *e = arg;
	struct directory_credential was;
	struct account_row row;
	struct kv_key key;
	struct sv value;
	struct fault f = account_find(txn, &e->name, &row);

	if (f.kind)
		return f;
	credential_key(row.pub.id, e->credential.number, &key);
	f = kv_get(txn, DT_CREDENTIALS, kv_key_view(&key), &value);
	if (!f.kind)
		f = credential_decode(kv_key_view(&key), value, &was);
	if (!f.kind)
		f = certificate_forget(txn, row.pub.id, &was);
	if (!f.kind)
		f = kv_del(txn, DT_CREDENTIALS, kv_key_view(&key));
	if (f.kind == FAULT_NOT_FOUND)
		return fault_detail(FAULT_NOT_FOUND, "%s has no credential %u", row.pub.address, e->credential.number);
	return f.kind ? f : account_write(txn, &row);
}

struct fault directory_credential_remove(struct directory *dir, struct sv address, uint32_t number)
{
	struct credential_edit e = { .credential.number = number };
	struct fault f = name_seen(dir, address, &e.name);

	return f.kind ? f : kv_update(dir->env, remove_credential, &e);
}

