#include "smtpd/fetch/issuer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <uv.h>

#include "common/conf.h"
#include "common/date.h"
#include "common/http.h"
#include "common/instance.h"
#include "common/issuer.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/memory.h"
#include "common/token.h"

#include "common/banned.h"

#define TIME_MS 20000                   /* for each of the two requests */
#define DOCUMENT_MAX (64u << 10)
#define AGAIN_MIN_MS 10000
#define AGAIN_MAX_MS (10 * 60000)

struct issuer_fetch {
	struct loop *loop;
	struct loop_member member;
	struct http *http;
	struct http_call *call;
	struct timer timer;
	uv_fs_event_t watch;
	char *path;                     /* of the keys */
	struct buf issuer;
	uint64_t refresh_ms, floor_ms;
	uint64_t again_ms;              /* after the next failure */
	uint64_t last_ms;               /* the last attempt began */
	bool has_asked;
	uint64_t keys, failures;        /* for status */
	int64_t fetched_s;
};

/* ---- asking ---- */

static void failed(struct issuer_fetch *f, const char *what, struct fault fault)
{
	f->failures++;
	log_warn(NULL, "issuer.fetch.failed", KV_SV("issuer", buf_sv(&f->issuer)), KV_Z("what", what), KV_FAULT("fault", fault));
	timer_start_ms(&f->timer, f->again_ms);
	f->again_ms = f->again_ms * 2 > AGAIN_MAX_MS ? AGAIN_MAX_MS : f->again_ms * 2;
}

static struct fault fault_of(const struct http_response *r)
{
	if (r->fault.kind || r->status == 200)
		return r->fault;
	return fault_detail(FAULT_UNAVAILABLE, "HTTP status %u", r->status);
}

static void on_keys(void *arg, const struct http_response *r)
{
	struct issuer_fetch *f = arg;
	struct token_keys *keys = NULL;
	struct fault fault = fault_of(r);
	int64_t now_s = date_now().seconds;

	f->call = NULL;
	if (!fault.kind)
		fault = token_keys_parse(r->body, &keys);       /* what cannot be used does not take the place of what can */
	if (!fault.kind)
		fault = issuer_keys_write(f->path, buf_sv(&f->issuer), now_s, r->body);
	if (fault.kind) {
		failed(f, "its keys", fault);
	} else {
		f->keys = token_keys_count(keys);
		f->fetched_s = now_s;
		f->again_ms = AGAIN_MIN_MS;
		timer_start_ms(&f->timer, f->refresh_ms);
		log_info(NULL, "issuer.keys", KV_SV("issuer", buf_sv(&f->issuer)), KV_U64("keys", f->keys));
	}
	token_keys_free(&keys);
}

static void ask(struct issuer_fetch *f, struct sv url, http_fn *fn)
{
	http_ask(f->http, &(struct http_request){ .url = url, .octets_max = DOCUMENT_MAX, .time_ms = TIME_MS }, fn, f, &f->call);
}

static void on_document(void *arg, const struct http_response *r)
{
	struct issuer_fetch *f = arg;
	struct json *document = NULL;
	struct sv issuer, url = SV_NONE;
	struct fault fault = fault_of(r);

	f->call = NULL;
	if (!fault.kind)
		fault = json_parse(r->body, &document);
	/* Discovery §4.3: they must be the same, or one issuer could speak for another. */
	if (!fault.kind && (!json_get_sv(document, "issuer", &issuer) || !sv_eq(issuer, buf_sv(&f->issuer))))
		fault = (struct fault){ FAULT_INVALID, "it names another issuer: oauth-issuer must be written as there" };
	if (!fault.kind && (!json_get_sv(document, "jwks_uri", &url) || !sv_starts(url, SV("https://"))))
		fault = (struct fault){ FAULT_INVALID, "no jwks_uri with https" };
	if (fault.kind)
		failed(f, "its configuration document", fault);
	else
		ask(f, url, on_keys);
	json_free(&document);
}

static void begin(struct issuer_fetch *f)
{
	struct sv base = buf_sv(&f->issuer);
	struct buf url;

	if (f->call)
		return;
	f->last_ms = loop_now_ms(f->loop);
	f->has_asked = true;
	timer_stop(&f->timer);
	while (base.len && base.p[base.len - 1] == '/')
		base.len--;
	buf_init(&url, ISSUER_URL_MAX + 64);
	buf_appendf(&url, "%.*s/.well-known/openid-configuration", SV_FMT(base));
	ask(f, buf_sv(&url), on_document);
	buf_done(&url);
}

static void on_timer(struct timer *t)
{
	begin(CONTAINER_OF(t, struct issuer_fetch, timer));
}

/* A worker has met a key that it does not know. */
static void on_wanted(uv_fs_event_t *watch, const char *name, int events, int status)
{
	struct issuer_fetch *f = watch->data;
	uint64_t now_ms = loop_now_ms(f->loop);

	(void)name;
	(void)events;
	(void)status;
	if (f->call)
		return;
	if (!f->has_asked || now_ms - f->last_ms >= f->floor_ms)
		begin(f);
	else if (!timer_is_running(&f->timer) || f->timer.due_ms > f->last_ms + f->floor_ms)
		timer_start_ms(&f->timer, f->last_ms + f->floor_ms - now_ms);
}

/* ---- life ---- */

static void on_loop_end(struct loop_member *m)
{
	struct issuer_fetch *f = CONTAINER_OF(m, struct issuer_fetch, member);

	http_forget(&f->call);          /* the loop closes the handle of the watch itself */
	timer_stop(&f->timer);
}

static struct fault watch(struct issuer_fetch *f, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int e;

	if (fd < 0)
		return fault_errno("open", path);
	close(fd);
	e = uv_fs_event_init(loop_uv(f->loop), &f->watch);
	f->watch.data = f;
	if (!e)
		e = uv_fs_event_start(&f->watch, on_wanted, path, 0);
	return e ? fault_detail(FAULT_INTERNAL, "watch %s: %s", path, uv_strerror(e)) : FAULT_OK;
}

struct fault issuer_fetch_new(struct loop *loop, struct http *http, const struct instance *instance, const struct conf_auth *conf,
			      struct issuer_fetch **out)
{
	struct issuer_fetch *f;
	struct buf path, set;
	struct fault fault;

	*out = NULL;
	if (!conf->oauth_issuer[0] || !http)
		return FAULT_OK;
	f = xcalloc(1, sizeof(*f));
	*f = (struct issuer_fetch){ .loop = loop, .http = http, .refresh_ms = conf->oauth_refresh_ms,
				    .floor_ms = conf->oauth_floor_ms, .again_ms = AGAIN_MIN_MS };
	timer_init(&f->timer, loop, on_timer);
	f->member.close = on_loop_end;
	loop_join(loop, &f->member);
	buf_init(&f->issuer, ISSUER_URL_MAX);
	buf_append(&f->issuer, sv_z(conf->oauth_issuer));
	buf_init(&path, 8192);
	buf_init(&set, TOKEN_KEYS_OCTETS);
	issuer_keys_path(instance, &path);
	f->path = xstrdup(buf_z(&path));
	buf_clear(&path);
	issuer_wanted_path(instance, &path);
	fault = watch(f, buf_z(&path));
	if (fault.kind)
		log_error(NULL, "issuer.watch.failed", KV_FAULT("fault", fault));       /* the timer fetches all the same */
	(void)issuer_keys_read(f->path, buf_sv(&f->issuer), &f->fetched_s, &set).kind;
	buf_done(&path);
	buf_done(&set);
	begin(f);
	*out = f;
	return FAULT_OK;
}

void issuer_fetch_free(struct issuer_fetch **at)
{
	struct issuer_fetch *f = *at;

	if (!f)
		return;
	*at = NULL;
	buf_done(&f->issuer);
	free(f->path);
	free(f);
}

void issuer_fetch_status(const struct issuer_fetch *f, struct json_out *j)
{
	if (!f)
		return;
	json_out_sv(j, "issuer", buf_sv(&f->issuer));
	json_out_u64(j, "issuer_keys", f->keys);
	json_out_i64(j, "issuer_fetched_s", f->fetched_s);
	json_out_u64(j, "issuer_failures", f->failures);
}
