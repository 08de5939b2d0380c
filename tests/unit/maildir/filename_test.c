/* Message file names: ours go both ways, other people's are understood. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/crypt.h"
#include "maildir/filename.h"

static void our_names_go_both_ways(void **state)
{
	static const char *const cases[] = {
		"1795288000.mabcdefghijklmnopqrstuvwxy.mail.example.test,S=123,W=123,U=1795288000.42:2,",
		"1795288000.mabcdefghijklmnopqrstuvwxy.host,S=0,W=0,U=1.4294967295,T=-5,Z=17,K=3ffffffffffffffffffffffff:2,DFPRSTabz",
		"1795288000.x.host,S=18446744073709551615,W=9,U=1.1,K=1:2,S",
		"1.a.b:2,",
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct filename n;
		char out[FILENAME_MAX_LEN + 1];
		assert_true(filename_parse(sv_z(cases[i]), &n));
		assert_true(n.is_valid_base);
		assert_true(filename_write(&n, out));
		assert_string_equal(out, cases[i]);
	}
}

static void fields_mean_what_they_say(void **state)
{
	struct filename n;
	(void)state;
	assert_true(filename_parse(SV("1700000000.mxyz.h,S=10,W=12,U=5.7,T=1600000000,K=80000001:2,FPSTbz"), &n));
	assert_true(n.saved == 1700000000 && n.size == 10 && n.wire_size == 12 && n.internaldate == 1600000000);
	assert_true(n.uidvalidity == 5 && n.uid == 7 && sv_eq(n.id, SV("mxyz")));
	assert_int_equal(n.flags, FLAG_FLAGGED | FLAG_SEEN | FLAG_DELETED);
	assert_int_equal(n.other_flags, 1u << ('P' - 'A'));
	assert_true(n.keywords.w[0] == (2ull | 1ull << 25 | 1ull << 26 | 1ull << 57) && !n.keywords.w[1]);
}

static void names_of_other_programs_are_tolerated(void **state)
{
	static const struct { const char *name; bool size, uid; uint32_t flags; } cases[] = {
		{ "1199932653.M583939P26276V0000000000000801I0005A9D6_0.host,S=4542:2,S", true, false, FLAG_SEEN },  /* Dovecot */
		{ "1199932653.M1.host,S=4542,W=4600:2,RS", true, false, FLAG_SEEN | FLAG_ANSWERED },
		{ "1199932653.1234_1.host", false, false, 0 },                 /* new/ of qmail */
		{ "message", false, false, 0 }, { "1.a.b:1,xyz", false, false, 0 }, { "1.a.b:2,F,S", false, false, FLAG_FLAGGED },
		{ "1.a.b,S=x,U=1,U=0.5:2,", false, false, 0 }, { "1.a.b,U=1.0:2,", false, false, 0 },
		{ "1.a.b,S=99999999999999999999,K=zz,,=,Q=1:2,", false, false, 0 },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct filename n;
		assert_true(filename_parse(sv_z(cases[i].name), &n));
		assert_int_equal(n.has_size, cases[i].size);
		assert_int_equal(n.has_uid, cases[i].uid);
		assert_int_equal(n.flags, cases[i].flags);
		assert_false(n.keywords.w[0] || n.keywords.w[1]);
	}
	static const char *const bad[] = { "", ".hidden", "a/b", "a\nb", ",S=1", ":2,S" };
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct filename n;
		assert_false(filename_parse(sv_z(bad[i]), &n));
	}
}

static void a_slash_or_a_control_character_is_found_wherever_it_stands(void **state)
{
	char name[] = "1700000000.mxyz.host,S=10:2,S";
	struct filename n;
	(void)state;
	for (size_t i = 0; i < sizeof(name) - 1; i++)
		for (int c = 0; c < 256; c++) {
			char was = name[i];
			name[i] = (char)c;
			bool is_foul = c < 0x20 || c == 0x7f || c == '/' || (!i && (c == '.' || c == ',' || c == ':'));
			assert_int_equal(filename_parse(sv_from(name, sizeof(name) - 1), &n), !is_foul);
			name[i] = was;
		}
}

static void the_longest_name_of_ours_fits_a_directory_entry(void **state)
{
	char base[FILENAME_BASE_MAX + 1], out[FILENAME_MAX_LEN + 1];
	struct filename n = {
		.base = { base, FILENAME_BASE_MAX }, .has_size = true, .has_wire_size = true, .has_uid = true,
		.has_internaldate = true, .size = 99999999999, .wire_size = 99999999999, .uidvalidity = UINT32_MAX,
		.uid = UINT32_MAX, .internaldate = 99999999999, .keywords = { { UINT64_MAX, UINT64_MAX } }, .flags = 31,
	};
	(void)state;
	memset(base, 'x', sizeof(base));
	assert_true(filename_write(&n, out));
	n.base.len = 300;
	char longer[300];
	memset(longer, 'x', sizeof(longer));
	n.base.p = longer;
	assert_false(filename_write(&n, out));
}

static void ids_are_stable_and_email_ids_follow_them(void **state)
{
	char a[FILENAME_ID_LEN + 1], b[FILENAME_ID_LEN + 1], text[24];
	uint8_t digest[16];
	(void)state;
	filename_dedup_id(SV("q17 alice@example.test"), a);
	filename_dedup_id(SV("q17 alice@example.test"), b);
	assert_string_equal(a, b);
	assert_true(filename_is_dedup_id(sv_z(a)));
	struct crypt_digest *octets = crypt_digest_new(CRYPT_SHA256);
	crypt_digest_add(octets, SV("one "));
	filename_content_id(octets, a);
	crypt_digest_add(octets, SV("letter"));
	filename_content_id(octets, b);
	assert_string_not_equal(a, b);
	assert_true(filename_is_content_id(sv_z(b)));
	assert_false(filename_is_dedup_id(sv_z(b)));
	crypt_digest_free(&octets);
	octets = crypt_digest_new(CRYPT_SHA256);
	crypt_digest_add(octets, SV("one letter"));
	filename_content_id(octets, a);
	assert_string_equal(a, b);
	crypt_digest_free(&octets);
	filename_email_digest(SV("abc"), digest);
	filename_email_id(digest, text);
	assert_string_equal(text, "MungWv48Bz-pBQUDeXa4iIw");   /* SHA-256("abc") = ba7816bf 8f01cfea 414140de 5dae2223 */
	assert_true(filename_same_but_flags(SV("a,S=1:2,S"), SV("a,S=1:2,")));
	assert_true(filename_same_but_flags(SV("a,S=1"), SV("a,S=1:2,")));
	assert_false(filename_same_but_flags(SV("a,S=1:2,"), SV("a,S=11:2,")));
	/* Keywords beyond the letters stand before the colon, and are flags all the same. */
	assert_true(filename_same_but_flags(SV("a,S=1,U=7.1,K=40:2,S"), SV("a,S=1,U=7.1:2,")));
	assert_true(filename_same_but_flags(SV("a,S=1,U=7.1,K=40:2,S"), SV("a,S=1,U=7.1,K=1:2,")));
	assert_false(filename_same_but_flags(SV("a,S=1,U=7.1,K=40:2,S"), SV("a,S=1,U=7.2,K=40:2,S")));
	assert_false(filename_same_but_flags(SV("a,S=1,U=7.1,K=40"), SV("a,S=1")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_names_go_both_ways),
		cmocka_unit_test(fields_mean_what_they_say),
		cmocka_unit_test(names_of_other_programs_are_tolerated),
		cmocka_unit_test(a_slash_or_a_control_character_is_found_wherever_it_stands),
		cmocka_unit_test(the_longest_name_of_ours_fits_a_directory_entry),
		cmocka_unit_test(ids_are_stable_and_email_ids_follow_them),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
