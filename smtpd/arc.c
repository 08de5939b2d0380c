/* Chains of ARC sets (RFC 8617): who handed the message on, what each saw, and whether the newest still fits. */
#include <stdlib.h>

#include "common/address.h"
#include "smtpd/dkim_private.h"

#include "common/banned.h"

struct arc {
	struct arc_table table;
	struct arc_set sets[DKIM_ARC_SETS_MAX];
	struct sig seals[DKIM_ARC_SETS_MAX];
	struct sig message;             /* of the newest set: the others may be broken by then */
};

void arc_free(struct arc **arc)
{
	free(*arc);
	*arc = NULL;
}

/* break_chain - no key can mend it. */
static void break_chain(struct arc_table *t, const char *why)
{
	if (!t->broken)
		t->broken = why;
}

/* ---- gathering ---- */

/* results_instance - "i=2; mx.example; spf=pass ...": the number, and what is left behind it. */
static bool results_instance(struct sv value, struct sv *instance, struct sv *results)
{
	struct sv first, name;

	header_skip_cfws(&value);
	if (!sv_split(&value, ';', &first) || !sv_split(&first, '=', &name) ||
	    !sv_eq_nocase(sv_trim(name), SV("i")))
		return false;
	*instance = sv_trim(first);
	*results = sv_trim(value);
	return true;
}

/* instance_of - from any of the three fields. */
static bool instance_of(const struct canon_field *f, bool is_results, uint32_t *out)
{
	struct taglist tags;
	struct sv text, unused;

	if (is_results ? !results_instance(f->value, &text, &unused)
		       : !taglist_parse(f->value, &tags) || !taglist_get(&tags, SV("i"), &text))
		return false;
	return sv_to_u32(text, out) && *out >= 1 && *out <= DKIM_ARC_SETS_MAX;
}

static void gather_field(const struct canon_message *m, size_t index, struct arc_table *t)
{
	struct canon_field f = canon_field(m, index);
	bool is_results = sv_eq_nocase(f.name, SV("ARC-Authentication-Results"));
	bool is_message = sv_eq_nocase(f.name, SV("ARC-Message-Signature"));
	struct arc_rows *rows;
	uint32_t instance;
	size_t *row;

	if (!is_results && !is_message && !sv_eq_nocase(f.name, SV("ARC-Seal")))
		return;
	if (!instance_of(&f, is_results, &instance)) {
		break_chain(t, "an instance is no number from 1 to 50");
		return;
	}
	rows = &t->rows[instance - 1];
	row = is_results ? &rows->results : is_message ? &rows->message : &rows->seal;
	if (*row != SIZE_MAX)
		break_chain(t, "a field of a set is there twice");
	*row = index;
	if (instance > t->count)
		t->count = instance;
}

void arc_gather(const struct canon_message *m, struct arc_table *out)
{
	*out = (struct arc_table){ .count = 0 };
	for (size_t i = 0; i < DKIM_ARC_SETS_MAX; i++)
		out->rows[i] = (struct arc_rows){ SIZE_MAX, SIZE_MAX, SIZE_MAX };
	for (size_t i = 0; i < canon_field_count(m); i++)
		gather_field(m, i, out);
	for (size_t i = 0; i < out->count; i++)
		if (out->rows[i].results == SIZE_MAX || out->rows[i].message == SIZE_MAX ||
		    out->rows[i].seal == SIZE_MAX)
			break_chain(out, "a set is not complete");
}

void arc_add_set(const struct canon_message *m, const struct arc_table *table, size_t i, bool is_own, struct crypt_digest *d)
{
	const struct arc_rows *r = &table->rows[i];

	canon_add_field(d, CANON_RELAXED, canon_field(m, r->results).raw, false);
	canon_add_field(d, CANON_RELAXED, canon_field(m, r->message).raw, false);
	if (is_own)
		canon_add_signature(d, CANON_RELAXED, canon_field(m, r->seal).raw, true);
	else
		canon_add_field(d, CANON_RELAXED, canon_field(m, r->seal).raw, false);
}

/* ---- reading ---- */

/* tag_domain - a name in a tag, for people; empty when it is none. */
static struct sv tag_domain(struct dkim_verifier *v, const struct taglist *tags, struct sv tag)
{
	struct sv text, out = SV_NONE;

	if (!taglist_get(tags, tag, &text) || address_domain(&v->arena, text, &out).kind)
		return SV_NONE;
	return out;
}

/* read_cv - the first set had nothing before it, each other one says that its chain held (RFC 8617 §5.2, step 3). */
static void read_cv(struct dkim_verifier *v, size_t i, const struct taglist *tags)
{
	struct arc *arc = v->arc;
	struct sv cv = SV_NONE;

	taglist_get(tags, SV("cv"), &cv);
	if (sv_eq_nocase(cv, SV("none")))
		arc->sets[i].cv = SV("none");
	else if (sv_eq_nocase(cv, SV("pass")))
		arc->sets[i].cv = SV("pass");
	else
		arc->sets[i].cv = SV("fail");
	if (sv_eq_nocase(cv, SV("fail")))
		break_chain(&arc->table, "it was broken before it came here");
	else if (!sv_eq_nocase(cv, i ? SV("pass") : SV("none")))
		break_chain(&arc->table, "a seal says nothing of the chain before it");
}

/* hash_seal - set after set up to its own, each results, message signature, seal (RFC 8617 §5.1.1). */
static void hash_seal(struct dkim_verifier *v, size_t i)
{
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t hash[CRYPT_HASH_MAX];

	for (size_t k = 0; k <= i; k++)
		arc_add_set(&v->message, &v->arc->table, k, k == i, d);
	crypt_digest_get(d, hash);
	memcpy(v->arc->seals[i].digest, hash, CANON_HASH);
	crypt_digest_free(&d);
}

static void read_seal(struct dkim_verifier *v, size_t i)
{
	struct sig *s = &v->arc->seals[i];
	struct taglist tags;
	struct sv unused;

	if (!taglist_parse(canon_field(&v->message, v->arc->table.rows[i].seal).value, &tags)) {
		break_chain(&v->arc->table, "a seal is no list of tags");
		return;
	}
	read_cv(v, i, &tags);
	sig_read(s, SIG_ARC_SEAL, &tags, &v->arena, v->now_s, &unused);
	v->arc->sets[i].seal_domain = s->seen.domain;
	v->arc->sets[i].seal_selector = s->seen.selector;
	hash_seal(v, i);
	verifier_needs_key(v, s);
}

static void read_message_signature(struct dkim_verifier *v, size_t i)
{
	struct arc *arc = v->arc;
	size_t row = arc->table.rows[i].message;
	struct taglist tags;
	struct sv names;

	if (!taglist_parse(canon_field(&v->message, row).value, &tags)) {
		break_chain(&arc->table, "a message signature is no list of tags");
		return;
	}
	arc->sets[i].message_domain = tag_domain(v, &tags, SV("d"));
	if (i + 1 != arc->table.count)
		return;         /* only the newest one has to fit (RFC 8617 §5.2, step 4) */
	sig_read(&arc->message, SIG_ARC_MESSAGE, &tags, &v->arena, v->now_s, &names);
	if (arc->message.seen.result)
		return;
	sig_hash_header(&arc->message, &v->message, row, names);
	canon_want_body(&v->message, arc->message.body);
	verifier_needs_key(v, &arc->message);
}

static void read_set(struct dkim_verifier *v, size_t i)
{
	struct sv unused, results = SV_NONE;

	results_instance(canon_field(&v->message, v->arc->table.rows[i].results).value, &unused, &results);
	v->arc->sets[i].results = arena_copy(&v->arena, sv_sub(results, 0, ARC_RESULTS_MAX));
	read_seal(v, i);
	read_message_signature(v, i);
}

void arc_read(struct dkim_verifier *v)
{
	struct arc_table table;

	arc_gather(&v->message, &table);
	if (!table.count && !table.broken)
		return;
	v->arc = xcalloc(1, sizeof(*v->arc));
	v->arc->table = table;
	for (size_t i = 0; !v->arc->table.broken && i < table.count; i++)
		read_set(v, i);
}

/* ---- the verdict ---- */

static void take_result(struct arc_chain *chain, const struct sig *s, const char *why)
{
	if (s->seen.result == DKIM_PASS || chain->result == DKIM_FAIL)
		return;
	chain->result = s->seen.result == DKIM_TEMPERROR ? DKIM_TEMPERROR : DKIM_FAIL;
	chain->reason = chain->result == DKIM_TEMPERROR ? "the DNS did not answer for a key" : why;
}

void arc_judge(struct dkim_verifier *v, const struct dkim_keys *keys)
{
	struct arc *arc = v->arc;
	struct arc_chain *chain = &v->chain;

	*chain = (struct arc_chain){ .result = DKIM_FAIL, .reason = arc->table.broken };
	if (arc->table.broken)
		return;
	*chain = (struct arc_chain){ .result = DKIM_PASS, .reason = "", .count = arc->table.count, .sets = arc->sets };
	sig_check_body(&arc->message, &v->message);
	sig_check_key(&arc->message, SIG_ARC_MESSAGE, keys);
	take_result(chain, &arc->message, "the newest message signature does not hold");
	for (size_t i = arc->table.count; i-- && chain->result != DKIM_FAIL;) {
		sig_check_key(&arc->seals[i], SIG_ARC_SEAL, keys);
		take_result(chain, &arc->seals[i], "a seal does not hold");
	}
}
