#include "smtpd/tlspolicy.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/crypt.h"

#include "common/banned.h"

#define ANSWER_MEMORY (128u << 10)

struct tlspolicy {
	struct loop *loop;
	struct dns *dns;
	struct sts *sts;
	struct tlspolicy_query *queries;
};

struct tlspolicy_query {
	struct tlspolicy *tp;
	struct tlspolicy_query *next, **at;
	struct tlspolicy_query **handle;
	tlspolicy_fn *fn;
	void *arg;
	struct tlspolicy_answer *answer;
	bool is_secure, wants_verified;
	struct dns_query *tlsa;
	struct sts_query *sts;
	struct deferred soon;           /* nothing to look up: answered in the next turn */
};

struct tlspolicy *tlspolicy_new(struct loop *loop, struct dns *dns, struct sts *sts)
{
	struct tlspolicy *tp = xcalloc(1, sizeof(*tp));

	*tp = (struct tlspolicy){ .loop = loop, .dns = dns, .sts = sts };
	return tp;
}

void tlspolicy_answer_free(struct tlspolicy_answer **answer)
{
	if (!*answer)
		return;
	arena_done(&(*answer)->arena);
	free(*answer);
	*answer = NULL;
}

static void query_free(struct tlspolicy_query *q)
{
	dns_forget(&q->tlsa);
	sts_forget(&q->sts);
	deferred_cancel(&q->soon);
	*q->at = q->next;
	if (q->next)
		q->next->at = q->at;
	if (q->handle)
		*q->handle = NULL;
	tlspolicy_answer_free(&q->answer);
	free(q);
}

void tlspolicy_forget(struct tlspolicy_query **query)
{
	if (*query)
		query_free(*query);
}

void tlspolicy_free(struct tlspolicy **ptp)
{
	struct tlspolicy *tp = *ptp;

	*ptp = NULL;
	while (tp && tp->queries)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): query_free() moves tp->queries on */
		query_free(tp->queries);
	free(tp);
}

/* ---- answers ---- */

static PRINTF_LIKE(3, 4) void pass_over(struct tlspolicy_answer *a, const char *status, const char *format, ...)
{
	va_list ap;

	a->kind = TLSPOLICY_PASS_OVER;
	snprintf(a->status, sizeof(a->status), "%s", status);
	va_start(ap, format);
	vsnprintf(a->text, sizeof(a->text), format, ap);
	va_end(ap);
}

/* expect_names - an authority has to vouch for the host. */
static void expect_names(struct tlspolicy_answer *a)
{
	a->kind = TLSPOLICY_VERIFY;
	a->expect.trust = TLS_TRUST_NAMES;
	a->expect.name_count = 1;
}

/* verify_anyway - REQUIRETLS: what the policies leave open is closed. Without DNSSEC or a policy nobody proves that this
 * host is the right one, whatever its certificate says (RFC 8689 §4.2.1). */
static void verify_anyway(struct tlspolicy_query *q)
{
	struct tlspolicy_answer *a = q->answer;

	if (a->kind != TLSPOLICY_MAY && a->kind != TLSPOLICY_MUST)
		return;
	if (q->is_secure)
		expect_names(a);
	else
		pass_over(a, "5.7.30", "%s cannot be proven to be the right host, which the sender requires (REQUIRETLS)", a->host);
}

static void answer(struct tlspolicy_query *q)
{
	struct tlspolicy_answer *a = q->answer;
	tlspolicy_fn *fn = q->fn;
	void *arg = q->arg;

	if (q->wants_verified)
		verify_anyway(q);
	q->answer = NULL;
	query_free(q);
	fn(arg, a);
}

static void on_soon(struct deferred *d)
{
	answer(CONTAINER_OF(d, struct tlspolicy_query, soon));
}

/* ---- MTA-STS ---- */

/* note_policy - as RFC 8460 §4.5 shows one. */
static void note_policy(struct tlspolicy_answer *a, const struct sts_policy *policy)
{
	struct buf text;

	buf_init(&text, 4096);
	buf_appendf(&text, "version: STSv1\nmode: %s\n", policy->mode == STS_TESTING ? "testing" : "enforce");
	for (size_t i = 0; i < policy->mx_count; i++)
		(void)!buf_appendf(&text, "mx: %.*s\n", SV_FMT(policy->mx[i]));
	(void)!buf_appendf(&text, "max_age: %u", policy->max_age_s);
	a->policy = arena_copy(&a->arena, buf_sv(&text));
	buf_done(&text);
}

static void on_policy(void *arg, const struct sts_policy *policy, const char *problem)
{
	struct tlspolicy_query *q = arg;
	struct tlspolicy_answer *a = q->answer;

	q->sts = NULL;
	a->problem = problem;
	if (problem)
		snprintf(a->text, sizeof(a->text), "%s", problem);
	if (policy && policy->mode != STS_NONE) {
		bool allowed = sts_policy_allows(policy, sv_z(a->host));

		a->source = TLSPOLICY_STS;
		a->is_testing = policy->mode == STS_TESTING;
		a->is_listed = allowed;
		note_policy(a, policy);
		snprintf(a->text, sizeof(a->text), "MTA-STS, %s", a->is_testing ? "testing" : "enforce");
		if (!a->is_testing && !allowed)
			pass_over(a, "4.7.5", "%s is not among the hosts of the policy of %s (MTA-STS)", a->host, a->domain);
		else if (!a->is_testing)
			expect_names(a);
		else
			a->expect.name_count = 1;       /* to see what would be, for reports */
	}
	answer(q);
}

static void ask_sts(struct tlspolicy_query *q)
{
	if (q->tp->sts)
		sts_find(q->tp->sts, sv_z(q->answer->domain), on_policy, q, &q->sts);
	else
		deferred_call(&q->soon);
}

/* ---- DANE ---- */

/* take_tlsa - records that can be used; *seen counts all. */
static void take_tlsa(struct tlspolicy_answer *a, const struct dns_answer *from)
{
	for (size_t i = 0; i < from->count && a->expect.dane_count < TLSPOLICY_TLSA_MAX; i++) {
		struct dns_tlsa record;
		struct tls_dane d;

		if (!dns_tlsa_from(from->records[i], &record))
			continue;
		d = (struct tls_dane){ record.usage, record.selector, record.matching, record.data };
		if (!tls_dane_is_usable(&d))
			continue;
		d.data = arena_copy(&a->arena, record.data);
		if (d.data.p)
			a->tlsa[a->expect.dane_count++] = d;
	}
}

/* note_tlsa - for reports. */
static void note_tlsa(struct tlspolicy_answer *a)
{
	struct buf text;

	buf_init(&text, 4096);
	for (size_t i = 0; i < a->expect.dane_count; i++) {
		const struct tls_dane *d = &a->tlsa[i];
		char hex[2 * 64 + 1];

		crypt_hex(d->data.p, d->data.len > 64 ? 64 : d->data.len, hex);
		(void)!buf_appendf(&text, "%s%u %u %u %s", i ? "\n" : "", d->usage, d->selector, d->matching, hex);
	}
	a->policy = arena_copy(&a->arena, buf_sv(&text));
	buf_done(&text);
}

static void on_tlsa(void *arg, const struct dns_answer *from)
{
	struct tlspolicy_query *q = arg;
	struct tlspolicy_answer *a = q->answer;

	q->tlsa = NULL;
	if (from->status == DNS_TEMPFAIL) {
		/* Whoever can keep an answer away must not win by it (RFC 7672 §2.1.1, §2.2). */
		a->source = TLSPOLICY_DANE;
		pass_over(a, "4.7.5", "the TLSA record of %s cannot be looked up: %s", a->host, from->why ? from->why : "no answer");
		answer(q);
		return;
	}
	if (from->status != DNS_DATA || !from->secure) {
		ask_sts(q);
		return;
	}
	a->source = TLSPOLICY_DANE;
	take_tlsa(a, from);
	note_tlsa(a);
	a->kind = a->expect.dane_count ? TLSPOLICY_VERIFY : TLSPOLICY_MUST;     /* RFC 7672 §2.2: none usable */
	if (a->expect.dane_count) {
		a->expect.trust = TLS_TRUST_DANE;
		a->expect.name_count = 2;
	}
	snprintf(a->text, sizeof(a->text), "DANE, %zu of %zu records", a->expect.dane_count, from->count);
	answer(q);
}

static void ask_tlsa(struct tlspolicy_query *q, uint16_t port)
{
	char name[DNS_NAME_MAX + 32];

	snprintf(name, sizeof(name), "_%u._tcp.%s", port, q->answer->host);
	dns_ask(q->tp->dns, sv_z(name), DNS_TLSA, on_tlsa, q, &q->tlsa);
}

/* ---- asking ---- */

static struct tlspolicy_answer *new_answer(const struct tlspolicy_question *question)
{
	struct tlspolicy_answer *a = xcalloc(1, sizeof(*a));
	struct sv host = question->host, domain = question->domain;

	if (sv_ends(host, SV(".")))
		host.len--;
	arena_init(&a->arena, ANSWER_MEMORY);
	snprintf(a->host, sizeof(a->host), "%.*s", SV_FMT(host));
	snprintf(a->domain, sizeof(a->domain), "%.*s", SV_FMT(domain));
	a->kind = TLSPOLICY_MAY;
	a->names[0] = a->host;          /* RFC 7672 §3.2.3: the TLSA base domain, then the next hop */
	a->names[1] = a->domain;
	a->expect = (struct tls_expect){ .sni = *a->host ? a->host : NULL, .names = a->names, .dane = a->tlsa };
	return a;
}

void tlspolicy_ask(struct tlspolicy *tp, const struct tlspolicy_question *question, tlspolicy_fn *fn, void *arg,
		   struct tlspolicy_query **out)
{
	struct tlspolicy_query *q = xcalloc(1, sizeof(*q));

	*q = (struct tlspolicy_query){ .tp = tp, .next = tp->queries, .at = &tp->queries, .handle = out, .fn = fn,
				       .arg = arg, .answer = new_answer(question), .is_secure = question->is_secure,
				       .wants_verified = question->wants_verified };
	deferred_init(&q->soon, tp->loop, on_soon);
	if (q->next)
		q->next->at = &q->next;
	tp->queries = q;
	if (out)
		*out = q;
	if (question->wants_none || !*q->answer->host)
		deferred_call(&q->soon);
	else if (question->is_secure)
		ask_tlsa(q, question->port);
	else
		ask_sts(q);
}
