#include "webd/account_view.h"

#include <stdlib.h>

#include "common/auth.h"
#include "common/control.h"
#include "common/log.h"
#include "common/logins.h"
#include "webd/routes.h"

#include "common/banned.h"

#define TEXTS_MAX (128u << 10)
#define ASK_MS 10000

/* ---- what a login depends on ---- */

static void add_u64(struct crypt_digest *d, uint64_t n)
{
	crypt_digest_add(d, sv_from((const char *)&n, sizeof(n)));
}

/* account_mark - of all that makes a login to the page by the account's own password good. */
static void account_mark(const struct directory_login *l, uint8_t out[CRYPT_SHA256_LEN])
{
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t digest[CRYPT_HASH_MAX];

	crypt_digest_add(d, sv_from(l->account.id, sizeof(l->account.id)));
	add_u64(d, l->account.is_enabled);
	add_u64(d, l->account.use);
	add_u64(d, l->account.scope);
	add_u64(d, l->account.password_denied);
	crypt_digest_add(d, sv_z(l->hash));
	if (l->count && l->credentials[0].number == 0) {
		crypt_digest_add(d, sv_from((const char *)l->salt, sizeof(l->salt)));
		crypt_digest_add(d, sv_from((const char *)l->credentials[0].verifiers[CRYPT_SHA256].stored, CRYPT_SHA256_LEN));
	}
	crypt_digest_get(d, digest);
	crypt_digest_free(&d);
	memcpy(out, digest, CRYPT_SHA256_LEN);
}

struct fault account_mark_of(struct directory *directory, struct sv address, uint8_t out[CRYPT_SHA256_LEN])
{
	struct directory_login *l = xcalloc(1, sizeof(*l));
	struct fault f = directory_login(directory, address, l);

	if (!f.kind)
		account_mark(l, out);
	directory_login_done(l);
	free(l);
	return f;
}

/* ---- gathering ---- */

static bool add_device(void *arg, const struct logins_device *d)
{
	struct account_view *v = arg;
	size_t at = v->device_count;

	while (at && v->devices[at - 1].last_s < d->last_s)
		at--;
	if (at == VIEW_DEVICES_MAX)
		return true;
	if (v->device_count < VIEW_DEVICES_MAX)
		v->device_count++;
	memmove(&v->devices[at + 1], &v->devices[at], (v->device_count - at - 1) * sizeof(v->devices[0]));
	v->devices[at] = (struct view_device){
		.name = arena_copy(&v->arena, d->name),
		.credential = arena_copy(&v->arena, d->credential),
		.protocol = arena_copy(&v->arena, d->protocol),
		.address = arena_copy(&v->arena, d->address),
		.number = d->number,
		.last_s = d->last_s,
	};
	memcpy(v->devices[at].key, d->key, sizeof(v->devices[at].key));
	return true;
}

static struct sv take(struct account_view *v, const struct json *object, const char *name)
{
	struct sv text;

	return json_get_sv(object, name, &text) ? arena_copy(&v->arena, text) : SV_NONE;
}

static bool take_settings(void *arg, const struct json *line)
{
	struct account_view *v = arg;
	const struct json *vacation = json_get(line, "vacation");

	if (!json_get_u64(line, "bytes", &v->bytes) || !vacation)
		return true;
	v->has_settings = json_get_u64(line, "bytes_max", &v->bytes_max) && json_get_u64(line, "messages", &v->messages) &&
			  json_get_u64(line, "messages_max", &v->messages_max) &&
			  json_get_bool(line, "rules_are_edited", &v->rules_are_edited) && json_get_bool(vacation, "on", &v->vacation.is_on);
	v->vacation.message = take(v, vacation, "message");
	v->vacation.subject = take(v, vacation, "subject");
	v->vacation.from = take(v, vacation, "from");
	v->vacation.until = take(v, vacation, "until");
	return true;
}

static struct fault ask_settings(const struct route_context *ctx, struct account_view *v)
{
	struct json_out j;
	struct buf request;
	struct fault f;

	buf_init(&request, 4096);
	json_out_init(&j, &request);
	json_out_object(&j, NULL);
	json_out_z(&j, "verb", "account-settings");
	json_out_z(&j, "address", v->login.account.address);
	json_out_z(&j, "account", v->login.account.id);
	json_out_object_end(&j);
	f = control_ask(ctx->instance, "imapd", buf_sv(&request), take_settings, v, ASK_MS);
	buf_done(&request);
	return f;
}

struct account_view *account_view_new(const struct route_context *ctx, struct sv address)
{
	struct account_view *v = xcalloc(1, sizeof(*v));
	struct logins *logins = auth_logins(ctx->auth);
	struct fault f = directory_login(ctx->directory, address, &v->login);

	arena_init(&v->arena, TEXTS_MAX);
	if (f.kind) {
		log_error(ctx->log, "web.account", KV_FAULT("fault", f));
		account_view_free(&v);
		return NULL;
	}
	if (logins)
		f = logins_devices(logins, sv_z(v->login.account.id), add_device, v);
	if (f.kind)
		log_error(ctx->log, "web.devices", KV_FAULT("fault", f));
	f = ask_settings(ctx, v);
	if (f.kind)
		log_error(ctx->log, "web.settings", KV_FAULT("fault", f));
	return v;
}

void account_view_free(struct account_view **at)
{
	struct account_view *v = *at;

	*at = NULL;
	if (!v)
		return;
	directory_login_done(&v->login);
	arena_done(&v->arena);
	free(v);
}
