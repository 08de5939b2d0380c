#include "smtpd/screen.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/milter.h"
#include "smtpd/rspamd.h"

#include "common/banned.h"

#define RSPAMD "rspamd:"

struct screen {
	struct loop *loop;
	const struct conf_list *places;
	uint32_t timeout_ms;
	struct screen_message message;
	struct log_ctx log;
	screen_fn *fn;
	void *arg;
	size_t next;                    /* of places */
	struct milter *milter;          /* one of these two is asked now */
	struct rspamd *rspamd;
	struct screen_verdict all;
	struct deferred end;
};

/* ---- places ---- */

bool screen_place_parse(const char *text, struct screen_place *out)
{
	bool is_rspamd = sv_starts(sv_z(text), SV(RSPAMD));

	if (is_rspamd)
		text += strlen(RSPAMD);
	*out = (struct screen_place){ .kind = is_rspamd ? SCREEN_RSPAMD : SCREEN_MILTER, .path = text };
	if (text[0] == '/') {
		out->address.family = NET_UNIX;
		return true;
	}
	return netaddr_parse_port(sv_z(text), &out->address);
}

bool screen_is_wanted(const struct conf_list *places)
{
	struct screen_place place;

	for (size_t i = 0; i < places->count; i++)
		if (screen_place_parse(places->items[i], &place))
			return true;
	return false;
}

/* ---- verdicts ---- */

void screen_verdict_init(struct screen_verdict *v)
{
	*v = (struct screen_verdict){ .action = SCREEN_ACCEPT };
	buf_init(&v->headers, SCREEN_HEADERS_MAX);
}

void screen_verdict_done(struct screen_verdict *v)
{
	buf_done(&v->headers);
}

void screen_fail(struct screen_verdict *v, const char *why)
{
	v->action = SCREEN_FAILED;
	snprintf(v->text, sizeof(v->text), "%s", why);
}

void screen_connect(struct loop *loop, const struct screen_place *place, uint32_t timeout_ms, connect_fn *fn, void *arg,
		    struct connector **out)
{
	if (place->address.family == NET_UNIX)
		connect_to_path(loop, place->path, timeout_ms, fn, arg, out);
	else
		connect_to(loop, &place->address, timeout_ms, fn, arg, out);
}

void screen_keep_text(char *out, size_t size, struct sv text)
{
	size_t n = 0;

	for (size_t i = 0; i < text.len && n + 1 < size; i++)
		out[n++] = text.p[i] < ' ' || text.p[i] > '~' ? ' ' : text.p[i];
	out[n] = '\0';
}

static bool is_name(struct sv name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
			return false;
	return name.len > 0 && name.len <= SCREEN_NAME_MAX;
}

/* append_value - line ends inside become folds, and nothing else can begin a line of its own. */
static bool append_value(struct buf *out, struct sv value)
{
	bool ok = true;

	while (value.len && (value.p[value.len - 1] == '\n' || value.p[value.len - 1] == '\r'))
		value.len--;
	for (size_t i = 0; i < value.len && ok; i++) {
		char c = value.p[i];

		if (c == '\r')
			continue;
		if (c != '\n') {
			ok = buf_append_c(out, c && c != '\x7f' ? c : '?');
			continue;
		}
		ok = buf_append(out, SV("\r\n\t"));
		while (i + 1 < value.len && strchr(" \t\r\n", value.p[i + 1]) && value.p[i + 1])
			i++;
	}
	return ok;
}

void screen_add_header(struct screen_verdict *v, struct sv name, struct sv value)
{
	size_t start = v->headers.len;
	struct sv text = sv_trim(value);

	if (!is_name(name))
		return;
	if (sv_eq_nocase(name, SV("X-Spam")) || sv_eq_nocase(name, SV("X-Spam-Flag")))
		v->is_spam |= sv_starts_nocase(text, SV("yes"));
	if (!buf_append(&v->headers, name) || !buf_append(&v->headers, SV(": ")) || !append_value(&v->headers, text) ||
	    !buf_append(&v->headers, SV("\r\n")))
		v->headers.len = start;
}

void screen_remove_header(struct screen_verdict *v, struct sv name)
{
	struct screen_removed *r = &v->removed;

	if (!is_name(name) || !sv_starts_nocase(name, SV("X-")))
		return;
	for (size_t i = 0; i < r->count; i++)
		if (sv_eq_nocase(sv_z(r->names[i]), name))
			return;
	if (r->count < SCREEN_REMOVED_MAX)
		screen_keep_text(r->names[r->count++], sizeof(r->names[0]), name);
}

/* ---- one after the other ---- */

static void release(struct screen *s)
{
	milter_free(&s->milter);
	rspamd_free(&s->rspamd);
	deferred_cancel(&s->end);
	screen_verdict_done(&s->all);
	free(s);
}

void screen_free(struct screen **screen)
{
	struct screen *s = *screen;

	*screen = NULL;
	if (s)
		release(s);
}

static void on_end(struct deferred *d)
{
	struct screen *s = CONTAINER_OF(d, struct screen, end);

	s->fn(s->arg, &s->all);
}

/* add - the strongest of several verdicts holds, and all that they change. That one has failed takes nothing from the others. */
static void add(struct screen_verdict *all, const struct screen_verdict *v)
{
	all->has_failed |= v->action == SCREEN_FAILED;
	if (v->action > all->action && v->action != SCREEN_FAILED) {
		all->action = v->action;
		memcpy(all->text, v->text, sizeof(v->text));
	}
	all->is_spam |= v->is_spam;
	if (v->quarantine[0])
		memcpy(all->quarantine, v->quarantine, sizeof(v->quarantine));
	(void)!buf_append(&all->headers, buf_sv(&v->headers));
	for (size_t i = 0; i < v->removed.count; i++)
		screen_remove_header(all, sv_z(v->removed.names[i]));
}

static void ask_next(struct screen *s);

static void on_verdict(void *arg, const struct screen_verdict *v)
{
	struct screen *s = arg;

	log_info(&s->log, "smtp.milter", KV_SV("queue_id", s->message.queue_id), KV_Z("milter", s->places->items[s->next]),
		 KV_U64("verdict", v->action), KV_Z("text", v->text), KV_BOOL("spam", v->is_spam), KV_Z("quarantine", v->quarantine));
	add(&s->all, v);
	s->next++;
	milter_free(&s->milter);
	rspamd_free(&s->rspamd);
	ask_next(s);
}

static void ask_next(struct screen *s)
{
	struct screen_place place;

	while (s->next < s->places->count && !screen_place_parse(s->places->items[s->next], &place))
		s->next++;
	if (s->next == s->places->count || s->all.action >= SCREEN_DEFER)
		deferred_call(&s->end);
	else if (place.kind == SCREEN_RSPAMD)
		s->rspamd = rspamd_ask(s->loop, &place, s->timeout_ms, &s->message, on_verdict, s);
	else
		s->milter = milter_ask(s->loop, &place, s->timeout_ms, &s->message, on_verdict, s);
}

struct screen *screen_ask(struct loop *loop, const struct conf_list *places, uint32_t timeout_ms, const struct screen_message *message,
			  const struct log_ctx *log, screen_fn *fn, void *arg)
{
	struct screen *s = xcalloc(1, sizeof(*s));

	*s = (struct screen){ .loop = loop, .places = places, .timeout_ms = timeout_ms, .message = *message, .log = *log, .fn = fn, .arg = arg };
	screen_verdict_init(&s->all);
	deferred_init(&s->end, loop, on_end);
	ask_next(s);
	return s;
}
