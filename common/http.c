#include "common/http.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>

#include <curl/curl.h>
#include <uv.h>

#include "common/dns.h"
#include "common/loop.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define CA_MAX (8u << 20)
#define ADDRESSES_MAX 8
#define HOST_MAX 253
#define LIBRARY "libcurl.so.4"

/* The functions of libcurl that we use. */
static struct {
	void *handle;
	__typeof__(curl_global_init) *global_init;
	__typeof__(curl_version_info) *version_info;
	__typeof__(curl_easy_init) *easy_init;
	__typeof__(curl_easy_setopt) *easy_setopt;
	__typeof__(curl_easy_getinfo) *easy_getinfo;
	__typeof__(curl_easy_cleanup) *easy_cleanup;
	__typeof__(curl_easy_strerror) *easy_strerror;
	__typeof__(curl_multi_init) *multi_init;
	__typeof__(curl_multi_setopt) *multi_setopt;
	__typeof__(curl_multi_add_handle) *multi_add_handle;
	__typeof__(curl_multi_remove_handle) *multi_remove_handle;
	__typeof__(curl_multi_socket_action) *multi_socket_action;
	__typeof__(curl_multi_info_read) *multi_info_read;
	__typeof__(curl_multi_assign) *multi_assign;
	__typeof__(curl_multi_cleanup) *multi_cleanup;
	__typeof__(curl_slist_append) *slist_append;
	__typeof__(curl_slist_free_all) *slist_free_all;
} lib;

struct http {
	struct loop *loop;
	struct loop_member member;
	struct dns *dns;
	CURLM *multi;
	struct timer timer;
	struct buf authorities;
	char *agent;
	struct http_call *calls;
	bool allow_private;
};

struct http_call {
	struct http *http;
	struct http_call *next, **at;
	struct http_call **handle;
	http_fn *fn;
	void *arg;
	CURL *easy;
	struct curl_slist *resolve, *headers;
	struct dns_query *queries[2];
	unsigned waiting;               /* for answers of the DNS */
	bool is_unknown, is_denied;
	struct deferred soon;
	char *url;
	char host[HOST_MAX + 1];
	uint16_t port;
	char addresses[ADDRESSES_MAX][INET6_ADDRSTRLEN + 2];
	size_t address_count;
	struct buf request, body;
	char *type;                     /* of what is sent */
	struct buf fields;              /* lines behind it */
	uint32_t time_ms;
	struct fault fault;
	char detail[CURL_ERROR_SIZE];
	char location[1024], nonce[256];        /* header fields of the answer */
	size_t location_len, nonce_len;
	uint32_t retry_after_s;
};

/* What libuv holds on to until its close callback. */
struct socket_watch {
	uv_poll_t poll;
	struct http *http;
	curl_socket_t fd;
};

/* ---- the library ---- */

static bool load_function(const char *name, void *at)
{
	void *p = dlsym(lib.handle, name);

	memcpy(at, &p, sizeof(p));      /* POSIX: a function's address fits */
	return p != NULL;
}

static struct fault load_library(void)
{
	const struct {
		const char *name;
		void *at;
	} functions[] = {
		{ "curl_global_init", &lib.global_init }, { "curl_version_info", &lib.version_info },
		{ "curl_easy_init", &lib.easy_init }, { "curl_easy_setopt", &lib.easy_setopt },
		{ "curl_easy_getinfo", &lib.easy_getinfo }, { "curl_easy_cleanup", &lib.easy_cleanup },
		{ "curl_easy_strerror", &lib.easy_strerror }, { "curl_multi_init", &lib.multi_init },
		{ "curl_multi_setopt", &lib.multi_setopt }, { "curl_multi_add_handle", &lib.multi_add_handle },
		{ "curl_multi_remove_handle", &lib.multi_remove_handle },
		{ "curl_multi_socket_action", &lib.multi_socket_action },
		{ "curl_multi_info_read", &lib.multi_info_read }, { "curl_multi_assign", &lib.multi_assign },
		{ "curl_multi_cleanup", &lib.multi_cleanup }, { "curl_slist_append", &lib.slist_append },
		{ "curl_slist_free_all", &lib.slist_free_all },
	};

	if (lib.handle)
		return FAULT_OK;
	lib.handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	if (!lib.handle)
		return fault(FAULT_UNSUPPORTED, LIBRARY " is not installed");
	for (size_t i = 0; i < ARRAY_LEN(functions); i++)
		if (!load_function(functions[i].name, functions[i].at))
			return fault_detail(FAULT_UNSUPPORTED, LIBRARY " has no %s", functions[i].name);
	if (lib.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return fault(FAULT_INTERNAL, LIBRARY " does not start");
	return FAULT_OK;
}

/* ---- sockets and time, for libcurl ---- */

static void finish_calls(struct http *h);

static void free_watch(uv_handle_t *handle)
{
	free(CONTAINER_OF(handle, struct socket_watch, poll));
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct socket_watch *w = CONTAINER_OF(poll, struct socket_watch, poll);
	struct http *h = w->http;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0, running;

	flags |= events & UV_READABLE ? CURL_CSELECT_IN : 0;
	flags |= events & UV_WRITABLE ? CURL_CSELECT_OUT : 0;
	lib.multi_socket_action(h->multi, w->fd, flags, &running);
	finish_calls(h);
}

static void close_watch(struct socket_watch *w)
{
	uv_poll_stop(&w->poll);
	uv_close((uv_handle_t *)&w->poll, free_watch);
}

static int watch_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct http *h = arg;
	struct socket_watch *w = socket_arg;
	int events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		lib.multi_assign(h->multi, fd, NULL);
		if (w)
			close_watch(w);
		return 0;
	}
	if (!w) {
		w = xcalloc(1, sizeof(*w));
		w->http = h;
		w->fd = fd;
		if (uv_poll_init_socket(loop_uv(h->loop), &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		lib.multi_assign(h->multi, fd, w);
	}
	events |= what == CURL_POLL_IN || what == CURL_POLL_INOUT ? UV_READABLE : 0;
	events |= what == CURL_POLL_OUT || what == CURL_POLL_INOUT ? UV_WRITABLE : 0;
	return uv_poll_start(&w->poll, events, on_socket) ? -1 : 0;
}

static void on_timer(struct timer *t)
{
	struct http *h = CONTAINER_OF(t, struct http, timer);
	int running;

	lib.multi_socket_action(h->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	finish_calls(h);
}

static int set_timer(CURLM *multi, long ms, void *arg)
{
	struct http *h = arg;

	(void)multi;
	if (ms < 0)
		timer_stop(&h->timer);
	else
		timer_start_ms(&h->timer, ms ? (uint64_t)ms : 1);
	return 0;
}

/* ---- life ---- */

static void call_free(struct http_call *c)
{
	for (size_t i = 0; i < ARRAY_LEN(c->queries); i++)
		dns_forget(&c->queries[i]);
	deferred_cancel(&c->soon);
	if (c->easy) {
		lib.multi_remove_handle(c->http->multi, c->easy);
		lib.easy_cleanup(c->easy);
	}
	if (c->resolve)
		lib.slist_free_all(c->resolve);
	if (c->headers)
		lib.slist_free_all(c->headers);
	*c->at = c->next;
	if (c->next)
		c->next->at = c->at;
	if (c->handle)
		*c->handle = NULL;
	buf_done(&c->request);
	buf_done(&c->body);
	buf_done(&c->fields);
	free(c->type);
	free(c->url);
	free(c);
}

void http_forget(struct http_call **call)
{
	if (*call)
		call_free(*call);
}

static void close_http(struct loop_member *m)
{
	struct http *h = CONTAINER_OF(m, struct http, member);

	loop_leave(&h->member);
	for (struct http_call *c = h->calls, *next; c; c = next) {
		next = c->next;
		call_free(c);
	}
	timer_stop(&h->timer);
	if (h->multi)
		lib.multi_cleanup(h->multi);    /* closes its sockets by watch_socket() */
	h->multi = NULL;
}

void http_free(struct http **ph)
{
	struct http *h = *ph;

	*ph = NULL;
	if (!h)
		return;
	if (h->multi)
		close_http(&h->member);
	buf_done(&h->authorities);
	free(h->agent);
	free(h);
}

struct fault http_new(struct loop *loop, struct dns *dns, const struct http_settings *settings, struct http **out)
{
	struct fault f = load_library();
	const char *authorities = settings->ca_file;
	struct http *h;

	if (f.kind)
		return f;
	h = xcalloc(1, sizeof(*h));
	*h = (struct http){ .loop = loop, .dns = dns, .allow_private = settings->allow_private,
			    .agent = xstrdup(settings->agent) };
	buf_init(&h->authorities, CA_MAX);
	timer_init(&h->timer, loop, on_timer);
	if (!authorities)
		authorities = lib.version_info(CURLVERSION_NOW)->cainfo;
	f = authorities ? textfile_read(authorities, &h->authorities)
			: fault(FAULT_NOT_FOUND, "this system has no file of certificate authorities");
	if (f.kind) {
		http_free(&h);
		return f;
	}
	h->multi = lib.multi_init();
	if (!h->multi)
		BUG("libcurl: no multi handle");
	lib.multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, watch_socket);
	lib.multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
	lib.multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	lib.multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
	h->member.close = close_http;
	loop_join(loop, &h->member);
	*out = h;
	return FAULT_OK;
}

/* ---- the end of a call ---- */

static void tell(struct http_call *c)
{
	struct http_response r = { .fault = c->fault, .body = buf_sv(&c->body) };
	char *type = NULL;
	long status = 0;

	if (c->easy && !c->fault.kind) {
		lib.easy_getinfo(c->easy, CURLINFO_RESPONSE_CODE, &status);
		lib.easy_getinfo(c->easy, CURLINFO_CONTENT_TYPE, &type);
		r.status = status > 0 ? (uint32_t)status : 0;
		r.type = sv_z(type);
		r.location = sv_from(c->location, c->location_len);
		r.nonce = sv_from(c->nonce, c->nonce_len);
		r.retry_after_s = c->retry_after_s;
	}
	if (c->handle)
		*c->handle = NULL;
	c->handle = NULL;
	c->fn(c->arg, &r);
	call_free(c);
}

static void on_soon(struct deferred *d)
{
	tell(CONTAINER_OF(d, struct http_call, soon));
}

static void fail(struct http_call *c, enum fault_kind kind, const char *detail)
{
	snprintf(c->detail, sizeof(c->detail), "%s", detail);
	c->fault = fault(kind, c->detail);
	deferred_call(&c->soon);
}

/* finish_calls - what libcurl is done with. They are told in the next turn: libcurl must not be called from inside. */
static void finish_calls(struct http *h)
{
	CURLMsg *m;
	int left;

	while ((m = lib.multi_info_read(h->multi, &left))) {
		for (struct http_call *c = h->calls; c; c = c->next) {
			if (c->easy != m->easy_handle || m->msg != CURLMSG_DONE)
				continue;
			if (m->data.result == CURLE_OK)
				deferred_call(&c->soon);
			else if (!c->fault.kind)
				fail(c, m->data.result == CURLE_FILESIZE_EXCEEDED ? FAULT_LIMIT : FAULT_UNAVAILABLE,
				     lib.easy_strerror(m->data.result));
			else
				deferred_call(&c->soon);
		}
	}
}

static void keep(char *out, size_t *len, struct sv value)
{
	memcpy(out, value.p, value.len);
	*len = value.len;
}

/* A line of the header; of those of an interim answer the last one's stay. */
static size_t take_field(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;
	struct sv value = sv_from(p, size * n), name;

	if (sv_find(value, ':') == SIZE_MAX)
		return size * n;
	sv_split(&value, ':', &name);
	value = sv_trim(value);
	if (sv_eq_nocase(name, SV("Location")) && value.len < sizeof(c->location))
		keep(c->location, &c->location_len, value);
	else if (sv_eq_nocase(name, SV("Replay-Nonce")) && value.len < sizeof(c->nonce))
		keep(c->nonce, &c->nonce_len, value);
	else if (sv_eq_nocase(name, SV("Retry-After")) && !sv_to_u32(value, &c->retry_after_s))
		c->retry_after_s = 0;   /* a date: nobody waits until one */
	return size * n;
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
	struct http_call *c = arg;

	if (buf_append(&c->body, sv_from(p, size * n)))
		return size * n;
	c->fault = fault(FAULT_LIMIT, "the answer is too long");
	return 0;
}

/* ---- the request ---- */

#define SET(option, value) (good = good && lib.easy_setopt(c->easy, option, value) == CURLE_OK)

static bool set_options(struct http_call *c)
{
	struct curl_blob authorities = { c->http->authorities.p, c->http->authorities.len, CURL_BLOB_NOCOPY };
	bool good = true;

	SET(CURLOPT_URL, c->url);
	SET(CURLOPT_RESOLVE, c->resolve);
	SET(CURLOPT_CAINFO_BLOB, &authorities);
	SET(CURLOPT_SSL_VERIFYPEER, 1L);
	SET(CURLOPT_SSL_VERIFYHOST, 2L);
	SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
#if LIBCURL_VERSION_NUM >= 0x075500
	SET(CURLOPT_PROTOCOLS_STR, "https");
#else
	SET(CURLOPT_PROTOCOLS, (long)CURLPROTO_HTTPS);
#endif
	SET(CURLOPT_FOLLOWLOCATION, 0L);
	SET(CURLOPT_PROXY, "");
	SET(CURLOPT_NOSIGNAL, 1L);
	SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	SET(CURLOPT_FORBID_REUSE, 1L);
	SET(CURLOPT_FRESH_CONNECT, 1L);
	SET(CURLOPT_DNS_CACHE_TIMEOUT, 0L);
	SET(CURLOPT_TIMEOUT_MS, (long)c->time_ms);
	SET(CURLOPT_CONNECTTIMEOUT_MS, (long)c->time_ms);
	SET(CURLOPT_MAXFILESIZE, (long)c->body.max);
	SET(CURLOPT_USERAGENT, c->http->agent);
	SET(CURLOPT_WRITEFUNCTION, take_body);
	SET(CURLOPT_WRITEDATA, c);
	SET(CURLOPT_HEADERFUNCTION, take_field);
	SET(CURLOPT_HEADERDATA, c);
	if (c->request.len) {
		SET(CURLOPT_POST, 1L);
		SET(CURLOPT_POSTFIELDS, c->request.p);
		SET(CURLOPT_POSTFIELDSIZE, (long)c->request.len);
		SET(CURLOPT_HTTPHEADER, c->headers);
	}
	return good;
}

static struct curl_slist *one_line(struct buf *line)
{
	struct curl_slist *l = buf_z(line) ? lib.slist_append(NULL, buf_z(line)) : NULL;

	buf_done(line);
	return l;
}

/* add_fields - what cannot be added leaves the request without any: it is refused there. */
static void add_fields(struct http_call *c)
{
	struct sv rest = buf_sv(&c->fields), line;

	while (c->headers && sv_split(&rest, '\n', &line)) {
		char *text = sv_copy_z(line);
		struct curl_slist *l = line.len ? lib.slist_append(c->headers, text) : c->headers;

		c->headers = l ? l : c->headers;
		free(text);
	}
}

static void start(struct http_call *c)
{
	struct buf line;

	buf_init(&line, 4096);
	buf_appendf(&line, "%s:%u:", c->host, c->port);
	for (size_t i = 0; i < c->address_count; i++)
		buf_appendf(&line, "%s%s", i ? "," : "", c->addresses[i]);
	c->resolve = one_line(&line);
	buf_init(&line, 1024);
	buf_appendf(&line, "Content-Type: %s", c->type);
	c->headers = one_line(&line);
	add_fields(c);
	c->easy = lib.easy_init();
	if (!c->easy || !set_options(c) || lib.multi_add_handle(c->http->multi, c->easy) != CURLM_OK)
		fail(c, FAULT_INTERNAL, "libcurl takes no request");
}

/* ---- where to ---- */

bool http_is_public(const uint8_t ip[16])
{
	static const char *const others[] = {
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
		"192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/3",
		"::/127", "64:ff9b:1::/48", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8", "2001:db8::/32",
	};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		struct ipnet net;

		if (!ipnet_parse(sv_z(others[i]), &net) || ipnet_has(&net, ip))
			return false;
	}
	return true;
}

static void add_address(struct http_call *c, const uint8_t ip[16])
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	bool is_v4 = !memcmp(ip, mapped, sizeof(mapped));
	char text[INET6_ADDRSTRLEN];

	if (!c->http->allow_private && !http_is_public(ip)) {
		c->is_denied = true;
		return;
	}
	if (c->address_count == ADDRESSES_MAX ||
	    !inet_ntop(is_v4 ? AF_INET : AF_INET6, is_v4 ? ip + 12 : ip, text, sizeof(text)))
		return;
	snprintf(c->addresses[c->address_count++], sizeof(c->addresses[0]), is_v4 ? "%s" : "[%s]", text);
}

static void resolved(struct http_call *c)
{
	if (c->address_count)
		start(c);
	else if (c->is_denied)
		fail(c, FAULT_DENIED, "its address is not of the internet");
	else
		fail(c, FAULT_UNAVAILABLE, c->is_unknown ? "its name cannot be looked up" : "it has no address");
}

static void on_address(void *arg, const struct dns_answer *a, enum dns_type type)
{
	struct http_call *c = arg;
	uint8_t ip[16];

	c->is_unknown |= a->status == DNS_TEMPFAIL;
	for (size_t i = 0; a->status == DNS_DATA && i < a->count; i++)
		if (dns_ip_from(type, a->records[i], ip))
			add_address(c, ip);
	if (!--c->waiting)
		resolved(c);
}

static void on_a(void *arg, const struct dns_answer *a)
{
	on_address(arg, a, DNS_A);
}

static void on_aaaa(void *arg, const struct dns_answer *a)
{
	on_address(arg, a, DNS_AAAA);
}

/* read_url - "https://host[:port]/...": a name of letters, digits, hyphens and dots, with a letter in its last label. */
static bool read_url(struct http_call *c, struct sv url)
{
	struct sv rest = url, host, port = SV("443");
	uint32_t number;
	size_t end, dot;

	if (!sv_starts(url, SV("https://")))
		return false;
	sv_skip(&rest, 8);
	end = sv_find(rest, '/');
	host = sv_sub(rest, 0, end);
	if (sv_find(host, ':') != SIZE_MAX) {
		port = sv_sub(host, sv_find(host, ':') + 1, host.len);
		host.len = sv_find(host, ':');
	}
	for (size_t i = 0; i < url.len; i++)
		if (url.p[i] <= ' ' || url.p[i] > '~')
			return false;
	for (size_t i = 0; i < host.len; i++)
		if (!ascii_is_alpha(host.p[i]) && !ascii_is_digit(host.p[i]) && !memchr("-._", host.p[i], 3))
			return false;
	dot = sv_rfind(host, '.');
	if (end == SIZE_MAX || !host.len || host.len > HOST_MAX || dot == SIZE_MAX || dot + 1 == host.len ||
	    !ascii_is_alpha(host.p[dot + 1]) || !sv_to_u32(port, &number) || !number || number > UINT16_MAX)
		return false;
	snprintf(c->host, sizeof(c->host), "%.*s", SV_FMT(host));
	c->port = (uint16_t)number;
	return true;
}

void http_ask(struct http *h, const struct http_request *request, http_fn *fn, void *arg, struct http_call **out)
{
	struct http_call *c = xcalloc(1, sizeof(*c));

	*c = (struct http_call){ .http = h, .next = h->calls, .at = &h->calls, .handle = out, .fn = fn, .arg = arg,
				 .url = sv_copy_z(request->url), .type = sv_copy_z(request->type), .time_ms = request->time_ms };
	if (c->next)
		c->next->at = &c->next;
	h->calls = c;
	if (out)
		*out = c;
	deferred_init(&c->soon, h->loop, on_soon);
	buf_init(&c->body, request->octets_max);
	buf_init(&c->request, request->body.len);
	buf_append(&c->request, request->body);
	buf_init(&c->fields, request->fields.len);
	buf_append(&c->fields, request->fields);
	if (!read_url(c, request->url)) {
		fail(c, FAULT_INVALID, "not a URL of the kind https://host/path");
		return;
	}
	c->waiting = 2;
	dns_ask(h->dns, sv_z(c->host), DNS_A, on_a, c, &c->queries[0]);
	dns_ask(h->dns, sv_z(c->host), DNS_AAAA, on_aaaa, c, &c->queries[1]);
}
