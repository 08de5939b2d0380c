/* What we sign verifies, whatever the cut; what is added or changed afterwards is seen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/dkim.h"
#include "smtpd/sign.h"

#define NOW 1700000000

static char folder[64];
static struct dkimkeys *ring;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/sign_test.XXXXXX", 22);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(dkimkey_make(folder, "example.test").kind, FAULT_NONE);
	assert_int_equal(dkimkey_make(folder, "list.test").kind, FAULT_NONE);
	ring = dkimkeys_new(folder);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	dkimkeys_free(&ring);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static bool put(void *arg, const struct dkimkey *key)
{
	char name[600];

	snprintf(name, sizeof(name), "%s._domainkey.%s", key->selector, key->domain);
	dkim_keys_put(arg, sv_z(name), sv_z(key->record));
	return true;
}

static struct dkim_verifier *verify(struct sv text)
{
	struct dkim_keys *keys = dkim_keys_new();
	struct dkim_verifier *v = dkim_verifier_new(NOW);

	assert_int_equal(dkimkey_list(folder, SV_NONE, put, keys).kind, FAULT_NONE);
	dkim_verifier_feed(v, text);
	dkim_verifier_end(v);
	dkim_verifier_judge(v, keys);
	dkim_keys_free(&keys);
	return v;
}

static void expect_two(struct sv text, enum dkim_result result, const char *domain)
{
	struct dkim_verifier *v = verify(text);

	assert_int_equal(dkim_verifier_count(v, NULL), 2);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(dkim_verifier_get(v, i)->result, result);
		assert_true(sv_eq(dkim_verifier_get(v, i)->domain, sv_z(domain)));
	}
	assert_true(sv_eq(dkim_verifier_get(v, 0)->algorithm, SV("rsa-sha256")));
	assert_true(sv_eq(dkim_verifier_get(v, 1)->algorithm, SV("ed25519-sha256")));
	dkim_verifier_free(&v);
}

/* sign - the signed message into out. */
static void sign(struct sv text, size_t cut, struct buf *out)
{
	struct signer *s = signer_new(ring, NOW);

	buf_init(out, 1 << 20);
	signer_feed(s, sv_sub(text, 0, cut));
	signer_feed(s, sv_sub(text, cut, text.len));
	assert_int_equal(signer_finish(s, out).kind, FAULT_NONE);
	assert_true(buf_append(out, text));
	signer_free(&s);
}

#define FROM "From: Ann <ann@example.test>\r\n"
#define REST "To: bob@other.test\r\nSubject:  a\r\n b\r\nTo: carl@other.test\r\nX-Own: 1\r\n\r\nHi \r\nyou\r\n\r\n"

static void our_signatures_verify_however_the_message_was_cut(void **state)
{
	static const struct sv texts[] = {
		SV_INIT(FROM REST), SV_INIT(FROM), SV_INIT(FROM "\r\n"), SV_INIT(FROM "\r\nno line end"),
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (size_t cut = 0; cut <= texts[i].len; cut += 7) {
			struct buf out;

			sign(texts[i], cut, &out);
			expect_two(buf_sv(&out), DKIM_PASS, "example.test");
			buf_done(&out);
		}
	}
}

static void lines_of_our_signatures_are_short(void **state)
{
	struct buf out;
	struct sv rest, line;
	(void)state;

	sign(SV(FROM REST), 10, &out);
	rest = buf_sv(&out);
	while (sv_split(&rest, '\n', &line))
		assert_true(line.len <= 100);
	buf_done(&out);
}

static void what_is_added_afterwards_is_seen(void **state)
{
	static const struct sv added[] = {
		SV_INIT("From: eve@evil.test\r\n"), SV_INIT("Subject: x\r\n"), SV_INIT("To: eve@evil.test\r\n"),
		SV_INIT("List-Unsubscribe: <https://evil.test/>\r\n"),
		SV_INIT("List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"), SV_INIT("Reply-To: eve@evil.test\r\n"),
	};
	struct buf out, more;
	(void)state;

	sign(SV(FROM REST), 10, &out);
	for (size_t i = 0; i < ARRAY_LEN(added); i++) {
		buf_init(&more, 1 << 20);
		buf_append(&more, added[i]);
		buf_append(&more, buf_sv(&out));
		expect_two(buf_sv(&more), DKIM_FAIL, "example.test");
		buf_done(&more);
	}
	buf_init(&more, 1 << 20);       /* what every relay adds is not */
	buf_append(&more, SV("Received: from x\r\nX-Spam: no\r\n"));
	buf_append(&more, buf_sv(&out));
	expect_two(buf_sv(&more), DKIM_PASS, "example.test");
	buf_done(&more);
	buf_done(&out);
}

static void the_nearest_domain_above_the_author_signs(void **state)
{
	struct buf out;
	(void)state;

	sign(SV("From: Mail Delivery <postmaster@mx.Example.test>\r\n" REST), 10, &out);
	expect_two(buf_sv(&out), DKIM_PASS, "example.test");
	buf_done(&out);
}

static void mail_of_strangers_and_without_author_is_not_signed(void **state)
{
	static const struct sv texts[] = {
		SV_INIT("From: a@elsewhere.test\r\n" REST), SV_INIT(REST), SV_INIT(""), SV_INIT("From: nobody\r\n" REST),
		SV_INIT("From: a@test\r\n" REST),
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct buf out;

		sign(texts[i], 10, &out);
		assert_int_equal(out.len, texts[i].len);
		buf_done(&out);
	}
}

static void floods_of_fields_are_sent_without_a_signature(void **state)
{
	struct buf text, out;
	(void)state;

	buf_init(&text, 1 << 20);
	buf_append(&text, SV(FROM));
	for (int i = 0; i < 400; i++)
		buf_append(&text, SV("To: x@y.test\r\n"));
	buf_append(&text, SV("\r\n"));
	sign(buf_sv(&text), 5, &out);
	assert_int_equal(out.len, text.len);
	buf_done(&out);
	buf_done(&text);
}

/* ---- seals ---- */

/* seal - what the chain is now comes from verifying it. */
static void seal(struct sv text, const char *domain, struct buf *out)
{
	struct dkim_verifier *v = verify(text);
	struct signer *s = signer_new_seal(ring, NOW);
	struct signer_seal what = {
		.domain = sv_z(domain), .authserv_id = SV("mx.test"), .chain = dkim_verifier_arc(v),
		.results = SV("spf=pass smtp.mailfrom=example.test;\r\n\tdkim=pass header.d=example.test"),
	};

	buf_init(out, 1 << 20);
	signer_feed(s, sv_sub(text, 0, text.len / 3));
	signer_feed(s, sv_sub(text, text.len / 3, text.len));
	assert_int_equal(signer_finish_seal(s, &what, out).kind, FAULT_NONE);
	assert_true(buf_append(out, text));
	signer_free(&s);
	dkim_verifier_free(&v);
}

static void chains_that_we_seal_hold(void **state)
{
	struct buf one, two, three;
	struct dkim_verifier *v;
	const struct arc_chain *chain;
	(void)state;

	sign(SV(FROM REST), 5, &one);
	seal(buf_sv(&one), "list.test", &two);
	seal(buf_sv(&two), "example.test", &three);
	v = verify(buf_sv(&three));
	chain = dkim_verifier_arc(v);
	assert_string_equal(chain->reason, "");
	assert_int_equal(chain->result, DKIM_PASS);
	assert_int_equal(chain->count, 2);
	assert_true(sv_eq(chain->sets[0].seal_domain, SV("list.test")));
	assert_true(sv_eq(chain->sets[0].message_domain, SV("list.test")));
	assert_true(sv_eq(chain->sets[0].cv, SV("none")));
	assert_true(sv_eq(chain->sets[1].cv, SV("pass")));
	assert_true(sv_starts(chain->sets[1].results, SV("mx.test;")));
	assert_int_equal(dkim_verifier_get(v, 0)->result, DKIM_PASS);
	dkim_verifier_free(&v);
	buf_done(&one);
	buf_done(&two);
	buf_done(&three);
}

static void expect_broken(struct sv text, const char *reason)
{
	struct dkim_verifier *v = verify(text);
	struct buf out;

	assert_string_equal(dkim_verifier_arc(v)->reason, reason);
	assert_int_equal(dkim_verifier_arc(v)->result, DKIM_FAIL);
	dkim_verifier_free(&v);
	seal(text, "list.test", &out);  /* and it is left alone */
	assert_int_equal(out.len, text.len);
	buf_done(&out);
}

static void replace(struct buf *text, struct sv from, struct sv to)
{
	struct buf out;
	size_t at = sv_search(buf_sv(text), from);

	assert_true(at != SIZE_MAX);
	buf_init(&out, 1 << 20);
	buf_append(&out, sv_sub(buf_sv(text), 0, at));
	buf_append(&out, to);
	buf_append(&out, sv_sub(buf_sv(text), at + from.len, text->len));
	buf_done(text);
	*text = out;
}

static void chains_that_were_changed_do_not_hold(void **state)
{
	static const struct {
		struct sv from, to;
		const char *reason;
	} cases[] = {
		{ SV_INIT("Hi "), SV_INIT("Ho "), "the newest message signature does not hold" },
		{ SV_INIT("spf=pass"), SV_INIT("spf=fail"), "a seal does not hold" },
		{ SV_INIT("cv=none"), SV_INIT("cv=pass"), "a seal says nothing of the chain before it" },
		{ SV_INIT("cv=none"), SV_INIT("cv=fail"), "it was broken before it came here" },
		{ SV_INIT("ARC-Seal: i=1;"), SV_INIT("ARC-Seal: i=2;"), "a set is not complete" },
		{ SV_INIT("ARC-Seal: i=1;"), SV_INIT("ARC-Seal: i=51;"), "an instance is no number from 1 to 50" },
		{ SV_INIT("ARC-Seal: i=1;"), SV_INIT("X-Seal: i=1;"), "a set is not complete" },
		{ SV_INIT("ARC-Seal: i=1;"), SV_INIT("ARC-Seal: i=1; a=b\r\nARC-Seal: i=1;"), "a field of a set is there twice" },
		{ SV_INIT("ARC-Seal: i=1;"), SV_INIT("ARC-Seal: i=1; h=from;"), "a seal does not hold" },
		{ SV_INIT("From: Ann"), SV_INIT("From: Eve"), "the newest message signature does not hold" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct buf text;

		seal(SV(FROM REST), "list.test", &text);
		replace(&text, cases[i].from, cases[i].to);
		expect_broken(buf_sv(&text), cases[i].reason);
		buf_done(&text);
	}
}

static void chains_end_at_fifty(void **state)
{
	struct buf text, next;
	struct dkim_verifier *v;
	(void)state;

	buf_init(&text, 1 << 20);
	buf_append(&text, SV(FROM REST));
	for (size_t i = 0; i < DKIM_ARC_SETS_MAX; i++) {
		seal(buf_sv(&text), "list.test", &next);
		assert_true(next.len > text.len);
		buf_done(&text);
		text = next;
	}
	v = verify(buf_sv(&text));
	assert_int_equal(dkim_verifier_arc(v)->result, DKIM_PASS);
	assert_int_equal(dkim_verifier_arc(v)->count, DKIM_ARC_SETS_MAX);
	dkim_verifier_free(&v);
	seal(buf_sv(&text), "list.test", &next);
	assert_int_equal(next.len, text.len);
	buf_done(&next);
	buf_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_signatures_verify_however_the_message_was_cut),
		cmocka_unit_test(lines_of_our_signatures_are_short),
		cmocka_unit_test(what_is_added_afterwards_is_seen),
		cmocka_unit_test(the_nearest_domain_above_the_author_signs),
		cmocka_unit_test(mail_of_strangers_and_without_author_is_not_signed),
		cmocka_unit_test(floods_of_fields_are_sent_without_a_signature),
		cmocka_unit_test(chains_that_we_seal_hold),
		cmocka_unit_test(chains_that_were_changed_do_not_hold),
		cmocka_unit_test(chains_end_at_fifty),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
