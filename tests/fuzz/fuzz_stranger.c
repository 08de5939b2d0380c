/* What strangers write and a check of incoming mail reads: an SPF record, a DMARC record, a header with Authentication-Results, the
 * answers of filters, a PROXY header. The first octet chooses which. What must hold: nothing is read twice, cuts do not matter, what is expanded or
 * added keeps to its limits and cannot begin a line of its own. */
#include <stdlib.h>

#include "common/http_answer.h"
#include "common/memory.h"
#include "common/proxy.h"
#include "smtpd/dmarc.h"
#include "smtpd/milter.h"
#include "smtpd/rspamd.h"
#include "smtpd/spf_record.h"
#include "smtpd/strip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void need(bool ok)
{
	if (!ok)
		abort();
}

static void try_spf(struct sv text)
{
	struct spf_macros m = { .local = SV("a.b-c"), .sender_domain = SV("sender.example"), .domain = SV("sender.example"),
				.helo = SV("helo.example"), .our_name = SV("mx.example.test"), .now_s = 1 };
	struct spf_term t;
	struct sv rest;
	struct buf out;

	need(netaddr_parse(SV("2001:db8::cb01"), &m.ip));
	buf_init(&out, 1u << 16);
	if (spf_check_record(text, &rest))
		while (spf_next_term(&rest, &t)) {
			need(t.kind >= SPF_ALL && t.kind <= SPF_UNKNOWN && t.bits4 <= 32 && t.bits6 <= 128);
			buf_clear(&out);
			if (t.spec.len && spf_expand_name(t.spec, &m, &out))
				need(out.len && out.len <= SPF_DOMAIN_MAX);
		}
	buf_clear(&out);
	if (spf_expand_text(text, &m, &out)) {
		need(out.len <= SPF_TEXT_MAX);
		for (size_t i = 0; i < out.len; i++)
			need(out.p[i] >= ' ' && out.p[i] <= '~');
	}
	buf_done(&out);
}

static void try_dmarc(struct sv text)
{
	struct dmarc_record r;

	if (dmarc_parse(text, &r))
		need(r.p <= DMARC_POLICY_REJECT && r.sp <= DMARC_POLICY_REJECT && r.np <= DMARC_POLICY_REJECT);
}

static bool sink(void *ctx, struct sv octets)
{
	return buf_append(ctx, octets);
}

static uint32_t strip(struct sv text, size_t step, struct buf *out)
{
	struct strip s;

	strip_init(&s, "mx.example.test", sink, out);
	while (text.len) {
		struct sv part = sv_sub(text, 0, step);

		need(strip_feed(&s, part));
		sv_skip(&text, part.len);
	}
	need(strip_finish(&s));
	return s.taken;
}

static void try_strip(struct sv text)
{
	struct buf whole, cut;
	uint32_t taken;

	buf_init(&whole, text.len + 1);
	buf_init(&cut, text.len + 1);
	taken = strip(text, text.len + 1, &whole);
	need(strip(text, 1, &cut) == taken);
	need(sv_eq(buf_sv(&whole), buf_sv(&cut)));
	need(taken || whole.len == text.len);
	buf_done(&whole);
	buf_done(&cut);
}

/* need_harmless - what a filter adds cannot begin a line of its own, and its words are printable. */
static void need_harmless(const struct screen_verdict *v)
{
	struct sv rest = buf_sv(&v->headers);

	for (size_t i = 0; i + 1 < rest.len; i++)
		if (rest.p[i] == '\n') {
			need(i && rest.p[i - 1] == '\r');
			need(rest.p[i + 1] != '\r' && rest.p[i + 1] != '\n');
		}
	for (const char *p = v->text; *p; p++)
		need(*p >= ' ' && *p <= '~');
	for (size_t i = 0; i < v->removed.count; i++)
		need(sv_starts_nocase(sv_z(v->removed.names[i]), SV("X-")));
}

static void try_milter(struct sv in)
{
	struct screen_verdict v;
	struct sv data;
	bool is_final;
	char letter;

	screen_verdict_init(&v);
	while (milter_take_packet(&in, &letter, &data) == FEED_DONE)
		(void)milter_take_answer(letter, data, &v, &is_final);
	need_harmless(&v);
	screen_verdict_done(&v);
}

static enum feed feed_answer(struct http_answer *a, struct sv in, size_t cut)
{
	enum feed feed = FEED_MORE;

	http_answer_init(a, 4096);
	for (; in.len && feed == FEED_MORE; sv_skip(&in, in.len < cut ? in.len : cut))
		feed = http_answer_feed(a, sv_sub(in, 0, cut));
	return feed;
}

static void try_rspamd(struct sv in)
{
	struct http_answer whole, cut;
	struct screen_verdict v;

	screen_verdict_init(&v);
	need(feed_answer(&whole, in, in.len + 1) == feed_answer(&cut, in, 1));
	need(whole.status == cut.status && whole.body.len <= 4096);
	if (http_answer_end(&whole) == FEED_DONE) {
		need(http_answer_end(&cut) == FEED_DONE && sv_eq(buf_sv(&whole.body), buf_sv(&cut.body)));
		(void)rspamd_take_answer(buf_sv(&whole.body), &v);
	} else {
		(void)rspamd_take_answer(in, &v);
	}
	need_harmless(&v);
	screen_verdict_done(&v);
	http_answer_done(&whole);
	http_answer_done(&cut);
}

static void try_proxy(struct sv in)
{
	struct netaddr peer;
	size_t len = 0;

	if (proxy_parse(in, &len, &peer) != FEED_DONE)
		return;
	need(len <= in.len && len <= PROXY_MAX);
	for (size_t n = 0; n < len; n++) {      /* a part of it is never taken for the whole, nor for nothing */
		size_t ignored;

		need(proxy_parse(sv_sub(in, 0, n), &ignored, &peer) == FEED_MORE);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const tries[])(struct sv) = { try_spf, try_dmarc, try_strip, try_milter, try_proxy, try_rspamd };
	char *exact;

	if (!size)
		return 0;
	exact = xmalloc(size);
	memcpy(exact, data + 1, size - 1);
	tries[data[0] % ARRAY_LEN(tries)](sv_from(exact, size - 1));
	free(exact);
	return 0;
}
