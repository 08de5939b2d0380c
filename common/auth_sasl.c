#include <pthread.h>
#include <sasl/sasl.h>
#include <sasl/saslplug.h>
#include <stdlib.h>

#include "common/auth_private.h"
#include "common/log.h"

#include "common/banned.h"

#define SASL_NAME "postroom"
#define OUR_MECHANISM "PLAIN"

/* --- once per process --------------------------------------------------------------------------------------- */

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
		{ "mech_list", OUR_MECHANISM },
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
	if (!has_mechanism(OUR_MECHANISM))
		return fault(FAULT_UNAVAILABLE,
			     "libsasl2 has no mechanism " OUR_MECHANISM ": install its plugins (Debian: libsasl2-modules)");
	sasl_is_up = true;
	return FAULT_OK;
}

struct fault sasl_open(void)
{
	pthread_mutex_lock(&sasl_lock);
	struct fault f = bring_sasl_up();
	pthread_mutex_unlock(&sasl_lock);
	return f;
}

/* --- its questions about one connection ---------------------------------------------------------------------- */

struct sasl_exchange {
	sasl_conn_t *conn;
	sasl_callback_t callbacks[4];
};

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
	auth_check_password(s, sv_z(user), sv_from(password, password_len));
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

static bool begin(struct auth_session *s, struct sasl_exchange *x)
{
	const sasl_security_properties_t properties = {
		.max_ssf = 0,           /* no security layers: that is what TLS is for */
		.security_flags = SASL_SEC_NOANONYMOUS | (s->link.may_send_secret ? 0 : SASL_SEC_NOPLAINTEXT),
	};
	const sasl_ssf_t tls_strength = 256;
	unsigned i = 0;

	x->callbacks[i++] = (sasl_callback_t){ SASL_CB_CANON_USER, AS_CALLBACK(on_canon_user), s };
	x->callbacks[i++] = (sasl_callback_t){ SASL_CB_SERVER_USERDB_CHECKPASS, AS_CALLBACK(on_check_password), s };
	x->callbacks[i++] = (sasl_callback_t){ SASL_CB_PROXY_POLICY, AS_CALLBACK(on_authorize), s };
	x->callbacks[i] = (sasl_callback_t){ SASL_CB_LIST_END, NULL, NULL };
	/* None of the three protocols carries data beside success, so no SASL_SUCCESS_DATA. */
	int rc = sasl_server_new(auth_service_name(s->service), "localhost", NULL, NULL, NULL, x->callbacks, 0, &x->conn);

	if (rc == SASL_OK)
		rc = sasl_setprop(x->conn, SASL_SEC_PROPS, &properties);
	if (rc == SASL_OK && s->tls[0])
		rc = sasl_setprop(x->conn, SASL_SSF_EXTERNAL, &tls_strength);
	if (rc != SASL_OK)
		log_error(&s->log, "auth.sasl.failed", KV_Z("text", sasl_errstring(rc, NULL, NULL)));
	return rc == SASL_OK;
}

/* Whatever libsasl2 calls it: what is not plainly a broken message is a wrong login, and looks like one. */
static enum auth_reason reason_for(const struct auth_session *s, int rc)
{
	if (s->is_verified && s->verified.reason != AUTH_REASON_NONE)
		return s->verified.reason;
	switch (rc) {
	case SASL_BADPROT:
	case SASL_BADPARAM:
		return AUTH_MALFORMED;
	case SASL_NOAUTHZ:
		return s->is_verified ? AUTH_FOREIGN : AUTH_BAD_CREDENTIALS;
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

static void after(struct auth_session *s, int rc, const char *text, unsigned len, struct auth_result *out)
{
	if (rc == SASL_CONTINUE)
		auth_ask(out, sv_from(text, text ? len : 0));
	else if (rc == SASL_OK && s->is_verified && s->verified.reason == AUTH_REASON_NONE)
		auth_succeed(s, out);
	else
		auth_fail(s, reason_for(s, rc), out);
}

void sasl_start(struct auth_session *s, const struct sv *initial, struct auth_result *out)
{
	struct sasl_exchange *x = xcalloc(1, sizeof(*x));
	const char *text = NULL;
	unsigned len = 0;

	s->state = x;
	if (!begin(s, x)) {
		auth_fail(s, AUTH_TEMPORARY, out);
		return;
	}
	/* libsasl2 takes NULL for "none came", so an empty response needs an address. */
	const char *octets = !initial ? NULL : initial->len ? initial->p : "";
	int rc = sasl_server_start(x->conn, s->mechanism->name, octets, initial ? (unsigned)initial->len : 0, &text, &len);

	after(s, rc, text, len, out);
}

void sasl_step(struct auth_session *s, struct sv response, struct auth_result *out)
{
	struct sasl_exchange *x = s->state;
	const char *text = NULL;
	unsigned len = 0;
	int rc = sasl_server_step(x->conn, response.len ? response.p : "", (unsigned)response.len, &text, &len);

	after(s, rc, text, len, out);
}

void sasl_drop(void *state)
{
	struct sasl_exchange *x = state;

	if (x->conn)
		sasl_dispose(&x->conn);
	free(x);
}
