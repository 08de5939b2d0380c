/* A message in canonical form: RFC 6376 §3.4, each case cut at every octet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/canon.h"

static void digest_of(struct sv text, uint8_t out[CANON_HASH])
{
	uint8_t hash[CRYPT_HASH_MAX];

	crypt_digest(CRYPT_SHA256, text, hash);
	memcpy(out, hash, CANON_HASH);
}

struct body_case {
	struct sv body, simple, relaxed;
};
static const struct body_case bodies[] = {
	/* RFC 6376 §3.4.5 */
	{ SV_INIT(" C \r\nD \t E\r\n\r\n\r\n"), SV_INIT(" C \r\nD \t E\r\n"), SV_INIT(" C\r\nD E\r\n") },
	/* §3.4.3, §3.4.4: without body */
	{ SV_INIT(""), SV_INIT("\r\n"), SV_INIT("") },
	{ SV_INIT("\r\n\r\n"), SV_INIT("\r\n"), SV_INIT("") },
	{ SV_INIT("no end"), SV_INIT("no end\r\n"), SV_INIT("no end\r\n") },
	{ SV_INIT("\r\n\r\na\r\n\r\nb \r\n"), SV_INIT("\r\n\r\na\r\n\r\nb \r\n"), SV_INIT("\r\n\r\na\r\n\r\nb\r\n") },
	{ SV_INIT("a\r\n \t\r\n\t\r\n"), SV_INIT("a\r\n \t\r\n\t\r\n"), SV_INIT("a\r\n") },
	{ SV_INIT(" "), SV_INIT(" \r\n"), SV_INIT("") },
	{ SV_INIT("\ta\t\tb"), SV_INIT("\ta\t\tb\r\n"), SV_INIT(" a b\r\n") },
	/* a bare LF counts as a line end, a bare CR as an octet */
	{ SV_INIT("a\nb\n\n"), SV_INIT("a\r\nb\r\n"), SV_INIT("a\r\nb\r\n") },
	{ SV_INIT("a\rb \r\r\nc\r"), SV_INIT("a\rb \r\r\nc\r\r\n"), SV_INIT("a\rb \r\r\nc\r\r\n") },
};

static void check_body(const struct body_case *c, enum canon how, struct sv want)
{
	for (size_t cut = 0; cut <= c->body.len; cut++) {
		struct canon_message m;
		uint8_t got[CANON_HASH], again[CANON_HASH], expected[CANON_HASH];
		struct sv in = SV("A: b\r\n\r\n");

		canon_init(&m);
		assert_true(canon_header(&m, &in));
		canon_want_body(&m, how);
		canon_body(&m, sv_sub(c->body, 0, cut));
		canon_body(&m, sv_sub(c->body, cut, c->body.len));
		canon_body_hash(&m, how, got);
		canon_body_hash(&m, how, again);
		digest_of(want, expected);
		assert_memory_equal(got, expected, CANON_HASH);
		assert_memory_equal(again, expected, CANON_HASH);
		canon_done(&m);
	}
}

static void bodies_are_hashed_in_canonical_form(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bodies); i++) {
		check_body(&bodies[i], CANON_SIMPLE, bodies[i].simple);
		check_body(&bodies[i], CANON_RELAXED, bodies[i].relaxed);
	}
}

static void long_lines_and_many_empty_ones_are_exact(void **state)
{
	struct canon_message m;
	struct sv in = SV("\r\n");
	struct buf body;
	uint8_t got[CANON_HASH], expected[CANON_HASH];
	(void)state;

	buf_init(&body, 1 << 20);
	for (int i = 0; i < 3000; i++)
		buf_append(&body, i % 7 ? SV("\r\n") : SV("0123456789"));
	for (int i = 0; i < 3000; i++)
		buf_append_c(&body, (char)('a' + i % 26));
	buf_append(&body, SV("\r\n"));
	canon_init(&m);
	assert_true(canon_header(&m, &in));
	canon_want_body(&m, CANON_SIMPLE);
	canon_want_body(&m, CANON_RELAXED);
	canon_body(&m, buf_sv(&body));
	digest_of(buf_sv(&body), expected);
	canon_body_hash(&m, CANON_SIMPLE, got);
	assert_memory_equal(got, expected, CANON_HASH);
	canon_body_hash(&m, CANON_RELAXED, got);
	assert_memory_equal(got, expected, CANON_HASH);
	canon_done(&m);
	buf_done(&body);
}

static void check_fields(struct sv header, enum canon how, struct sv names, struct sv want)
{
	struct canon_message m;
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t got[CRYPT_HASH_MAX], expected[CANON_HASH];

	canon_init(&m);
	if (!canon_header(&m, &header))
		assert_true(canon_header_finish(&m));
	assert_true(canon_add_named(&m, d, how, names, SIZE_MAX));
	crypt_digest_get(d, got);
	digest_of(want, expected);
	assert_memory_equal(got, expected, CANON_HASH);
	crypt_digest_free(&d);
	canon_done(&m);
}

static void fields_are_hashed_in_canonical_form(void **state)
{
	struct sv rfc = SV("A: X\r\nB : Y\t\r\n\tZ  \r\n\r\n");
	(void)state;

	check_fields(rfc, CANON_RELAXED, SV("a:b"), SV("a:X\r\nb:Y Z\r\n"));
	check_fields(rfc, CANON_SIMPLE, SV("a:b"), SV("A: X\r\nB : Y\t\r\n\tZ  \r\n"));
	check_fields(SV("A:\r\n \r\nB: x"), CANON_RELAXED, SV("A:B"), SV("a:\r\nb:x\r\n"));
	check_fields(SV("A: x\nB: y\n z\n"), CANON_SIMPLE, SV("B:A"), SV("B: y\r\n z\r\nA: x\r\n"));
}

static void fields_are_picked_from_the_bottom_up(void **state)
{
	struct sv text = SV("A: 1\r\nB: 2\r\nno field\r\na: 3\r\nA: 4\r\n\r\n");
	(void)state;

	check_fields(text, CANON_RELAXED, SV("A"), SV("a:4\r\n"));
	check_fields(text, CANON_RELAXED, SV("A:B:a"), SV("a:4\r\nb:2\r\na:3\r\n"));
	check_fields(text, CANON_RELAXED, SV("A:A:A:A:A:C"), SV("a:4\r\na:3\r\na:1\r\n"));
	check_fields(text, CANON_RELAXED, SV("::no field:"), SV(""));
}

static void a_signature_is_hashed_without_its_value(void **state)
{
	static const struct {
		struct sv raw, want;
	} cases[] = {
		{ SV_INIT("S: a=1; b=xyz\r\n xyz; c=2\r\n"), SV_INIT("s:a=1; b=; c=2") },
		{ SV_INIT("S: bh=1; b = x= ; c=b=3\r\n"), SV_INIT("s:bh=1; b =; c=b=3") },
		{ SV_INIT("S: b=x"), SV_INIT("s:b=") },
		{ SV_INIT("S: a=1\r\n"), SV_INIT("s:a=1") },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
		uint8_t got[CRYPT_HASH_MAX], want[CANON_HASH];

		canon_add_signature(d, CANON_RELAXED, cases[i].raw, true);
		crypt_digest_get(d, got);
		digest_of(cases[i].want, want);
		assert_memory_equal(got, want, CANON_HASH);
		crypt_digest_free(&d);
	}
}

static void a_header_beyond_the_limits_is_not_kept(void **state)
{
	struct canon_message m;
	struct sv in = SV("\r\n");
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	struct buf names;
	(void)state;

	canon_init(&m);
	for (int i = 0; i < CANON_FIELDS_MAX + 2; i++) {
		struct sv field = SV("A: b\r\n");
		assert_false(canon_header(&m, &field));
	}
	assert_true(canon_header(&m, &in));
	assert_true(canon_is_over(&m));
	assert_int_equal(canon_field_count(&m), 0);
	canon_done(&m);

	canon_init(&m);
	for (int i = 0; i < 300; i++) {
		char line[1000];
		struct sv field = sv_from(line, sizeof(line));

		memset(line, 'x', sizeof(line));
		memcpy(line, "A: ", 3);
		line[sizeof(line) - 1] = '\n';
		assert_false(canon_header(&m, &field));
	}
	in = SV("\r\n");
	assert_true(canon_header(&m, &in));
	assert_true(canon_is_over(&m));
	buf_init(&names, 10000);
	for (int i = 0; i < CANON_NAMES_MAX; i++)
		buf_append(&names, SV("x:"));
	names.len--;
	assert_true(canon_add_named(&m, d, CANON_SIMPLE, buf_sv(&names), SIZE_MAX));
	buf_append(&names, SV(":x"));
	assert_false(canon_add_named(&m, d, CANON_SIMPLE, buf_sv(&names), SIZE_MAX));
	buf_done(&names);
	crypt_digest_free(&d);
	canon_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bodies_are_hashed_in_canonical_form),
		cmocka_unit_test(long_lines_and_many_empty_ones_are_exact),
		cmocka_unit_test(fields_are_hashed_in_canonical_form),
		cmocka_unit_test(fields_are_picked_from_the_bottom_up),
		cmocka_unit_test(a_signature_is_hashed_without_its_value),
		cmocka_unit_test(a_header_beyond_the_limits_is_not_kept),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
