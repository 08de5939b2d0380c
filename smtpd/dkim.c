#include "smtpd/dkim.h"

#include <stdlib.h>

#include "smtpd/dkim_private.h"

#include "common/banned.h"

const char *dkim_result_name(enum dkim_result result)
{
	switch (result) {
	case DKIM_NONE:      return "none";
	case DKIM_PASS:      return "pass";
	case DKIM_FAIL:      return "fail";
	case DKIM_POLICY:    return "policy";
	case DKIM_NEUTRAL:   return "neutral";
	case DKIM_TEMPERROR: return "temperror";
	case DKIM_PERMERROR: return "permerror";
	}
	BUG("DKIM result %d", result);
}

struct dkim_verifier *dkim_verifier_new(int64_t now_s)
{
	struct dkim_verifier *v = xcalloc(1, sizeof(*v));

	v->now_s = now_s;
	v->chain.reason = "";
	arena_init(&v->arena, DKIM_MEMORY);
	canon_init(&v->message);
	return v;
}

void dkim_verifier_free(struct dkim_verifier **pv)
{
	struct dkim_verifier *v = *pv;

	*pv = NULL;
	if (!v)
		return;
	canon_done(&v->message);
	arc_free(&v->arc);
	arena_done(&v->arena);
	free(v);
}

/* ---- the header ---- */

void verifier_needs_key(struct dkim_verifier *v, const struct sig *s)
{
	if (s->seen.result)
		return;         /* it is judged already */
	for (size_t i = 0; i < v->key_count; i++)
		if (sv_eq_nocase(v->key_names[i], s->key_name))
			return;
	if (v->key_count < DKIM_KEYS_MAX)
		v->key_names[v->key_count++] = s->key_name;
}

static void read_signature(struct dkim_verifier *v, size_t index, struct sv value)
{
	struct sig *s = &v->sigs[v->count++];
	struct taglist tags;
	struct sv names;

	s->seen.reason = "";
	if (!taglist_parse(value, &tags)) {
		sig_fail(s, DKIM_NEUTRAL, "it is no list of tags");
		return;
	}
	sig_read(s, SIG_DKIM, &tags, &v->arena, v->now_s, &names);
	if (s->seen.result)
		return;
	sig_hash_header(s, &v->message, index, names);
	if (!s->seen.result)
		canon_want_body(&v->message, s->body);
	verifier_needs_key(v, s);
}

static void end_header(struct dkim_verifier *v)
{
	size_t count = canon_is_over(&v->message) ? 0 : canon_field_count(&v->message);

	for (size_t i = 0; i < count; i++) {
		struct canon_field f = canon_field(&v->message, i);

		if (!sv_eq_nocase(f.name, SV("DKIM-Signature")))
			continue;
		v->total++;
		if (v->count < DKIM_SIGNATURES_MAX)
			read_signature(v, i, f.value);
	}
	if (count)
		arc_read(v);
	canon_forget_header(&v->message);
	v->has_header = true;
}

void dkim_verifier_feed(struct dkim_verifier *v, struct sv octets)
{
	if (!v->has_header && canon_header(&v->message, &octets))
		end_header(v);
	if (v->has_header)
		canon_body(&v->message, octets);
}

bool dkim_verifier_has_header(const struct dkim_verifier *v)
{
	return v->has_header;
}

void dkim_verifier_end(struct dkim_verifier *v)
{
	if (canon_header_finish(&v->message))
		end_header(v);
}

/* ---- the verdict ---- */

void dkim_verifier_judge(struct dkim_verifier *v, const struct dkim_keys *keys)
{
	if (v->is_judged)
		BUG("dkim: judged twice");
	v->is_judged = true;
	for (size_t i = 0; i < v->count; i++) {
		sig_check_body(&v->sigs[i], &v->message);
		sig_check_key(&v->sigs[i], SIG_DKIM, keys);
	}
	if (v->arc)
		arc_judge(v, keys);
}

size_t dkim_verifier_count(const struct dkim_verifier *v, size_t *total)
{
	if (total)
		*total = v->total;
	return v->count;
}

const struct dkim_signature *dkim_verifier_get(const struct dkim_verifier *v, size_t i)
{
	return i < v->count ? &v->sigs[i].seen : NULL;
}

const struct arc_chain *dkim_verifier_arc(const struct dkim_verifier *v)
{
	return &v->chain;
}
