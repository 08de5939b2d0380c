#include "common/auth.h"

#include <pthread.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/auth_private.h"
#include "common/crypt.h"
#include "common/events.h"
#include "common/identity_private.h"
#include "common/instance.h"
#include "common/logins.h"
#include "common/scram.h"
#include "common/throttle.h"
#include "common/tls.h"
#include "common/transfer.h"

#include "common/banned.h"

#define SASL_NAME "postroom"

struct auth {
	struct directory *directory;
	struct verifier *verifier;
	struct throttle *throttle;
	struct logins *logins;          /* NULL: nobody is known, nothing is written down */
	/* Accounts with another server's hash have no verifier for SCRAM yet; a client that is offered it would fail with the
	 * right password. Looked at in every job that reads an account. */
	atomic_bool scram_is_off;
};

enum exchange { EX_NONE, EX_SASL, EX_LOGIN_USER, EX_LOGIN_PASSWORD, EX_SCRAM_FIRST, EX_SCRAM_FINAL, EX_SCRAM_DONE };

/* One row each. libsasl2 runs what begins with EX_SASL. LOGIN is ours, since libsasl2 dropped it after 2.1.28; SCRAM, since
 * its plugin knows one password per account (common/scram.h). */
static const struct mechanism {
	const char *name;
	enum exchange begin;
	bool sends_password, has_binding;
} mechanisms[] = {
	{ "PLAIN", EX_SASL, true, false },
	{ "LOGIN", EX_LOGIN_USER, true, false },
	{ "SCRAM-SHA-256", EX_SCRAM_FIRST, false, false },
	{ "SCRAM-SHA-256-PLUS", EX_SCRAM_FIRST, false, true },
};

/* What ties an exchange to its TLS connection. */
struct bindings {
	uint8_t exporter[32], end_point[64];
	size_t exporter_len, end_point_len;
};

struct auth_session {
	atomic_uint refs;
	struct auth *auth;
	enum auth_service service;
	struct netaddr address;
	struct log_ctx log;
	char tls[16];
	struct bindings bindings;
	bool may_send_password;
	uint32_t iterations;            /* of verifiers for unknown users */
	struct throttle_limits limits;
	char program[LOGINS_CLIENT_MAX + 1], client[4 * LOGINS_CLIENT_MAX + 1];
	/* A program that tries SCRAM first tries PLAIN next, with the same wrong password: one failure. */
	uint64_t scram_mark;
	char scram_user[DIRECTORY_ADDRESS_MAX + 1];

	/* The exchange under way. */
	enum exchange exchange;
	const struct mechanism *mechanism;
	struct scram *scram;
	sasl_conn_t *conn;
	sasl_callback_t callbacks[4];
	char user[DIRECTORY_ADDRESS_MAX + 1];   /* as it is counted and logged */
	struct verified verified;
	bool is_verified;               /* verified says who; its reason may still refuse */
	bool is_broken;                 /* the directory failed */
	struct throttle_who who;
	bool has_looked;                /* who and rule are set */
	enum throttle_rule rule;        /* by which it is throttled */
};

/* --- libsasl2, once per process ---------------------------------------------------------------------------- */

static pthread_mutex_t sasl_lock = PTHREAD_MUTEX_INITIALIZER;
static bool sasl_is_up;

static void *sasl_mutex_new(void)
{
	pthread_mutex_t *m = xmalloc(sizeof(*m));

	pthread_mutex_init(m, NULL);
	return m;
}

static int sasl_mutex_take(void *m)
{
	return pthread_mutex_lock(m) ? SASL_FAIL : SASL_OK;
}

static int sasl_mutex_give(void *m)
{
	return pthread_mutex_unlock(m) ? SASL_FAIL : SASL_OK;
}

static void sasl_mutex_drop(void *m)
{
	pthread_mutex_destroy(m);
	free(m);
}

static int on_option(void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
	static const struct { const char *name, *value; } options[] = {
		{ "mech_list", "PLAIN" },
		{ "auxprop_plugin", SASL_NAME },
		{ "pwcheck_method", "auxprop" },
	};

	(void)context;
	(void)plugin;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		if (strcmp(option, options[i].name) != 0)
			continue;
		*result = options[i].value;
		if (len)
			*len = (unsigned)strlen(options[i].value);
		return SASL_OK;
	}
	return SASL_FAIL;
}

/* Traces and passwords (levels 6 and 7) are never written; failed logins are events of our own. */
static int on_log(void *context, int level, const char *message)
{
	(void)context;
	if (level == SASL_LOG_ERR)
		log_warn(NULL, "auth.sasl", KV_Z("text", message));
	else if (level > SASL_LOG_ERR && level <= SASL_LOG_DEBUG)
		log_debug(NULL, "auth.sasl", KV_Z("text", message));
	return SASL_OK;
}

/* Load these plugins and no others: DIGEST-MD5's is attackable (CVE-2026-107161), and what is not there cannot be. */
static int on_verify_file(void *context, const char *file, sasl_verify_type_t type)
{
	struct sv name = sv_z(file);
	size_t slash = sv_rfind(name, '/');

	(void)context;
	if (type == SASL_VRFY_CONF)
		return SASL_OK;
	if (slash != SIZE_MAX)
		name = sv_sub(name, slash + 1, name.len);
	return type == SASL_VRFY_PLUGIN && sv_starts(name, SV("libplain.")) ? SASL_OK : SASL_CONTINUE;
}

/* Nothing of ours is a property: passwords are checked by on_check_password(). An unknown user is not told apart here. */
static int on_lookup(void *context, sasl_server_params_t *params, unsigned flags, const char *user, unsigned user_len)
{
	(void)context;
	(void)params;
	(void)flags;
	(void)user;
	(void)user_len;
	return SASL_OK;
}

static int init_lookup(const sasl_utils_t *utils, int version, int *our_version, sasl_auxprop_plug_t **plug,
		       const char *name)
{
	static char plugin_name[] = SASL_NAME;
	static sasl_auxprop_plug_t plugin = { .auxprop_lookup = on_lookup, .name = plugin_name };

	(void)utils;
	(void)name;
	if (version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*our_version = SASL_AUXPROP_PLUG_VERSION;
	*plug = &plugin;
	return SASL_OK;
}

#define AS_CALLBACK(f) ((int (*)(void))(void (*)(void))(f))

static bool has_mechanism(const char *name)
{
	const char **list = sasl_global_listmech();

	for (; list && *list; list++)
		if (strcmp(*list, name) == 0)
			return true;
	return false;
}

static struct fault bring_sasl_up(void)
{
	static const sasl_callback_t callbacks[] = {
		{ SASL_CB_GETOPT, AS_CALLBACK(on_option), NULL },
		{ SASL_CB_LOG, AS_CALLBACK(on_log), NULL },
		{ SASL_CB_VERIFYFILE, AS_CALLBACK(on_verify_file), NULL },
		{ SASL_CB_LIST_END, NULL, NULL },
	};

	static char nowhere[] = "/nonexistent/postroom";        /* no file of the system configures us */

	if (sasl_is_up)
		return FAULT_OK;
	sasl_set_mutex(sasl_mutex_new, sasl_mutex_take, sasl_mutex_give, sasl_mutex_drop);
	int rc = sasl_set_path(SASL_PATH_TYPE_CONFIG, nowhere);

	if (rc == SASL_OK)
		rc = sasl_server_init(callbacks, SASL_NAME);
	if (rc == SASL_OK)
		rc = sasl_auxprop_add_plugin(SASL_NAME, init_lookup);
	if (rc != SASL_OK)
		return fault_detail(FAULT_UNAVAILABLE, "libsasl2: %s", sasl_errstring(rc, NULL, NULL));
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (mechanisms[i].begin == EX_SASL && !has_mechanism(mechanisms[i].name))
			return fault_detail(FAULT_UNAVAILABLE,
					    "libsasl2 has no mechanism %s: install its plugins (Debian: libsasl2-modules)",
					    mechanisms[i].name);
	sasl_is_up = true;
	return FAULT_OK;
}

static void look_for_hashes(struct auth *auth)
{
	uint64_t count;

	if (!directory_hashed(auth->directory, &count).kind)
		atomic_store_explicit(&auth->scram_is_off, count > 0, memory_order_relaxed);
}

struct fault auth_open(struct directory *directory, struct auth **out)
{
	pthread_mutex_lock(&sasl_lock);
	struct fault f = bring_sasl_up();
	pthread_mutex_unlock(&sasl_lock);
	if (f.kind)
		return f;
	struct auth *auth = xcalloc(1, sizeof(*auth));

	auth->directory = directory;
	auth->verifier = verifier_new(directory);
	auth->throttle = throttle_new();
	look_for_hashes(auth);
	*out = auth;
	return FAULT_OK;
}

void auth_close(struct auth **auth)
{
	if (!*auth)
		return;
	verifier_free(&(*auth)->verifier);
	throttle_free(&(*auth)->throttle);
	logins_close(&(*auth)->logins);
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

void auth_start_logins(struct auth *auth, struct loop *loop, const struct conf_auth *conf,
		       void (*on_new)(void *arg, const struct logins_device *device), void *arg)
{
	if (auth->logins)
		logins_start(auth->logins, loop, conf->logins_keep_ms, conf->new_device_notice ? on_new : NULL, arg);
}

struct logins *auth_logins(struct auth *auth)
{
	return auth->logins;
}

void auth_name_key(struct directory *directory, struct sv user, uint8_t out[16])
{
	char name[DIRECTORY_ADDRESS_MAX + 1];
	uint8_t mac[32];

	directory_login_canonical(directory, user, name);
	directory_keyed(directory, "login-name", sv_z(name), mac);
	memcpy(out, mac, 16);
}

/* --- what may be offered ----------------------------------------------------------------------------------- */

bool auth_may_send_password(const struct conf_auth *conf, const struct auth_peer *peer)
{
	return peer->tls.len || netaddr_in(&peer->address, &conf->plaintext_networks);
}

static void get_bindings(const struct tls_conn *conn, struct bindings *out)
{
	*out = (struct bindings){ .exporter_len = 0 };
	if (!conn)
		return;
	if (tls_binding_exporter(conn, out->exporter))
		out->exporter_len = sizeof(out->exporter);
	out->end_point_len = tls_binding_end_point(conn, out->end_point);
}

static bool is_offered(const struct auth *auth, const struct mechanism *m, bool may_send_password, const struct bindings *b)
{
	if (m->begin == EX_SCRAM_FIRST && atomic_load_explicit(&auth->scram_is_off, memory_order_relaxed))
		return false;
	return (may_send_password || !m->sends_password) && (!m->has_binding || b->exporter_len || b->end_point_len);
}

void auth_mechanisms(const struct auth *auth, const struct conf_auth *conf, const struct auth_peer *peer, struct buf *out)
{
	bool may_send = auth_may_send_password(conf, peer), is_first = true;
	struct bindings bindings;

	get_bindings(peer->conn, &bindings);
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++) {
		if (!is_offered(auth, &mechanisms[i], may_send, &bindings))
			continue;
		if (!is_first)
			buf_append_c(out, ' ');
		buf_append(out, sv_z(mechanisms[i].name));
		is_first = false;
	}
}

static const struct mechanism *find_mechanism(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(mechanisms); i++)
		if (sv_eq_nocase(name, sv_z(mechanisms[i].name)))
			return &mechanisms[i];
	return NULL;
}

bool auth_reason_is_wrong(enum auth_reason reason)
{
	return reason == AUTH_BAD_CREDENTIALS || reason == AUTH_THROTTLED;
}

const char *auth_reason_name(enum auth_reason reason)
{
	switch (reason) {
	case AUTH_REASON_NONE:          return "none";
	case AUTH_BAD_CREDENTIALS:      return "bad-credentials";
	case AUTH_TEMPORARY:            return "temporary";
	case AUTH_DISABLED:             return "disabled";
	case AUTH_NOT_HERE:             return "not-here";
	case AUTH_UNKNOWN_MECHANISM:    return "unknown-mechanism";
	case AUTH_MALFORMED:            return "malformed";
	case AUTH_PLAINTEXT_REFUSED:    return "plaintext-refused";
	case AUTH_CANCELLED:            return "cancelled";
	case AUTH_THROTTLED:            return "throttled";
	}
	BUG("reason %d", (int)reason);
}

/* --- sessions ---------------------------------------------------------------------------------------------- */

static const struct {
	const char *name;       /* as libsasl2 and the log call it */
	enum auth_scope scope;
} services[] = {
	[AUTH_IMAP] = { "imap", SCOPE_IMAP },
	[AUTH_POP3] = { "pop3", SCOPE_POP3 },
	[AUTH_SMTP] = { "smtp", SCOPE_SUBMISSION },
	[AUTH_MANAGESIEVE] = { "managesieve", SCOPE_MANAGESIEVE },
};

static uint64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
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
	get_bindings(peer->conn, &s->bindings);
	s->may_send_password = auth_may_send_password(conf, peer);
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

static void end_exchange(struct auth_session *s)
{
	if (s->conn)
		sasl_dispose(&s->conn);
	s->conn = NULL;
	scram_free(&s->scram);
	s->exchange = EX_NONE;
	s->mechanism = NULL;
	s->user[0] = '\0';
	s->is_verified = s->is_broken = s->has_looked = false;
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
	end_exchange(s);
	free(s);
}

void auth_result_done(struct auth_result *r)
{
	buf_wipe(&r->challenge);
	identity_unref(&r->identity);
	*r = (struct auth_result){ .outcome = AUTH_FAIL };
}

/* --- endings ----------------------------------------------------------------------------------------------- */

static void set_result(struct auth_result *out, enum auth_outcome outcome)
{
	*out = (struct auth_result){ .outcome = outcome };
	buf_init(&out->challenge, 2 * AUTH_INPUT_MAX);
}

static void ask(struct auth_result *out, struct sv challenge)
{
	set_result(out, AUTH_CONTINUE);
	if (!buf_append(&out->challenge, challenge))
		BUG("a challenge of %zu octets", challenge.len);
}

static const char *mechanism_name(const struct auth_session *s)
{
	return s->mechanism ? s->mechanism->name : "none";
}

/* look - may this name be tried from here? The same for a name that there is and one that there is not. */
static void look(struct auth_session *s, struct sv user)
{
	s->has_looked = true;
	s->who.address = s->address;
	auth_name_key(s->auth->directory, user, s->who.account);
	s->who.is_known = s->auth->logins && logins_is_known(s->auth->logins, s->who.account, &s->address);
	s->rule = throttle_look(s->auth->throttle, &s->who, &s->limits, throttle_now_ms());
}

/* note - write down how a login ended for an account that there is. */
static void note(struct auth_session *s, const char *result)
{
	bool is_ok = strcmp(result, "ok") == 0;
	const struct verified *v = &s->verified;

	if (!s->auth->logins || !(is_ok ? v->account : v->target)[0])
		return;
	logins_note(s->auth->logins, &(struct login){
		.account = sv_z(is_ok ? v->account : v->target),
		.name = is_ok ? s->who.account : NULL,
		.address = s->address,
		.sid = sv_z(s->log.sid),
		.protocol = sv_z(services[s->service].name),
		.mechanism = sv_z(mechanism_name(s)),
		.credential = sv_z(v->label),
		.tls = sv_z(s->tls),
		.program = sv_z(s->program),
		.client = sv_z(s->client),
		.result = sv_z(result),
		.number = v->credential,
		.is_from_known = s->who.is_known,
	});
}

/* wrong - count it; how long is the answer held back? */
static uint32_t wrong(struct auth_session *s)
{
	uint64_t mark = s->verified.mark;

	if (!s->has_looked)
		look(s, sv_z(s->user));
	if (s->mechanism && s->mechanism->begin == EX_SCRAM_FIRST) {
		crypt_random(&mark, sizeof(mark));      /* nobody can say which password it was */
		s->scram_mark = mark;
		memcpy(s->scram_user, s->user, sizeof(s->scram_user));
	} else if (s->scram_mark && strcmp(s->scram_user, s->user) == 0) {
		mark = s->scram_mark;
		s->scram_mark = 0;
	}
	return throttle_failure(s->auth->throttle, &s->who, mark, &s->limits, throttle_now_ms());
}

static void fail(struct auth_session *s, enum auth_reason reason, struct auth_result *out)
{
	set_result(out, AUTH_FAIL);
	out->reason = reason;
	if (reason == AUTH_BAD_CREDENTIALS)
		out->delay_ms = wrong(s);
	else if (reason == AUTH_THROTTLED)
		out->delay_ms = s->limits.first_ms ? (uint32_t)s->limits.most_ms : 0;
	if (reason == AUTH_THROTTLED)
		event_emit(&s->log, EVENT_LOGIN_THROTTLED, KV_Z("protocol", services[s->service].name), KV_Z("user", s->user),
			   KV_Z("reason", throttle_rule_name(s->rule)));
	else
		event_emit(&s->log, EVENT_LOGIN_FAILED, KV_Z("protocol", services[s->service].name), KV_Z("user", s->user),
			   KV_Z("mechanism", mechanism_name(s)), KV_Z("reason", auth_reason_name(reason)), KV_Z("tls", s->tls));
	if (reason == AUTH_BAD_CREDENTIALS || reason == AUTH_DISABLED || reason == AUTH_NOT_HERE)
		note(s, auth_reason_name(reason));
	end_exchange(s);
}

static void succeed(struct auth_session *s, struct auth_result *out)
{
	char peer[NETADDR_TEXT_MAX];

	set_result(out, AUTH_OK);
	out->identity = identity_new(&(struct identity_facts){
		.address = sv_z(s->verified.address),
		.account = sv_z(s->verified.account),
		.label = sv_z(s->verified.label),
		.mechanism = sv_z(mechanism_name(s)),
		.peer = netaddr_text(&s->address, peer),
		.tls = sv_z(s->tls),
		.scope = s->verified.scope,
		.credential = s->verified.credential,
	});
	event_emit(&s->log, EVENT_LOGIN_OK, KV_Z("protocol", services[s->service].name),
		   KV_Z("user", s->verified.address), KV_Z("mechanism", mechanism_name(s)),
		   KV_Z("credential", s->verified.label), KV_Z("tls", s->tls));
	note(s, "ok");
	end_exchange(s);
}

/* Who it is was proven; may they, here and now? */
static void decide(struct auth_session *s)
{
	/* While a name or an address is blocked, only an app password counts, which cannot be guessed; a right password of the
	 * account's own gets the same answer as a wrong one. */
	if (s->rule && s->verified.reason != AUTH_TEMPORARY && !(s->verified.account[0] && s->verified.credential))
		s->verified.reason = AUTH_THROTTLED;
	if (s->verified.reason == AUTH_REASON_NONE && !(s->verified.scope & services[s->service].scope))
		s->verified.reason = AUTH_NOT_HERE;
	if (s->verified.reason == AUTH_TEMPORARY)
		s->is_broken = true;
	s->is_verified = true;
}

static void check_password(struct auth_session *s, struct sv user, struct sv password)
{
	look(s, user);
	if (s->rule && !verifier_looks_random(password))
		s->verified = (struct verified){ .reason = AUTH_THROTTLED };
	else
		verifier_check(s->auth->verifier, user, password, s->iterations, now_ms(), &s->verified);
	look_for_hashes(s->auth);
	decide(s);
}

/* --- libsasl2's questions about one connection -------------------------------------------------------------- */

static int on_canon_user(sasl_conn_t *conn, void *context, const char *in, unsigned in_len, unsigned flags,
			 const char *realm, char *out, unsigned out_max, unsigned *out_len)
{
	struct auth_session *s = context;
	char name[DIRECTORY_ADDRESS_MAX + 1];

	(void)conn;
	(void)realm;
	if (in_len > DIRECTORY_ADDRESS_MAX)
		return SASL_BADPROT;
	directory_login_canonical(s->auth->directory, sv_from(in, in_len), name);
	size_t len = strlen(name);

	if (len > out_max)
		return SASL_BUFOVER;
	memcpy(out, name, len);
	*out_len = (unsigned)len;
	if (flags & SASL_CU_AUTHID)
		memcpy(s->user, name, sizeof(name));
	return SASL_OK;
}

static int on_check_password(sasl_conn_t *conn, void *context, const char *user, const char *password,
			     unsigned password_len, struct propctx *props)
{
	struct auth_session *s = context;

	(void)conn;
	(void)props;
	check_password(s, sv_z(user), sv_from(password, password_len));
	return s->verified.reason == AUTH_REASON_NONE ? SASL_OK : SASL_BADAUTH;
}

/* Nobody acts for another. */
static int on_authorize(sasl_conn_t *conn, void *context, const char *as, unsigned as_len, const char *user,
			unsigned user_len, const char *realm, unsigned realm_len, struct propctx *props)
{
	(void)conn;
	(void)context;
	(void)realm;
	(void)realm_len;
	(void)props;
	return sv_eq(sv_from(as, as_len), sv_from(user, user_len)) ? SASL_OK : SASL_NOAUTHZ;
}

static bool begin_sasl(struct auth_session *s)
{
	const sasl_security_properties_t properties = {
		.max_ssf = 0,           /* no security layers: that is what TLS is for */
		.security_flags = SASL_SEC_NOANONYMOUS | (s->may_send_password ? 0 : SASL_SEC_NOPLAINTEXT),
	};
	const sasl_ssf_t tls_strength = 256;
	unsigned i = 0;

	s->callbacks[i++] = (sasl_callback_t){ SASL_CB_CANON_USER, AS_CALLBACK(on_canon_user), s };
	s->callbacks[i++] = (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS, AS_CALLBACK(on_check_password), s };
	s->callbacks[i++] = (sasl_callback_t){ SASL_CB_PROXY_POLICY, AS_CALLBACK(on_authorize), s };
	s->callbacks[i] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	/* None of the three protocols carries data beside success, so no SASL_SUCCESS_DATA. */
	int rc = sasl_server_new(services[s->service].name, "localhost", NULL, NULL, NULL, s->callbacks, 0, &s->conn);

	if (rc == SASL_OK)
		rc = sasl_setprop(s->conn, SASL_SEC_PROPS, &properties);
	if (rc == SASL_OK && s->tls[0])
		rc = sasl_setprop(s->conn, SASL_SSF_EXTERNAL, &tls_strength);
	if (rc != SASL_OK)
		log_error(&s->log, "auth.sasl.failed", KV_Z("text", sasl_errstring(rc, NULL, NULL)));
	return rc == SASL_OK;
}

/* Whatever libsasl2 calls it: what is not plainly a broken message is a wrong login, and looks like one. */
static enum auth_reason reason_for(const struct auth_session *s, int rc)
{
	if (s->is_broken)
		return AUTH_TEMPORARY;
	if (s->is_verified && s->verified.reason != AUTH_REASON_NONE)
		return s->verified.reason;
	switch (rc) {
	case SASL_BADPROT:
	case SASL_BADPARAM:
		return AUTH_MALFORMED;
	case SASL_NOMECH:
		return AUTH_UNKNOWN_MECHANISM;
	case SASL_TOOWEAK:
	case SASL_ENCRYPT:
		return AUTH_PLAINTEXT_REFUSED;
	case SASL_NOMEM:
	case SASL_UNAVAIL:
		return AUTH_TEMPORARY;
	default:
		return AUTH_BAD_CREDENTIALS;
	}
}

static void after_sasl(struct auth_session *s, int rc, const char *text, unsigned len, struct auth_result *out)
{
	if (rc == SASL_CONTINUE)
		ask(out, sv_from(text, text ? len : 0));
	else if (rc == SASL_OK && s->is_verified && s->verified.reason == AUTH_REASON_NONE)
		succeed(s, out);
	else
		fail(s, reason_for(s, rc), out);
}

/* --- LOGIN (draft-murchison-sasl-login): no standard, and every Outlook speaks it ---------------------------- */

static void login_step(struct auth_session *s, struct sv response, struct auth_result *out)
{
	if (s->exchange == EX_LOGIN_USER) {
		if (response.len > DIRECTORY_ADDRESS_MAX) {
			fail(s, AUTH_MALFORMED, out);
			return;
		}
		directory_login_canonical(s->auth->directory, response, s->user);
		s->exchange = EX_LOGIN_PASSWORD;
		ask(out, SV("Password:"));
		return;
	}
	check_password(s, sv_z(s->user), response);
	if (s->verified.reason == AUTH_REASON_NONE)
		succeed(s, out);
	else
		fail(s, s->verified.reason, out);
}

/* --- SCRAM (RFC 5802, RFC 7677) ------------------------------------------------------------------------------- */

/* A fault of the exchange itself: a broken message, or a wrong login. */
static enum auth_reason scram_reason(struct fault f)
{
	return f.kind == FAULT_INVALID ? AUTH_MALFORMED : AUTH_BAD_CREDENTIALS;
}

/* Nobody acts for another, here either. */
static bool is_for_itself(struct auth_session *s, struct sv as)
{
	char name[DIRECTORY_ADDRESS_MAX + 1];

	if (!as.len)
		return true;
	directory_login_canonical(s->auth->directory, as, name);
	return strcmp(name, s->user) == 0;
}

static enum auth_reason scram_begin(struct auth_session *s, struct sv message, struct directory_login *l, struct buf *out)
{
	const struct scram_bindings bindings = {
		.exporter = sv_from((const char *)s->bindings.exporter, s->bindings.exporter_len),
		.end_point = sv_from((const char *)s->bindings.end_point, s->bindings.end_point_len),
	};
	struct buf user, as;
	bool is_real;

	buf_init(&user, DIRECTORY_ADDRESS_MAX);
	buf_init(&as, DIRECTORY_ADDRESS_MAX);
	s->scram = scram_new(s->mechanism->has_binding, &bindings);
	struct fault f = scram_first(s->scram, message, &user, &as);
	enum auth_reason reason = f.kind ? scram_reason(f) : AUTH_REASON_NONE;

	if (!reason) {
		directory_login_canonical(s->auth->directory, buf_sv(&user), s->user);
		if (!is_for_itself(s, buf_sv(&as)))
			reason = AUTH_BAD_CREDENTIALS;
		else if (verifier_login(s->auth->verifier, sv_z(s->user), s->iterations, l, &is_real).kind)
			reason = AUTH_TEMPORARY;
		else
			scram_challenge(s->scram, sv_from((const char *)l->salt, sizeof(l->salt)), l->iterations, out);
	}
	buf_done(&user);
	buf_done(&as);
	return reason;
}

/* The account is read anew: it may have been changed since the challenge. */
static enum auth_reason scram_end(struct auth_session *s, struct sv message, struct directory_login *l, struct buf *out)
{
	bool is_real = false;
	size_t found;

	look_for_hashes(s->auth);
	look(s, sv_z(s->user));
	if (verifier_login(s->auth->verifier, sv_z(s->user), s->iterations, l, &is_real).kind)
		return AUTH_TEMPORARY;
	if (is_real)
		memcpy(s->verified.target, l->account.id, sizeof(s->verified.target));
	struct fault f = scram_final(s->scram, message, l, &found, out);

	if (f.kind && scram_reason(f) == AUTH_MALFORMED)
		return AUTH_MALFORMED;
	s->verified.reason = AUTH_BAD_CREDENTIALS;
	if (!f.kind && is_real && found != SIZE_MAX)
		verifier_found(l, &l->credentials[found], &s->verified);
	decide(s);
	return s->verified.reason;
}

static void scram_step(struct auth_session *s, struct sv message, struct auth_result *out)
{
	struct directory_login *l;
	enum auth_reason reason;
	struct buf text;

	if (s->exchange == EX_SCRAM_DONE) {     /* the client has our proof, too, and says so by nothing */
		if (message.len)
			fail(s, AUTH_MALFORMED, out);
		else
			succeed(s, out);
		return;
	}
	l = xcalloc(1, sizeof(*l));
	buf_init(&text, AUTH_INPUT_MAX);
	if (s->exchange == EX_SCRAM_FIRST)
		reason = scram_begin(s, message, l, &text);
	else
		reason = scram_end(s, message, l, &text);
	if (reason) {
		fail(s, reason, out);
	} else {
		s->exchange = s->exchange == EX_SCRAM_FIRST ? EX_SCRAM_FINAL : EX_SCRAM_DONE;
		ask(out, buf_sv(&text));
	}
	buf_wipe(&text);
	directory_login_done(l);
	free(l);
}

/* --- the calls --------------------------------------------------------------------------------------------- */

void auth_start(struct auth_session *s, struct sv name, const struct sv *initial, struct auth_result *out)
{
	const char *text = NULL;
	unsigned len = 0;

	end_exchange(s);
	s->mechanism = find_mechanism(name);
	if (!s->mechanism) {
		fail(s, AUTH_UNKNOWN_MECHANISM, out);
		return;
	}
	if (!is_offered(s->auth, s->mechanism, s->may_send_password, &s->bindings)) {
		fail(s, s->mechanism->sends_password ? AUTH_PLAINTEXT_REFUSED : AUTH_UNKNOWN_MECHANISM, out);
		return;
	}
	if (initial && initial->len > AUTH_INPUT_MAX) {
		fail(s, AUTH_MALFORMED, out);
		return;
	}
	s->exchange = s->mechanism->begin;
	if (s->exchange == EX_LOGIN_USER) {
		if (initial && initial->len)
			login_step(s, *initial, out);
		else
			ask(out, SV("Username:"));
		return;
	}
	if (s->exchange == EX_SCRAM_FIRST) {
		if (initial)
			scram_step(s, *initial, out);
		else
			ask(out, SV_NONE);
		return;
	}
	if (!begin_sasl(s)) {
		fail(s, AUTH_TEMPORARY, out);
		return;
	}
	/* libsasl2 takes NULL for "none came", so an empty response needs an address. */
	const char *octets = !initial ? NULL : initial->len ? initial->p : "";
	int rc = sasl_server_start(s->conn, s->mechanism->name, octets, initial ? (unsigned)initial->len : 0, &text, &len);

	after_sasl(s, rc, text, len, out);
}

void auth_step(struct auth_session *s, struct sv response, struct auth_result *out)
{
	const char *text = NULL;
	unsigned len = 0;

	if (s->exchange == EX_NONE || response.len > AUTH_INPUT_MAX) {
		fail(s, AUTH_MALFORMED, out);
		return;
	}
	if (s->scram || s->exchange == EX_SCRAM_FIRST) {
		scram_step(s, response, out);
		return;
	}
	if (s->exchange != EX_SASL) {
		login_step(s, response, out);
		return;
	}
	int rc = sasl_server_step(s->conn, response.len ? response.p : "", (unsigned)response.len, &text, &len);

	after_sasl(s, rc, text, len, out);
}

void auth_login(struct auth_session *s, struct sv user, struct sv password, struct auth_result *out)
{
	static const struct mechanism clear = { "CLEAR", EX_NONE, true, false };

	end_exchange(s);
	s->mechanism = &clear;
	if (!s->may_send_password) {
		fail(s, AUTH_PLAINTEXT_REFUSED, out);
		return;
	}
	directory_login_canonical(s->auth->directory, user, s->user);
	check_password(s, user.len > DIRECTORY_ADDRESS_MAX ? user : sv_z(s->user), password);
	if (s->verified.reason == AUTH_REASON_NONE)
		succeed(s, out);
	else
		fail(s, s->verified.reason, out);
}

void auth_cancel(struct auth_session *s)
{
	end_exchange(s);
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
