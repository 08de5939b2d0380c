#include "smtpd/dmarc.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

const char *dmarc_policy_name(enum dmarc_policy policy)
{
	return policy == DMARC_POLICY_REJECT       ? "reject"
	       : policy == DMARC_POLICY_QUARANTINE ? "quarantine"
						   : "none";
}

const char *dmarc_result_name(enum dmarc_result result)
{
	static const char *const names[] = { "none", "pass", "fail", "temperror", "permerror" };

	return names[result];
}

/* ---- records ---- */

bool dmarc_policy_parse(struct sv value, enum dmarc_policy *out)
{
	for (unsigned p = DMARC_POLICY_NONE; p <= DMARC_POLICY_REJECT; p++)
		if (sv_eq_nocase(value, sv_z(dmarc_policy_name((enum dmarc_policy)p)))) {
			*out = (enum dmarc_policy)p;
			return true;
		}
	return false;
}

/* has_uri - does rua= name at least one place that could take a report? */
static bool has_uri(struct sv value)
{
	struct sv uri;

	while (sv_split(&value, ',', &uri)) {
		uri = sv_trim(uri);
		if (sv_find(uri, ':') != SIZE_MAX && sv_find(uri, ':') > 0 &&
		    uri.len > sv_find(uri, ':') + 1)
			return true;
	}
	return false;
}

/* One record under way: which of the policies were given, and well. */
struct tags {
	bool has_p, has_sp, has_np, is_bad;
};

static void take_tag(struct dmarc_record *r, struct tags *seen, struct sv name, struct sv value)
{
	if (sv_eq_nocase(name, SV("p"))) {
		seen->has_p = dmarc_policy_parse(value, &r->p);
		seen->is_bad |= !seen->has_p;
	} else if (sv_eq_nocase(name, SV("sp"))) {
		seen->has_sp = dmarc_policy_parse(value, &r->sp);
		seen->is_bad |= !seen->has_sp;
	} else if (sv_eq_nocase(name, SV("np"))) {
		seen->has_np = dmarc_policy_parse(value, &r->np);
		seen->is_bad |= !seen->has_np;
	} else if (sv_eq_nocase(name, SV("psd"))) {
		r->psd = sv_eq_nocase(value, SV("y"))   ? DMARC_PSD_YES
			 : sv_eq_nocase(value, SV("n")) ? DMARC_PSD_NO
							: DMARC_PSD_UNKNOWN;
	} else if (sv_eq_nocase(name, SV("adkim"))) {
		r->is_dkim_strict = sv_eq_nocase(value, SV("s"));
	} else if (sv_eq_nocase(name, SV("aspf"))) {
		r->is_spf_strict = sv_eq_nocase(value, SV("s"));
	} else if (sv_eq_nocase(name, SV("t"))) {
		r->is_testing |= sv_eq_nocase(value, SV("y"));
	} else if (sv_eq_nocase(name, SV("pct"))) {
		/* RFC 7489 §6.6.4; other shares than none at all were never applied alike, so they
		 * mean 100. */
		r->is_testing |= sv_eq(value, SV("0"));
	} else if (sv_eq_nocase(name, SV("rua"))) {
		r->has_reports = has_uri(value);
	}
}

bool dmarc_parse(struct sv text, struct dmarc_record *out)
{
	struct tags seen = { .has_p = false };
	struct sv tag, name;
	bool is_first = true;

	*out = (struct dmarc_record){ .p = DMARC_POLICY_NONE };
	while (sv_split(&text, ';', &tag)) {
		if (!sv_split(&tag, '=', &name))
			continue;
		name = sv_trim(name);
		tag = sv_trim(tag);
		if (is_first && (!sv_eq(name, SV("v")) || !sv_eq(tag, SV("DMARC1"))))
			return false;
		if (!is_first)
			take_tag(out, &seen, name, tag);
		is_first = false;
	}
	if (is_first)
		return false;
	if (!seen.has_p || seen.is_bad) {
		if (!out->has_reports)
			return false;
		out->p = DMARC_POLICY_NONE;
		seen.has_sp = seen.has_np = false;
	}
	if (!seen.has_sp)
		out->sp = out->p;
	if (!seen.has_np)
		out->np = out->sp;
	return true;
}

/* ---- which names ---- */

static size_t count_labels(struct sv domain)
{
	size_t n = domain.len > 0;

	for (size_t i = 0; i < domain.len; i++)
		n += domain.p[i] == '.';
	return n;
}

static struct sv parent(struct sv domain)
{
	size_t dot = sv_find(domain, '.');

	return dot == SIZE_MAX ? SV_NONE : sv_sub(domain, dot + 1, SIZE_MAX);
}

/* next_target - the walk's next name: a long one is cut to seven labels at once (§4.10 step 4). */
static struct sv next_target(struct sv domain)
{
	domain = parent(domain);
	while (count_labels(domain) > DMARC_WALK_MAX - 1)
		domain = parent(domain);
	return domain;
}

static struct dmarc_name *find(const struct dmarc_answers *a, struct sv name)
{
	for (size_t i = 0; i < a->count; i++)
		if (sv_eq(sv_z(a->names[i].name), name))
			return (struct dmarc_name *)(uintptr_t)&a->names[i];
	return NULL;
}

static void add_walk(struct dmarc_answers *a, struct sv domain)
{
	for (; domain.len; domain = next_target(domain)) {
		if (find(a, domain) || a->count == DMARC_NAMES_MAX || domain.len > DMARC_DOMAIN_MAX)
			continue;
		memcpy(a->names[a->count].name, domain.p, domain.len);
		a->names[a->count++].name[domain.len] = '\0';
	}
}

/* may_align - two domains with different last labels have no organisation in common. */
static bool may_align(struct sv x, struct sv y)
{
	size_t dx = sv_rfind(x, '.'), dy = sv_rfind(y, '.');

	if (dx == SIZE_MAX || dy == SIZE_MAX)
		return false;
	return sv_eq(sv_sub(x, dx, SIZE_MAX), sv_sub(y, dy, SIZE_MAX));
}

/* ---- asking ---- */

struct question {
	struct dmarc_ask *ask;
	struct dns_query *query;
};

struct dmarc_ask {
	struct dmarc_answers answers;
	struct question
		questions[DMARC_NAMES_MAX + 1]; /* the last one: does the author's domain exist? */
	size_t open;
	struct deferred done;
	dmarc_fn *fn;
	void *arg;
};

static void on_done(struct deferred *d)
{
	struct dmarc_ask *a = CONTAINER_OF(d, struct dmarc_ask, done);

	a->fn(a->arg, &a->answers);
}

/* take_record - exactly one, or none at all (§4.10 step 2). */
static void take_record(struct dmarc_name *n, const struct dns_answer *answer)
{
	struct dmarc_record r;
	struct buf text;
	size_t found = 0;

	buf_init(&text, UINT16_MAX);
	for (size_t i = 0; i < answer->count; i++) {
		struct sv s;

		buf_clear(&text);
		if (!dns_txt_from(answer->records[i], &text))
			continue;
		s = sv_trim(buf_sv(&text));
		found += sv_starts(s, SV("v")) &&
			 sv_search(sv_sub(s, 0, 20), SV("DMARC1")) != SIZE_MAX;
		if (dmarc_parse(s, &r)) {
			n->has_record = true;
			n->record = r;
		}
	}
	n->has_record &= found == 1;
	buf_done(&text);
}

static void on_answer(void *arg, const struct dns_answer *answer)
{
	struct question *q = arg;
	struct dmarc_ask *a = q->ask;
	size_t i = (size_t)(q - a->questions);

	if (i == DMARC_NAMES_MAX) {
		a->answers.author_status = answer->status;
	} else {
		a->answers.names[i].status = answer->status;
		take_record(&a->answers.names[i], answer);
	}
	if (!--a->open)
		deferred_call(&a->done);
}

static void send_question(struct dmarc_ask *a, struct dns *dns, size_t i, struct sv name,
			  enum dns_type type)
{
	a->questions[i].ask = a;
	a->open++;
	dns_ask(dns, name, type, on_answer, &a->questions[i], &a->questions[i].query);
}

struct dmarc_ask *dmarc_ask(struct dns *dns, struct loop *loop, struct sv author,
			    const struct sv *ids, size_t count, dmarc_fn *fn, void *arg)
{
	struct dmarc_ask *a = xcalloc(1, sizeof(*a));
	char name[DMARC_DOMAIN_MAX + 16];

	a->fn = fn;
	a->arg = arg;
	deferred_init(&a->done, loop, on_done);
	author = sv_sub(author, 0, DMARC_DOMAIN_MAX);
	memcpy(a->answers.author, author.p, author.len);
	add_walk(&a->answers, author);
	for (size_t i = 0; i < count && i < DMARC_IDS_MAX; i++)
		if (may_align(ids[i], author))
			add_walk(&a->answers, ids[i]);
	a->open = 1; /* until all are sent */
	for (size_t i = 0; i < a->answers.count; i++) {
		snprintf(name, sizeof(name), "_dmarc.%s", a->answers.names[i].name);
		send_question(a, dns, i, sv_z(name), DNS_TXT);
	}
	send_question(a, dns, DMARC_NAMES_MAX, author, DNS_A);
	a->open--;
	return a;
}

void dmarc_ask_free(struct dmarc_ask **ask)
{
	struct dmarc_ask *a = *ask;

	*ask = NULL;
	if (!a)
		return;
	for (size_t i = 0; i < ARRAY_LEN(a->questions); i++)
		dns_forget(&a->questions[i].query);
	deferred_cancel(&a->done);
	free(a);
}

/* ---- judging ---- */

/* organization - where a tree walk from here ends (§4.10.2). False: the DNS failed on the way. */
static bool organization(const struct dmarc_answers *a, struct sv start, struct sv *out)
{
	struct sv below = start; /* one label longer than the name looked at */

	*out = start;
	for (struct sv at = start; at.len; at = next_target(at)) {
		const struct dmarc_name *n = find(a, at);

		if (!n || n->status == DNS_TEMPFAIL)
			return false;
		if (n->has_record && n->record.psd == DMARC_PSD_NO) {
			*out = at;
			return true;
		}
		if (n->has_record && n->record.psd == DMARC_PSD_YES && at.len != start.len) {
			/* Exactly one label below it, also where the walk has jumped. */
			while (count_labels(below) > count_labels(at) + 1)
				below = parent(below);
			*out = below;
			return true;
		}
		if (n->has_record && n->record.psd != DMARC_PSD_YES)
			*out = at;
		below = at;
	}
	return true;
}

/* Which record holds for the author (§4.10.1): his own, his organisation's, his public suffix's. */
static const struct dmarc_name *find_policy(const struct dmarc_answers *a, struct sv author,
					    struct sv org)
{
	const struct dmarc_name *n = find(a, author);

	if (n && n->has_record)
		return n;
	n = find(a, org);
	if (n && n->has_record)
		return n;
	for (struct sv at = next_target(author); at.len; at = next_target(at)) {
		n = find(a, at);
		if (n && n->has_record && n->record.psd == DMARC_PSD_YES)
			return n;
	}
	return NULL;
}

/* is_aligned - 1 yes, 0 no, -1 not known now. */
static int is_aligned(const struct dmarc_answers *a, struct sv id, struct sv author, struct sv org,
		      bool is_strict)
{
	struct sv id_org;

	if (sv_eq(id, author))
		return 1;
	if (is_strict || !may_align(id, author))
		return 0;
	if (!organization(a, id, &id_org))
		return -1;
	return sv_eq(id_org, org);
}

static enum dmarc_policy applied(const struct dmarc_answers *a, const struct dmarc_name *at,
				 struct sv author)
{
	const struct dmarc_record *r = &at->record;
	enum dmarc_policy p = r->p;

	if (!sv_eq(sv_z(at->name), author))
		p = a->author_status == DNS_NXDOMAIN ? r->np : r->sp;
	if (r->is_testing && p != DMARC_POLICY_NONE)
		p = p == DMARC_POLICY_REJECT ? DMARC_POLICY_QUARANTINE : DMARC_POLICY_NONE;
	return p;
}

static void copy(char out[DMARC_DOMAIN_MAX + 1], struct sv s)
{
	s = sv_sub(s, 0, DMARC_DOMAIN_MAX);
	memcpy(out, s.p, s.len);
	out[s.len] = '\0';
}

struct dmarc_verdict dmarc_judge(const struct dmarc_answers *answers, struct sv spf,
				 const struct sv *dkim, size_t count)
{
	struct dmarc_verdict v = { .result = DMARC_NONE };
	struct sv author = sv_z(answers->author), org;
	const struct dmarc_name *at;
	int by_spf = 0, by_dkim = 0, is;

	if (!author.len)
		return v;
	if (!organization(answers, author, &org)) {
		v.result = DMARC_TEMPERROR;
		return v;
	}
	at = find_policy(answers, author, org);
	copy(v.organization, org);
	if (!at)
		return v;
	copy(v.record_at, sv_z(at->name));
	v.is_testing = at->record.is_testing;
	v.policy = applied(answers, at, author);
	v.record = at->record;
	if (spf.len)
		by_spf = is_aligned(answers, spf, author, org, at->record.is_spf_strict);
	for (size_t i = 0; i < count && by_dkim != 1; i++) {
		is = is_aligned(answers, dkim[i], author, org, at->record.is_dkim_strict);
		by_dkim = is ? is : by_dkim;
	}
	v.is_spf_aligned = by_spf > 0;
	v.is_dkim_aligned = by_dkim > 0;
	v.result = by_spf > 0 || by_dkim > 0   ? DMARC_PASS
		   : by_spf < 0 || by_dkim < 0 ? DMARC_TEMPERROR
					       : DMARC_FAIL;
	return v;
}

bool dmarc_is_one_organization(const struct dmarc_answers *answers, struct sv a, struct sv b)
{
	struct sv org_a, org_b;

	if (sv_eq(a, b))
		return true;
	return may_align(a, b) && organization(answers, a, &org_a) && organization(answers, b, &org_b) && sv_eq(org_a, org_b);
}
