#include "smtpd/author.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

struct author {
	struct author_facts facts;
	struct dmarc_ask *ask;
	const struct dmarc_answers *answers;    /* NULL until they are there */
	author_fn *fn;
	void *arg;
	struct deferred done;           /* when there was nothing to ask */
	bool is_asked;
};

struct author *author_new(void)
{
	return xcalloc(1, sizeof(struct author));
}

void author_free(struct author **author)
{
	struct author *a = *author;

	*author = NULL;
	if (!a)
		return;
	dmarc_ask_free(&a->ask);
	if (a->is_asked)
		deferred_cancel(&a->done);
	free(a);
}

static void on_done(struct deferred *d)
{
	struct author *a = CONTAINER_OF(d, struct author, done);

	a->fn(a->arg);
}

static void on_dmarc(void *arg, const struct dmarc_answers *answers)
{
	struct author *a = arg;

	a->answers = answers;
	a->fn(a->arg);
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
		    a.domain.len > DMARC_DOMAIN_MAX || (f->domain[0] && !sv_eq(sv_z(f->domain), a.domain))) {
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
	if (!a->facts.domain[0]) {
		deferred_call(&a->done);
		return;
	}
	if (origin->spf == SPF_PASS)
		ids[count++] = sv_z(origin->spf_domain);
	a->ask = dmarc_ask(dns, loop, sv_z(a->facts.domain), ids, count, on_dmarc, a);
}

bool author_is_asked(const struct author *a)
{
	return a->is_asked;
}

const struct author_facts *author_judge(struct author *a, const struct origin_facts *origin)
{
	if (a->answers)
		a->facts.dmarc = dmarc_judge(a->answers,
					     origin->spf == SPF_PASS ? sv_z(origin->spf_domain) : SV_NONE, NULL, 0);
	return &a->facts;
}
