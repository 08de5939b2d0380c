#include "common/auth.h"

#include <stdlib.h>

#include "common/auth_private.h"
#include "common/elsewhere.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/tls.h"
#include "common/transfer.h"

#include "common/banned.h"

#define LOOK_MS 1000                    /* until a worker where nobody logs in offers something else */

struct fault auth_open(struct directory *directory, struct auth **out)
{
	struct fault f = sasl_open();

	if (f.kind)
		return f;
	struct auth *auth = xcalloc(1, sizeof(*auth));

	auth->directory = directory;
	auth->verifier = verifier_new(directory);
	auth->throttle = throttle_new();
	auth->offer = offer_new(directory);
	auth->again = again_new(directory);
	*out = auth;
	return FAULT_OK;
}

void auth_close(struct auth **auth)
{
	if (!*auth)
		return;
	verifier_free(&(*auth)->verifier);
	auth_tokens_free(&(*auth)->tokens);
	elsewhere_close(&(*auth)->elsewhere);
	throttle_free(&(*auth)->throttle);
	logins_close(&(*auth)->logins);
	offer_free(&(*auth)->offer);
	again_free(&(*auth)->again);
	free(*auth);
	*auth = NULL;
}

struct fault auth_open_instance(const struct instance *instance, struct directory *directory, struct auth **out)
{
	char *path = instance_run_path(instance, "throttle", "");
	struct throttle *shared = NULL;
	struct buf logins;
	struct auth *auth = NULL;
	struct fault f = auth_open(directory, &auth);

	buf_init(&logins, 4096);
	if (!f.kind) {
		struct fault without = throttle_open(path, true, &shared);

		if (without.kind) {
			log_error(NULL, "auth.throttle.alone", KV_FAULT("fault", without));
		} else {
			throttle_free(&auth->throttle);
			auth->throttle = shared;
		}
		without = fault(FAULT_LIMIT, "the path is too long");
		if (buf_appendf(&logins, "%s/logins", instance_path(instance, INSTANCE_EVENTS)) && buf_z(&logins))
			without = logins_open(buf_z(&logins), true, &auth->logins);
		if (without.kind)
			log_error(NULL, "auth.logins.closed", KV_FAULT("fault", without));
		*out = auth;
	}
	buf_done(&logins);
	free(path);
	return f;
}

void auth_open_authorities(struct auth *auth, const struct instance *instance, const struct conf_auth *conf)
{
	auth_open_tokens(auth, instance, conf);
	auth->elsewhere = elsewhere_open(conf);
	verifier_use(auth->verifier, auth->elsewhere);
}

static bool look_is_due(void *arg)
{
	return offer_is_old(arg);
}

static void look(void *arg)
{
	offer_look(arg);
}

void auth_start_logins(struct auth *auth, struct loop *loop, const struct conf_auth *conf,
		       void (*on_new)(void *arg, const struct logins_device *device), void *arg)
{
	auth->look = (struct chore){ .run = look, .is_due = look_is_due, .arg = auth->offer, .every_ms = LOOK_MS };
	chore_start(&auth->look, loop, LOOK_MS);
	if (auth->logins)
		logins_start(auth->logins, loop, conf->logins_keep_ms, conf->new_device_notice ? on_new : NULL, arg);
}

struct logins *auth_logins(struct auth *auth)
{
	return auth->logins;
}

void auth_status(const struct auth *auth, struct json_out *j)
{
	json_out_u64(j, "logins", atomic_load_explicit(&auth->succeeded, memory_order_relaxed));
	json_out_u64(j, "login_failures", atomic_load_explicit(&auth->failed, memory_order_relaxed));
}

void auth_name_key(struct directory *directory, struct sv user, uint8_t out[16])
{
	char name[DIRECTORY_ADDRESS_MAX + 1];
	uint8_t mac[32];

	directory_login_canonical(directory, user, name);
	directory_keyed(directory, "login-name", sv_z(name), mac);
	memcpy(out, mac, 16);
}

/* --- sessions ---------------------------------------------------------------------------------------------- */

bool auth_may_send_password(const struct conf_auth *conf, const struct auth_peer *peer)
{
	return peer->tls.len || peer->may_send_password || netaddr_in(&peer->address, &conf->plaintext_networks);
}

void auth_link_of(const struct conf_auth *conf, const struct auth_peer *peer, struct auth_link *out)
{
	*out = (struct auth_link){ .has_tls = peer->tls.len, .may_send_secret = auth_may_send_password(conf, peer) };
	if (!peer->conn)
		return;
	out->has_binding = tls_has_binding(peer->conn);
	out->has_key = tls_peer_key(peer->conn, out->key);
}

static void bind_to(const struct tls_conn *conn, struct bindings *b)
{
	if (tls_binding_exporter(conn, b->exporter))
		b->exporter_len = sizeof(b->exporter);
	b->end_point_len = tls_binding_end_point(conn, b->end_point);
}

static const struct {
	const char *name;
	enum auth_scope scope;
} services[] = {
	[AUTH_IMAP] = { "imap", SCOPE_IMAP },
	[AUTH_POP3] = { "pop3", SCOPE_POP3 },
	[AUTH_SMTP] = { "smtp", SCOPE_SUBMISSION },
	[AUTH_MANAGESIEVE] = { "managesieve", SCOPE_MANAGESIEVE },
	[AUTH_WEB] = { "web", SCOPE_WEB },
};

const char *auth_service_name(enum auth_service service)
{
	return services[service].name;
}

unsigned auth_service_scope(enum auth_service service)
{
	return services[service].scope;
}

struct auth_session *auth_session_new(struct auth *auth, const struct conf_auth *conf, const struct auth_peer *peer)
{
	struct auth_session *s = xcalloc(1, sizeof(*s));
	struct sv tls = sv_sub(peer->tls, 0, sizeof(s->tls) - 1);

	atomic_init(&s->refs, 1);
	s->auth = auth;
	s->service = peer->service;
	s->address = peer->address;
	if (peer->log)
		s->log = *peer->log;
	if (tls.len)
		memcpy(s->tls, tls.p, tls.len);
	auth_link_of(conf, peer, &s->link);
	if (peer->conn)
		bind_to(peer->conn, &s->link.bindings);
	s->iterations = (uint32_t)conf->scram_iterations;
	s->limits = (struct throttle_limits){
		.per_minute = conf->failures_per_minute,
		.per_day = conf->failures_per_day,
		.per_account = conf->failures_per_account,
		.first_ms = conf->failure_delay_ms,
		.most_ms = conf->failure_delay_max_ms,
	};
	return s;
}

static void copy_cut(char *out, size_t size, struct sv text)
{
	text = sv_sub(text, 0, size - 1);
	if (text.len)
		memcpy(out, text.p, text.len);
	out[text.len] = '\0';
}

void auth_session_client(struct auth_session *s, struct sv program, struct sv client)
{
	copy_cut(s->program, sizeof(s->program), program);
	copy_cut(s->client, sizeof(s->client), client);
}

void auth_end_exchange(struct auth_session *s)
{
	if (s->state)
		s->mechanism->drop(s->state);
	s->state = NULL;
	s->mechanism = NULL;
	s->stage = 0;
	s->user[0] = '\0';
	s->is_verified = s->has_looked = s->is_foreign = false;
	s->rule = THROTTLE_NONE;
	secret_wipe(&s->verified, sizeof(s->verified));
}

struct auth_session *auth_session_ref(struct auth_session *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void auth_session_unref(struct auth_session **at)
{
	struct auth_session *s = *at;

	if (!s)
		return;
	*at = NULL;
	if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	auth_end_exchange(s);
	free(s);
}

/* --- the calls --------------------------------------------------------------------------------------------- */

void auth_start(struct auth_session *s, struct sv name, const struct sv *initial, struct auth_result *out)
{
	const struct mechanism *m = mechanism_find(name);

	auth_end_exchange(s);
	s->mechanism = m;
	/* What was offered may have become wrong: a proof that must fail is not asked for, nor counted as a wrong password. */
	if (m && m->flags & MECHANISM_PROVES)
		offer_look(s->auth->offer);
	if (!m)
		auth_fail(s, AUTH_UNKNOWN_MECHANISM, out);
	else if (!mechanism_is_offered(s->auth, &s->link, m))
		auth_fail(s, m->flags & MECHANISM_SENDS_SECRET && !s->link.has_tls ? AUTH_PLAINTEXT_REFUSED : AUTH_UNKNOWN_MECHANISM, out);
	else if (initial && initial->len > AUTH_INPUT_MAX)
		auth_fail(s, AUTH_MALFORMED, out);
	else
		m->start(s, initial, out);
}

void auth_step(struct auth_session *s, struct sv response, struct auth_result *out)
{
	if (!s->mechanism || response.len > AUTH_INPUT_MAX)
		auth_fail(s, AUTH_MALFORMED, out);
	else
		s->mechanism->step(s, response, out);
}

void auth_login(struct auth_session *s, struct sv user, struct sv password, struct auth_result *out)
{
	auth_end_exchange(s);
	s->mechanism = &mechanism_clear;
	if (!s->link.may_send_secret) {
		auth_fail(s, AUTH_PLAINTEXT_REFUSED, out);
		return;
	}
	directory_login_canonical(s->auth->directory, user, s->user);
	auth_check_password(s, user.len > DIRECTORY_ADDRESS_MAX ? user : sv_z(s->user), password);
	auth_end(s, out);
}

void auth_cancel(struct auth_session *s)
{
	auth_end_exchange(s);
}

enum auth_response auth_decode_response(struct sv line, bool is_initial, struct buf *out)
{
	if (!is_initial && sv_eq(line, SV("*")))
		return AUTH_RESPONSE_CANCEL;
	if (is_initial && sv_eq(line, SV("=")))
		return AUTH_RESPONSE_DATA;
	if (line.len > (AUTH_INPUT_MAX + 2) / 3 * 4 || !base64_decode(line, out))
		return AUTH_RESPONSE_BAD;
	return AUTH_RESPONSE_DATA;
}
