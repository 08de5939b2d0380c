#include "common/ldapauth.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <ldap.h>
#include <openldap.h>

#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define ADDRESSES_MAX 8
#define ANSWER_MAX (64u << 10)
#define PASSWORD_FILE_MAX 1024

/* The functions of libldap that we use. It brings another TLS library and Kerberos along, so it is loaded where it is needed. */
static struct {
	void *handle;
	__typeof__(ldap_init_fd) *init_fd;
	__typeof__(ldap_set_option) *set_option;
	__typeof__(ldap_get_option) *get_option;
	__typeof__(ldap_install_tls) *install_tls;
	__typeof__(ldap_start_tls_s) *start_tls_s;
	__typeof__(ldap_sasl_bind_s) *sasl_bind_s;
	__typeof__(ldap_search_ext_s) *search_ext_s;
	__typeof__(ldap_count_entries) *count_entries;
	__typeof__(ldap_first_entry) *first_entry;
	__typeof__(ldap_get_dn) *get_dn;
	__typeof__(ldap_memfree) *memfree;
	__typeof__(ldap_msgfree) *msgfree;
	__typeof__(ldap_unbind_ext_s) *unbind_ext_s;
	__typeof__(ldap_err2string) *err2string;
	__typeof__(ber_sockbuf_ctrl) *sockbuf_ctrl;     /* of liblber, which comes with it */
} lib;

struct ldapauth {
	struct ldapauth_place place;
	char *url, *dn, *base, *filter, *search_dn;
	struct buf search_password;
	uint32_t timeout_ms;
	struct sockaddr_storage addresses[ADDRESSES_MAX];
	socklen_t lengths[ADDRESSES_MAX];
	size_t address_count;           /* 0: it cannot be asked */
	struct elsewhere_pause pause;
};

/* ---- the library ---- */

static struct fault load_library(void)
{
	static const char *const names[] = { "libldap.so.2", "libldap-2.5.so.0", "libldap-2.4.so.2" };
	const struct {
		const char *name;
		void *at;
	} functions[] = {
		{ "ldap_init_fd", &lib.init_fd }, { "ldap_set_option", &lib.set_option }, { "ldap_get_option", &lib.get_option },
		{ "ldap_install_tls", &lib.install_tls }, { "ldap_start_tls_s", &lib.start_tls_s },
		{ "ldap_sasl_bind_s", &lib.sasl_bind_s }, { "ldap_search_ext_s", &lib.search_ext_s },
		{ "ldap_count_entries", &lib.count_entries }, { "ldap_first_entry", &lib.first_entry },
		{ "ldap_get_dn", &lib.get_dn }, { "ldap_memfree", &lib.memfree }, { "ldap_msgfree", &lib.msgfree },
		{ "ldap_unbind_ext_s", &lib.unbind_ext_s }, { "ldap_err2string", &lib.err2string },
		{ "ber_sockbuf_ctrl", &lib.sockbuf_ctrl },
	};

	for (size_t i = 0; !lib.handle && i < ARRAY_LEN(names); i++)
		lib.handle = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
	if (!lib.handle)
		return fault(FAULT_UNSUPPORTED, "libldap is not installed (Debian: libldap-2.5-0)");
	for (size_t i = 0; i < ARRAY_LEN(functions); i++) {
		void *p = dlsym(lib.handle, functions[i].name);

		if (!p)
			return fault_detail(FAULT_UNSUPPORTED, "libldap has no %s", functions[i].name);
		memcpy(functions[i].at, &p, sizeof(p)); /* POSIX: a function's address fits */
	}
	return FAULT_OK;
}

/* set_up_tls - for the whole process: the authorities are read now, since later no file outside the instance can be. */
static struct fault set_up_tls(const char *ca_file)
{
	int demand = LDAP_OPT_X_TLS_DEMAND, oldest = LDAP_OPT_X_TLS_PROTOCOL_TLS1_2, is_server = 0;
	const char *file = *ca_file ? ca_file : "/etc/ssl/certs/ca-certificates.crt";

	if (access(file, R_OK) != 0)
		return fault_errno("read", file);
	if (lib.set_option(NULL, LDAP_OPT_X_TLS_CACERTFILE, file) != LDAP_OPT_SUCCESS ||
	    lib.set_option(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) != LDAP_OPT_SUCCESS ||
	    lib.set_option(NULL, LDAP_OPT_X_TLS_PROTOCOL_MIN, &oldest) != LDAP_OPT_SUCCESS ||
	    lib.set_option(NULL, LDAP_OPT_X_TLS_NEWCTX, &is_server) != LDAP_OPT_SUCCESS)
		return fault_detail(FAULT_UNAVAILABLE, "libldap cannot set up TLS with %s", file);
	return FAULT_OK;
}

/* ---- opening ---- */

static void add_address(struct ldapauth *l, const void *address, size_t len)
{
	if (l->address_count == ADDRESSES_MAX || len > sizeof(l->addresses[0]))
		return;
	memcpy(&l->addresses[l->address_count], address, len);
	l->lengths[l->address_count++] = (socklen_t)len;
}

static struct fault find_addresses(struct ldapauth *l)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct sockaddr_un local = { .sun_family = AF_UNIX };
	struct addrinfo *found = NULL;
	char port[8];
	int e;

	if (l->place.scheme == LDAPAUTH_UNIX) {
		if (strlen(l->place.host) >= sizeof(local.sun_path))
			return fault(FAULT_INVALID, "ldap-url: the path is too long");
		memcpy(local.sun_path, l->place.host, strlen(l->place.host));
		add_address(l, &local, sizeof(local));
		return FAULT_OK;
	}
	snprintf(port, sizeof(port), "%u", l->place.port);
	e = getaddrinfo(l->place.host, port, &hints, &found);
	if (e)
		return fault_detail(FAULT_UNAVAILABLE, "%s: %s", l->place.host, gai_strerror(e));
	for (const struct addrinfo *a = found; a; a = a->ai_next)
		add_address(l, a->ai_addr, a->ai_addrlen);
	freeaddrinfo(found);
	return FAULT_OK;
}

static struct fault read_password(struct ldapauth *l, const char *file)
{
	struct fault f = FAULT_OK;

	if (!l->search_dn[0])
		return FAULT_OK;
	f = textfile_read(file, &l->search_password);
	while (l->search_password.len && memchr("\r\n", l->search_password.p[l->search_password.len - 1], 2))
		l->search_password.len--;
	return f.kind || l->search_password.len ? f : fault(FAULT_INVALID, "ldap-search-password is an empty file");
}

struct ldapauth *ldapauth_open(const struct conf_auth *conf)
{
	struct ldapauth *l = xcalloc(1, sizeof(*l));
	struct fault f;

	l->url = xstrdup(conf->ldap_url);
	l->dn = xstrdup(conf->ldap_dn);
	l->base = xstrdup(conf->ldap_base);
	l->filter = xstrdup(conf->ldap_filter);
	l->search_dn = xstrdup(conf->ldap_search_dn);
	l->timeout_ms = (uint32_t)conf->ldap_timeout_ms;
	buf_init(&l->search_password, PASSWORD_FILE_MAX);
	/* Neither files nor the environment configure us. */
	setenv("LDAPNOINIT", "1", 1);
	f = ldapauth_parse(sv_z(l->url), &l->place) ? load_library() : fault(FAULT_INVALID, "ldap-url: no such URL");
	if (!f.kind && l->place.scheme != LDAPAUTH_UNIX)
		f = set_up_tls(conf->ldap_ca_file);
	if (!f.kind)
		f = read_password(l, conf->ldap_search_password);
	if (!f.kind)
		f = find_addresses(l);
	if (f.kind)
		log_error(NULL, "auth.ldap.closed", KV_Z("url", l->url), KV_FAULT("fault", f));
	return l;
}

void ldapauth_close(struct ldapauth **at)
{
	struct ldapauth *l = *at;

	if (!l)
		return;
	*at = NULL;
	buf_wipe(&l->search_password);
	free(l->url);
	free(l->dn);
	free(l->base);
	free(l->filter);
	free(l->search_dn);
	free(l);
}

/* ---- the time it may take ---- */

/* libldap's own limits hold for connecting and for answers, not for a TLS handshake. A thread of its own hangs up at the deadline, and
 * whatever libldap waits for ends. */
struct guard {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t done;
	bool is_done;
	int fd;
	struct timespec deadline;
};

static void *keep_time(void *arg)
{
	struct guard *g = arg;
	int e = 0;

	pthread_mutex_lock(&g->lock);
	while (!g->is_done && e != ETIMEDOUT)
		e = pthread_cond_timedwait(&g->done, &g->lock, &g->deadline);
	if (!g->is_done)
		shutdown(g->fd, SHUT_RDWR);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static bool guard_begin(struct guard *g, int fd, uint32_t time_ms)
{
	pthread_condattr_t clock;

	*g = (struct guard){ .fd = fd };
	clock_gettime(CLOCK_MONOTONIC, &g->deadline);
	g->deadline.tv_sec += time_ms / 1000;
	g->deadline.tv_nsec += (long)(time_ms % 1000) * 1000000;
	if (g->deadline.tv_nsec >= 1000000000) {
		g->deadline.tv_nsec -= 1000000000;
		g->deadline.tv_sec++;
	}
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_mutex_init(&g->lock, NULL);
	pthread_cond_init(&g->done, &clock);
	pthread_condattr_destroy(&clock);
	return pthread_create(&g->thread, NULL, keep_time, g) == 0;
}

/* guard_end - before the descriptor is closed. */
static void guard_end(struct guard *g)
{
	pthread_mutex_lock(&g->lock);
	g->is_done = true;
	pthread_cond_signal(&g->done);
	pthread_mutex_unlock(&g->lock);
	pthread_join(g->thread, NULL);
	pthread_cond_destroy(&g->done);
	pthread_mutex_destroy(&g->lock);
}

/* ---- asking ---- */

/* connect_one - within the time; a descriptor that blocks again, or -1. */
static int connect_one(const struct ldapauth *l, size_t i)
{
	int fd = socket(l->addresses[i].ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd wait = { .fd = fd, .events = POLLOUT };
	int error = 0, flags;
	socklen_t len = sizeof(error);

	if (fd < 0)
		return -1;
	if (connect(fd, (const struct sockaddr *)&l->addresses[i], l->lengths[i]) != 0) {
		error = errno;
		if (error == EINPROGRESS)
			error = poll(&wait, 1, (int)l->timeout_ms) == 1 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == 0
					? error : ETIMEDOUT;
	}
	flags = fcntl(fd, F_GETFL);
	if (error || flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) != 0) {
		close(fd);
		errno = error ? error : errno;
		return -1;
	}
	return fd;
}

static int set_up(LDAP *ld, uint32_t timeout_ms)
{
	const struct timeval patience = { .tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000 };
	ber_len_t longest = ANSWER_MAX;         /* a length that the peer states is a claim */
	Sockbuf *sockbuf = NULL;
	int version = LDAP_VERSION3;    /* for RESTART any address is "on"; LDAP_OPT_ON would be one of liblber's */

	if (lib.set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
	    lib.set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
	    lib.set_option(ld, LDAP_OPT_RESTART, &version) != LDAP_OPT_SUCCESS ||
	    lib.set_option(ld, LDAP_OPT_TIMEOUT, &patience) != LDAP_OPT_SUCCESS ||
	    lib.set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &patience) != LDAP_OPT_SUCCESS)
		return LDAP_LOCAL_ERROR;
	if (lib.get_option(ld, LDAP_OPT_SOCKBUF, &sockbuf) != LDAP_OPT_SUCCESS || !sockbuf ||
	    lib.sockbuf_ctrl(sockbuf, LBER_SB_OPT_SET_MAX_INCOMING, &longest) < 0)
		return LDAP_LOCAL_ERROR;
	return LDAP_SUCCESS;
}

/* say_why - libldap's own words, of which a code says little: why a certificate is not believed. */
static void say_why(const struct ldapauth *l, LDAP *ld, const char *step)
{
	char *text = NULL;

	if (lib.get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &text) == LDAP_OPT_SUCCESS && text)
		log_warn(NULL, "auth.ldap.trouble", KV_Z("url", l->url), KV_Z("step", step), KV_Z("text", text));
	if (text)
		lib.memfree(text);
}

/* open_session - over this connection. NULL: it is still the caller's. *what says at which step it failed. */
static LDAP *open_session(const struct ldapauth *l, int fd, int *rc, const char **what)
{
	LDAP *ld = NULL;

	*what = "session";
	*rc = lib.init_fd(fd, l->place.scheme == LDAPAUTH_UNIX ? 3 : 1, l->url, &ld);   /* LDAP_PROTO_IPC, LDAP_PROTO_TCP */
	if (*rc != LDAP_SUCCESS)
		return NULL;
	*rc = set_up(ld, l->timeout_ms);
	if (*rc == LDAP_SUCCESS && l->place.scheme != LDAPAUTH_UNIX) {
		*what = "tls";
		*rc = l->place.scheme == LDAPAUTH_LDAPS ? lib.install_tls(ld) : lib.start_tls_s(ld, NULL, NULL);
	}
	if (*rc != LDAP_SUCCESS)
		say_why(l, ld, *what);
	return ld;
}

static int bind_as(LDAP *ld, const char *dn, struct sv password)
{
	char *copy = sv_copy_z(password);
	struct berval secret = { .bv_val = copy, .bv_len = password.len };
	int rc = lib.sasl_bind_s(ld, dn, LDAP_SASL_SIMPLE, &secret, NULL, NULL, NULL);

	secret_wipe(copy, password.len);
	free(copy);
	return rc;
}

/* search - whose entry is it? LDAP_NO_SUCH_OBJECT: nobody's. */
static int search(const struct ldapauth *l, LDAP *ld, struct sv address, struct buf *dn)
{
	char none[] = LDAP_NO_ATTRS, *attributes[] = { none, NULL };
	struct timeval patience = { .tv_sec = l->timeout_ms / 1000, .tv_usec = l->timeout_ms % 1000 * 1000 };
	LDAPMessage *found = NULL;
	struct buf filter;
	int rc = LDAP_SUCCESS;

	buf_init(&filter, LDAPAUTH_TEXT_MAX);
	if (!ldapauth_expand(l->filter, address, &filter) || !buf_z(&filter))
		rc = LDAP_FILTER_ERROR;
	if (rc == LDAP_SUCCESS && l->search_dn[0])
		rc = bind_as(ld, l->search_dn, buf_sv(&l->search_password));
	if (rc == LDAP_INVALID_CREDENTIALS)
		rc = LDAP_INSUFFICIENT_ACCESS;  /* our own password is wrong, not the user's */
	if (rc == LDAP_SUCCESS)
		rc = lib.search_ext_s(ld, l->base, LDAP_SCOPE_SUBTREE, buf_z(&filter), attributes, 1, NULL, NULL, &patience, 2, &found);
	if (rc == LDAP_NO_SUCH_OBJECT)
		rc = LDAP_INSUFFICIENT_ACCESS;  /* the base: nothing about this user */
	if (rc == LDAP_SUCCESS) {
		int count = lib.count_entries(ld, found);
		char *text = count == 1 ? lib.get_dn(ld, lib.first_entry(ld, found)) : NULL;

		if (count == 0)
			rc = LDAP_NO_SUCH_OBJECT;
		else if (!text || !buf_append(dn, sv_z(text)) || !buf_z(dn))
			rc = LDAP_MORE_RESULTS_TO_RETURN;       /* two people: nobody can say which one is meant */
		if (text)
			lib.memfree(text);
	}
	if (found)
		lib.msgfree(found);
	buf_done(&filter);
	return rc;
}

/* What says something about the password, and is not about the directory. */
static enum elsewhere_answer answer_for(int rc)
{
	switch (rc) {
	case LDAP_SUCCESS:
		return ELSEWHERE_RIGHT;
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INAPPROPRIATE_AUTH:           /* the entry has no password */
	case LDAP_INVALID_DN_SYNTAX:            /* nobody can have this name */
		return ELSEWHERE_WRONG;
	default:
		return ELSEWHERE_UNKNOWN;
	}
}

/* is_away - is the directory gone, or too slow? What it says about one name, a locked account or a name that cannot be asked for, is
 * nobody else's matter: or whoever asks for such a name would keep everybody out. */
static bool is_away(int rc)
{
	switch (rc) {
	case LDAP_SERVER_DOWN:
	case LDAP_LOCAL_ERROR:
	case LDAP_DECODING_ERROR:
	case LDAP_TIMEOUT:
	case LDAP_CONNECT_ERROR:
	case LDAP_BUSY:
	case LDAP_UNAVAILABLE:
		return true;
	default:
		return false;
	}
}

/* ask_session - who it is, then whether it is the password. */
static int ask_session(const struct ldapauth *l, LDAP *ld, struct sv address, struct sv password, const char **what)
{
	int rc = LDAP_INVALID_DN_SYNTAX;
	struct buf dn;

	buf_init(&dn, LDAPAUTH_TEXT_MAX);
	*what = l->dn[0] ? "bind" : "search";
	if (!l->dn[0])
		rc = search(l, ld, address, &dn);
	else if (ldapauth_expand(l->dn, address, &dn) && buf_z(&dn))
		rc = LDAP_SUCCESS;
	if (rc == LDAP_SUCCESS) {
		*what = "bind";
		rc = bind_as(ld, buf_z(&dn), password);
	}
	buf_done(&dn);
	return rc;
}

static enum elsewhere_answer ask(struct ldapauth *l, struct sv address, struct sv password)
{
	const char *what = "connect";
	int rc = LDAP_SERVER_DOWN, fd = -1;
	struct guard guard;
	LDAP *ld = NULL;

	for (size_t i = 0; fd < 0 && i < l->address_count; i++)
		fd = connect_one(l, i);
	if (fd >= 0 && guard_begin(&guard, fd, 2 * l->timeout_ms)) {
		ld = open_session(l, fd, &rc, &what);
		if (ld && rc == LDAP_SUCCESS)
			rc = ask_session(l, ld, address, password, &what);
		guard_end(&guard);
	}
	enum elsewhere_answer answer = answer_for(rc);

	if (answer == ELSEWHERE_UNKNOWN) {
		log_warn(NULL, "auth.ldap.unknown", KV_Z("url", l->url), KV_Z("step", what), KV_Z("text", lib.err2string(rc)));
	}
	if (answer == ELSEWHERE_UNKNOWN && is_away(rc))
		elsewhere_pause_begin(&l->pause);
	else
		elsewhere_pause_end(&l->pause);
	if (ld)
		lib.unbind_ext_s(ld, NULL, NULL);       /* closes the descriptor, too */
	else if (fd >= 0)
		close(fd);
	return answer;
}

enum elsewhere_answer ldapauth_check(struct ldapauth *l, struct sv address, struct sv password)
{
	if (!password.len)
		return ELSEWHERE_WRONG;
	if (!l->address_count || elsewhere_is_paused(&l->pause, 3 * (uint64_t)l->timeout_ms))
		return ELSEWHERE_UNKNOWN;
	return ask(l, address, password);
}
