#include "smtpd/author.h"

#include <stdlib.h>

#include "common/memory.h"
#include "smtpd/authres.h"

#include "common/banned.h"

struct author {
	struct author_facts facts;
	struct dmarc_ask *ask;
	const struct dmarc_answers *answers; /* NULL until they are there */
	struct dkim_verifier *dkim;
	struct dkim_keys *keys;
	unsigned open; /* questions that are not answered */
	author_fn *fn;
	void *arg;
	struct deferred done; /* when there was nothing to ask */
	bool is_asked;
};

struct author *author_new(int64_t now_s)
{
	struct author *a = xcalloc(1, sizeof(*a));

	a->dkim = dkim_verifier_new(now_s);
	return a;
}

void author_free(struct author **author)
{
	struct author *a = *author;

	*author = NULL;
	if (!a)
		return;
	dmarc_ask_free(&a->ask);
	dkim_keys_free(&a->keys);
	dkim_verifier_free(&a->dkim);
	if (a->is_asked)
		deferred_cancel(&a->done);
	free(a);
}

static void on_done(struct deferred *d)
{
	struct author *a = CONTAINER_OF(d, struct author, done);

	a->fn(a->arg);
}

static void end_part(struct author *a)
{
	if (!--a->open)
		deferred_call(&a->done);
}

static void on_keys(void *arg, struct dkim_keys *keys)
{
	(void)keys;
	end_part(arg);
}

void author_feed(struct author *a, struct sv octets)
{
	dkim_verifier_feed(a->dkim, octets);
}

static void on_dmarc(void *arg, const struct dmarc_answers *answers)
{
	struct author *a = arg;

	a->answers = answers;
	end_part(a);
}

void author_end(struct author *a)
{
	dkim_verifier_end(a->dkim);
}

/* find_domain - the one domain of all authors, as the DNS knows it. */
static void find_domain(struct author_facts *f, const struct message_facts *m)
{
	struct arena arena;

	arena_init(&arena, 16384);
	f->is_ambiguous = m->from_count != 1 || m->is_from_capped;
	for (size_t i = 0; i < m->from_address_count; i++) {
		struct address a;

		arena_clear(&arena);
		if (address_parse(&arena, m->from[i], &a).kind || a.is_literal || !a.domain.len ||
		    a.domain.len > DMARC_DOMAIN_MAX ||
		    (f->domain[0] && !sv_eq(sv_z(f->domain), a.domain))) {
			f->is_ambiguous = true;
			continue;
		}
		memcpy(f->domain, a.domain.p, a.domain.len);
		f->domain[a.domain.len] = '\0';
	}
	if (f->is_ambiguous)
		f->domain[0] = '\0';
	arena_done(&arena);
}

void author_ask(struct author *a, struct dns *dns, struct loop *loop, const struct message_facts *m,
		const struct origin_facts *origin, author_fn *fn, void *arg)
{
	struct sv ids[DMARC_IDS_MAX];
	size_t count = 0;

	a->is_asked = true;
	a->fn = fn;
	a->arg = arg;
	deferred_init(&a->done, loop, on_done);
	find_domain(&a->facts, m);
	a->open = 1;
	if (dkim_verifier_has_header(a->dkim)) {
		a->open++;
		a->keys = dkim_keys_fetch(a->dkim, loop, dns, on_keys, a);
	}
	if (!a->facts.domain[0]) {
		end_part(a);
		return;
	}
	if (origin->spf == SPF_PASS)
		ids[count++] = sv_z(origin->spf_domain);
	for (size_t i = 0; i < dkim_verifier_count(a->dkim, NULL) && count < DMARC_IDS_MAX; i++)
		if (dkim_verifier_get(a->dkim, i)->domain.len)
			ids[count++] = dkim_verifier_get(a->dkim, i)->domain;
	a->ask = dmarc_ask(dns, loop, sv_z(a->facts.domain), ids, count, on_dmarc, a);
}

bool author_is_asked(const struct author *a)
{
	return a->is_asked;
}

/* good_signatures - the domains that signed, and stand by it. */
static size_t good_signatures(const struct dkim_verifier *v, struct sv out[DKIM_SIGNATURES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < dkim_verifier_count(v, NULL) && count < DKIM_SIGNATURES_MAX; i++) {
		const struct dkim_signature *s = dkim_verifier_get(v, i);

		if (s->result == DKIM_PASS && !s->is_testing)
			out[count++] = s->domain;
	}
	return count;
}

static bool is_trusted(const struct conf_list *sealers, struct sv domain)
{
	for (size_t i = 0; i < sealers->count; i++)
		if (sv_eq_nocase(sv_z(sealers->items[i]), domain))
			return true;
	return false;
}

/* ask_sealers - every hop of a chain that holds must be one we trust; the first one saw the message
 * as it was sent. */
static void ask_sealers(struct author_facts *f, const struct arc_chain *arc,
			const struct conf_list *sealers)
{
	struct sv seal;

	if (arc->result != DKIM_PASS || !arc->count)
		return;
	for (size_t i = 0; i < arc->count; i++)
		if (!is_trusted(sealers, arc->sets[i].seal_domain))
			return;
	seal = sv_sub(arc->sets[arc->count - 1].seal_domain, 0, DMARC_DOMAIN_MAX);
	f->is_vouched = authres_has(arc->sets[0].results, SV("dmarc"), SV("pass"));
	memcpy(f->voucher, seal.p, seal.len);
}

const struct author_facts *author_judge(struct author *a, const struct origin_facts *origin,
					const struct conf *conf)
{
	struct sv domains[DKIM_SIGNATURES_MAX],
		spf = origin->spf == SPF_PASS ? sv_z(origin->spf_domain) : SV_NONE;

	if (a->keys)
		dkim_verifier_judge(a->dkim, a->keys);
	a->facts.dkim = a->keys ? a->dkim : NULL;
	if (a->answers)
		a->facts.dmarc = dmarc_judge(a->answers, spf, domains,
					     a->keys ? good_signatures(a->dkim, domains) : 0);
	if (a->keys)
		ask_sealers(&a->facts, dkim_verifier_arc(a->dkim), &conf->policy.arc_trusted);
	return &a->facts;
}
