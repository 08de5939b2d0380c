/* A key record and a signed message of any content: "RECORD\n" and the message. What must hold: the verdicts do not
 * depend on how the message was cut, nothing passes that was not signed by the key, and whatever came can be sealed. */
#include <stdlib.h>

#include "smtpd/dkim.h"
#include "smtpd/sign.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NOW 1528637999

static struct dkim_keys *keys_of(struct sv record)
{
	static const struct sv names[] = {
		SV_INIT("brisbane._domainkey.football.example.com"), SV_INIT("test._domainkey.football.example.com"),
		SV_INIT("s._domainkey.a.test"),
	};
	struct dkim_keys *keys = dkim_keys_new();

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		dkim_keys_put(keys, names[i], record);
	return keys;
}

static struct dkim_verifier *verify(struct sv message, size_t step, const struct dkim_keys *keys)
{
	struct dkim_verifier *v = dkim_verifier_new(NOW);

	while (message.len) {
		struct sv part = sv_sub(message, 0, step);

		dkim_verifier_feed(v, part);
		sv_skip(&message, part.len);
	}
	dkim_verifier_end(v);
	dkim_verifier_judge(v, keys);
	return v;
}

static void compare(const struct dkim_verifier *a, const struct dkim_verifier *b)
{
	size_t total_a, total_b, count = dkim_verifier_count(a, &total_a);

	if (count != dkim_verifier_count(b, &total_b) || total_a != total_b || count > DKIM_SIGNATURES_MAX || count > total_a)
		abort();
	for (size_t i = 0; i < count; i++) {
		const struct dkim_signature *x = dkim_verifier_get(a, i), *y = dkim_verifier_get(b, i);

		if (x->result != y->result || x->reason != y->reason || !x->result || !sv_eq(x->domain, y->domain) ||
		    (x->result == DKIM_PASS) != !*x->reason)
			abort();
	}
	if (dkim_verifier_arc(a)->result != dkim_verifier_arc(b)->result ||
	    dkim_verifier_arc(a)->count != dkim_verifier_arc(b)->count)
		abort();
}

/* seal - there is no key here, so nothing may come out of it; the header is walked all the same. */
static void seal(struct sv message, const struct dkim_verifier *v)
{
	struct dkimkeys *keys = dkimkeys_new("/nonexistent");
	struct signer *s = signer_new_seal(keys, NOW), *own = signer_new(keys, NOW);
	struct signer_seal what = { .domain = SV("a.test"), .authserv_id = SV("mx"), .chain = dkim_verifier_arc(v) };
	struct buf out;

	buf_init(&out, SIGN_FIELDS_MAX);
	signer_feed(s, message);
	signer_feed(own, message);
	if (signer_finish_seal(s, &what, &out).kind || signer_finish(own, &out).kind || out.len)
		abort();
	signer_free(&s);
	signer_free(&own);
	dkimkeys_free(&keys);
	buf_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv message = sv_from((const char *)data, size), record;
	struct dkim_verifier *whole, *cut;
	struct dkim_keys *keys;

	if (!sv_split(&message, '\n', &record))
		return 0;
	keys = keys_of(record);
	whole = verify(message, message.len, keys);
	cut = verify(message, 1 + size % 7, keys);
	compare(whole, cut);
	seal(message, whole);
	dkim_verifier_free(&whole);
	dkim_verifier_free(&cut);
	dkim_keys_free(&keys);
	return 0;
}
