#include "webd/status.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/date.h"
#include "common/instance.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/netaddr.h"
#include "common/textfile.h"
#include "common/tls.h"
#include "webd/history.h"
#include "webd/metrics.h"
#include "webd/page.h"

#include "common/banned.h"

#define SAMPLE_MS 60000
#define SAVE_EVERY 5            /* samples */
#define DAY_S 86400

/* ---- samples ---- */

static bool path_of(const struct status_recorder *r, struct buf *path)
{
	buf_init(path, 4096);
	return buf_appendf(path, "%s/hours", instance_path(r->instance, INSTANCE_EVENTS)) && buf_z(path);
}

static void save(const struct status_recorder *r)
{
	struct buf path, text;
	struct fault f = FAULT_OK;

	buf_init(&text, HISTORY_TEXT_MAX);
	if (path_of(r, &path) && history_write(r->history, &text))
		f = textfile_replace(buf_z(&path), buf_sv(&text));
	if (f.kind)
		log_warn(NULL, "web.status.save", KV_FAULT("fault", f));
	buf_done(&path);
	buf_done(&text);
}

static bool take_sample(struct status_recorder *r, struct metrics_overview *now)
{
	bool good;

	pthread_mutex_lock(&r->asking);
	good = metrics_overview(r->instance, now);
	if (good) {
		history_add(r->history, date_now().seconds, &now->sample);
		if (++r->samples % SAVE_EVERY == 0)
			save(r);
	}
	pthread_mutex_unlock(&r->asking);
	return good;
}

static void sample(void *arg)
{
	struct metrics_overview *now = calloc(1, sizeof(*now));

	if (now)
		(void)take_sample(arg, now);
	free(now);
}

void status_recorder_open(struct status_recorder *r, const struct instance *instance)
{
	struct buf path, text;

	r->instance = instance;
	pthread_mutex_init(&r->asking, NULL);
	r->history = history_new();
	buf_init(&text, HISTORY_TEXT_MAX);
	if (path_of(r, &path) && !textfile_read(buf_z(&path), &text).kind)
		history_read(r->history, date_now().seconds, buf_sv(&text));
	buf_done(&path);
	buf_done(&text);
}

void status_recorder_start(struct status_recorder *r, struct loop *loop)
{
	r->chore = (struct chore){ .run = sample, .arg = r, .every_ms = SAMPLE_MS };
	chore_start(&r->chore, loop, 1000);
}

void status_recorder_close(struct status_recorder *r)
{
	if (r->samples)
		save(r);
	history_free(&r->history);
	pthread_mutex_destroy(&r->asking);
}

/* ---- charts ---- */

/* A chart of 24 columns; the second series stands on the first. */
struct chart {
	const char *id, *title;
	enum history_figure lower, upper;       /* the same: one series, as a line */
	const char *lower_name, *upper_name;
};
static const struct chart charts[] = {
	{ "deliveries", "Deliveries", HISTORY_ACCEPTED, HISTORY_SENT, "taken in", "sent to other servers" },
	{ "deferrals", "Deferrals", HISTORY_DEFERRED, HISTORY_SEND_DEFERRED, "put off by us", "put off by other servers" },
	{ "logins", "Logins", HISTORY_LOGINS, HISTORY_FAILURES, "succeeded", "failed" },
	{ "queue", "Queue", HISTORY_QUEUE, HISTORY_QUEUE, "waiting at most", "" },
};

#define WIDTH 480
#define LEFT 40
#define TOP 12
#define HEIGHT 110
#define COLUMN 18               /* 24 of them end at 472 */

static uint64_t height_of(uint64_t n, uint64_t most)
{
	return most ? (n * HEIGHT + most / 2) / most : 0;
}

/* 1, 2, 5, 10, ...: at least n. */
static uint64_t round_up(uint64_t n)
{
	static const unsigned steps[] = { 1, 2, 5 };

	for (uint64_t ten = 1;; ten *= 10)
		for (size_t i = 0; i < ARRAY_LEN(steps); i++)
			if (ten * steps[i] >= n || ten > UINT64_MAX / 100)
				return ten * steps[i];
}

static struct sv clock_of(struct html *h, int64_t hour)
{
	return html_u64(h, (uint64_t)(hour % 24));
}

static void put_bar(struct html *h, size_t i, uint64_t y, uint64_t height, struct sv kind)
{
	if (!height)
		return;
	html(h, "<rect class=\"$\" fill=\"url(#hatch)\" x=\"$\" y=\"$\" width=\"14\" height=\"$\"/>", kind, html_u64(h, LEFT + 2 + i * COLUMN), html_u64(h, y),
	     html_u64(h, height));
}

static void put_columns(struct html *h, const struct chart *c, const struct history_hour *hours, uint64_t most)
{
	for (size_t i = 0; i < HISTORY_HOURS; i++) {
		uint64_t lower = height_of(hours[i].figures[c->lower], most);
		uint64_t both = height_of(hours[i].figures[c->lower] + hours[i].figures[c->upper], most);

		put_bar(h, i, TOP + HEIGHT - lower, lower, SV("a"));
		put_bar(h, i, TOP + HEIGHT - both, both - lower, SV("b"));
		put_bar(h, i, TOP + HEIGHT - both, both - lower, SV("hatch"));
	}
}

static void put_line(struct html *h, const struct chart *c, const struct history_hour *hours, uint64_t most)
{
	html(h, "<path class=\"under\" d=\"M$ $", html_u64(h, LEFT), html_u64(h, TOP + HEIGHT));
	for (size_t i = 0; i < HISTORY_HOURS; i++)
		html(h, " V$ H$", html_u64(h, TOP + HEIGHT - height_of(hours[i].figures[c->lower], most)), html_u64(h, LEFT + (i + 1) * COLUMN));
	html(h, " V$ Z\"/><path class=\"line\" d=\"M$ $", html_u64(h, TOP + HEIGHT), html_u64(h, LEFT),
	     html_u64(h, TOP + HEIGHT - height_of(hours[0].figures[c->lower], most)));
	for (size_t i = 0; i < HISTORY_HOURS; i++)
		html(h, " V$ H$", html_u64(h, TOP + HEIGHT - height_of(hours[i].figures[c->lower], most)), html_u64(h, LEFT + (i + 1) * COLUMN));
	html_raw(h, "\"/>");
}

static void put_axes(struct html *h, const struct history_hour *hours, uint64_t most)
{
	struct sv right = html_u64(h, WIDTH - 8), bottom = html_u64(h, TOP + HEIGHT);

	html(h, "<path class=\"axis\" d=\"M40 12H$M40 $H$\"/>", right, bottom, right);
	html(h, "<text x=\"34\" y=\"16\" text-anchor=\"end\">$</text><text x=\"34\" y=\"$\" text-anchor=\"end\">0</text>", html_u64(h, most), bottom);
	for (size_t i = 0; i < HISTORY_HOURS; i += 6)
		html(h, "<text x=\"$\" y=\"138\">$:00</text>", html_u64(h, LEFT + 2 + i * COLUMN), clock_of(h, hours[i].hour));
	html_raw(h, "<text x=\"472\" y=\"138\" text-anchor=\"end\">now</text>");
}

static void put_chart(struct html *h, const struct chart *c, const struct history_hour *hours)
{
	uint64_t lower = 0, upper = 0, top = 0;
	bool is_line = c->lower == c->upper;

	for (size_t i = 0; i < HISTORY_HOURS; i++) {
		uint64_t a = hours[i].figures[c->lower], b = is_line ? 0 : hours[i].figures[c->upper];

		lower = is_line ? (a > lower ? a : lower) : lower + a;
		upper += b;
		top = a + b > top ? a + b : top;
	}
	top = round_up(top);
	html(h, "<section aria-labelledby=\"$\">\n<h2 id=\"$\">$</h2>\n<figure>\n<svg class=\"chart\" viewBox=\"0 0 480 144\" role=\"img\" "
		"aria-labelledby=\"$ $-sum\">", sv_z(c->id), sv_z(c->id), sv_z(c->title), sv_z(c->id), sv_z(c->id));
	put_axes(h, hours, top);
	if (is_line)
		put_line(h, c, hours, top);
	else
		put_columns(h, c, hours, top);
	html(h, "</svg>\n<figcaption id=\"$-sum\">", sv_z(c->id));
	if (is_line)
		html(h, "At most $ waiting in the last 24 hours.", html_u64(h, lower));
	else
		html(h, "In 24 hours: $ $ <span class=\"key\">(below, plain)</span>, $ $ <span class=\"key\">(on top, hatched)</span>.", html_u64(h, lower),
		     sv_z(c->lower_name), html_u64(h, upper), sv_z(c->upper_name));
	html_raw(h, "</figcaption>\n</figure>\n</section>\n");
}

/* ---- the page ---- */

/* "3 d 4 h", "5 min". */
static struct sv span_of(char out[48], uint64_t s)
{
	if (s >= DAY_S)
		snprintf(out, 48, "%llu d %llu h", (unsigned long long)(s / DAY_S), (unsigned long long)(s % DAY_S / 3600));
	else if (s >= 3600)
		snprintf(out, 48, "%llu h %llu min", (unsigned long long)(s / 3600), (unsigned long long)(s % 3600 / 60));
	else
		snprintf(out, 48, "%llu min", (unsigned long long)(s / 60));
	return sv_z(out);
}

static void put_now(struct html *h, const struct route_context *ctx, const struct metrics_overview *now, int64_t now_s)
{
	struct tls_cert_facts cert;
	size_t down = 0;
	char span[48];

	for (size_t i = 0; i < METRICS_DAEMONS; i++)
		down += !now->daemons[i].is_up;
	if (down)
		html(h, "<p class=\"said bad\" role=\"status\"><strong>Something is wrong.</strong> $ of $ parts of the server do not answer. "
			"<code>postroom doctor</code> says what to do.</p>\n", html_u64(h, down), html_u64(h, METRICS_DAEMONS));
	else
		html_raw(h, "<p class=\"said good\" role=\"status\"><strong>All parts of the server answer.</strong></p>\n");
	html_raw(h, "<section aria-labelledby=\"now\">\n<h2 id=\"now\">Now</h2>\n<table>\n<thead><tr><th scope=\"col\">Part</th><th scope=\"col\">State</th>"
		    "<th scope=\"col\" class=\"n\">Running for</th><th scope=\"col\" class=\"n\">Restarts</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < METRICS_DAEMONS; i++)
		html(h, "<tr><th scope=\"row\">$</th><td>$</td><td class=\"n\">$</td><td class=\"n\">$</td></tr>\n", sv_z(now->daemons[i].name),
		     now->daemons[i].is_up ? SV("answers") : SV("does not answer"), span_of(span, now->daemons[i].uptime_s),
		     html_u64(h, now->daemons[i].restarts));
	html(h, "</tbody>\n</table>\n<p>Waiting to be sent: <strong>$</strong>.</p>\n", html_u64(h, now->sample.queued));
	if (tls_cert_read(ctx->conf->tls.certificate, &cert).kind)
		html_raw(h, "<p>There is no certificate.</p>\n");
	else if (cert.not_after_s < now_s)
		html(h, "<p>The certificate has ended, on <strong>$</strong>.</p>\n", html_day(h, cert.not_after_s));
	else
		html(h, "<p>The certificate is good until <strong>$</strong>, $ days$.</p>\n", html_day(h, cert.not_after_s),
		     html_u64(h, (uint64_t)(cert.not_after_s - now_s) / DAY_S), cert.is_self_signed ? SV("; it is self-signed") : SV_NONE);
	html_raw(h, "</section>\n");
}

/* The charts in figures, for who cannot see them. */
static void put_table(struct html *h, const struct history_hour *hours)
{
	html_raw(h, "<section aria-labelledby=\"figures\">\n<details>\n<summary id=\"figures\">The same in figures</summary>\n"
		    "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"figures\">\n<table>\n<thead><tr><th scope=\"col\">Hour (UTC)</th>");
	for (size_t c = 0; c < ARRAY_LEN(charts); c++) {
		html(h, "<th scope=\"col\" class=\"n\">$: $</th>", sv_z(charts[c].title), sv_z(charts[c].lower_name));
		if (charts[c].lower != charts[c].upper)
			html(h, "<th scope=\"col\" class=\"n\">$: $</th>", sv_z(charts[c].title), sv_z(charts[c].upper_name));
	}
	html_raw(h, "</tr></thead>\n<tbody>\n");
	for (size_t i = HISTORY_HOURS; i-- > 0; ) {
		html(h, "<tr><th scope=\"row\">$:00</th>", clock_of(h, hours[i].hour));
		for (size_t k = 0; k < HISTORY_FIGURES; k++)
			html(h, "<td class=\"n\">$</td>", hours[i].is_known ? html_u64(h, hours[i].figures[k]) : SV("–"));
		html_raw(h, "</tr>\n");
	}
	html_raw(h, "</tbody>\n</table>\n</div>\n</details>\n</section>\n");
}

/* A name that leads to this machine for somebody else's page (DNS rebinding) is not one of these; nor is what a web server passes on with
 * the Host header kept. */
static bool is_own_name(struct sv host)
{
	return sv_eq(host, SV("localhost")) || sv_eq(host, SV("127.0.0.1")) || sv_eq(host, SV("[::1]"));
}

void status_show(const struct route_context *ctx, const struct request *q, struct response *out)
{
	struct metrics_overview *now;
	struct history_hour hours[HISTORY_HOURS];
	int64_t now_s = date_now().seconds;
	struct html h;

	if (!netaddr_is_loopback(&ctx->peer) || !is_own_name(q->host) || q->is_forwarded) {
		response_text(out, 404, "There is nothing here.");
		return;
	}
	now = calloc(1, sizeof(*now));
	if (!now || !take_sample(ctx->status, now)) {
		free(now);
		response_text(out, 503, "Not now; try again soon.");
		return;
	}
	history_get(ctx->status->history, now_s, hours);
	page_begin(&h, out, SV("Mail server status"), sv_z(ctx->conf->host.hostname));
	html(&h, "<p class=\"who\">$</p>\n</header>\n<main id=\"content\">\n", html_time(&h, now_s));
	put_now(&h, ctx, now, now_s);
	html_raw(&h, "<svg width=\"0\" height=\"0\" aria-hidden=\"true\" class=\"defs\"><defs><pattern id=\"hatch\" width=\"5\" height=\"5\" "
		     "patternUnits=\"userSpaceOnUse\" patternTransform=\"rotate(45)\"><rect class=\"gap\" width=\"2\" height=\"5\"/></pattern></defs>"
		     "</svg>\n<div class=\"grid\">\n");
	for (size_t c = 0; c < ARRAY_LEN(charts); c++)
		put_chart(&h, &charts[c], hours);
	html_raw(&h, "</div>\n");
	put_table(&h, hours);
	html_raw(&h, "<p class=\"soft\">Postroom " POSTROOM_VERSION ". Hours are UTC. What happened while a part was starting may be missing.</p>\n");
	page_end(&h, out);
	free(now);
}
