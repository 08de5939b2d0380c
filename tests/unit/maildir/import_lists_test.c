/* Lists of other servers: what they say, and that nonsense and cut files do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/import_lists.h"

static bool note_entry(void *arg, const struct list_entry *e)
{
	buf_appendf(arg, "%u %.*s %s\n", e->uid, SV_FMT(e->file), e->uidl);
	return true;
}

typedef struct fault list_fn(struct sv text, struct list_head *head, list_entry_fn *fn, void *arg);

static void check_list(list_fn *list, const char *text, uint32_t uidvalidity, uint32_t uidnext, uint64_t bad,
		       const char *expected)
{
	struct list_head head;
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(list(sv_z(text), &head, note_entry, &out).kind, FAULT_NONE);
	assert_string_equal(out.len ? buf_z(&out) : "", expected);
	assert_int_equal(head.uidvalidity, uidvalidity);
	assert_int_equal(head.uidnext, uidnext);
	assert_int_equal(head.bad_lines, bad);
	buf_done(&out);
}

static void uid_lists_of_dovecot_and_courier_are_read(void **state)
{
	(void)state;
	check_list(list_uids, "3 V1795292441 N9 Gd1eabd3117fd016b5a42000083ecc375\n"
		   "1 :1.M1P1.vm,S=19,W=21\n3 W21 PUID3-99 O7 :2.a b.vm:2,S\n", 1795292441, 9, 0,
		   "1 1.M1P1.vm,S=19,W=21 \n3 2.a b.vm UID3-99\n");
	check_list(list_uids, "1 795292586 3\n1 1.M1.vm,S=19\n2 2.M2.vm\n", 795292586, 3, 0,
		   "1 1.M1.vm,S=19 \n2 2.M2.vm \n");
}

static void entries_behind_the_head_raise_uidnext(void **state)
{
	(void)state;
	check_list(list_uids, "3 V7 N2\n1 :a\n5 :b\n", 7, 6, 0, "1 a \n5 b \n");
}

static void lines_that_make_no_sense_are_counted(void **state)
{
	(void)state;
	check_list(list_uids, "3 V7 N2\nx :a\n0 :b\n4294967295 :c\n4294967296 :d\n2 Wx\n3 :\n\n4 :e\n", 7, 5, 6, "4 e \n");
	check_list(list_courier_pop3, "/3 3 9\nfile\nfile 1\nfile x 1:2\nfile 1 1\n 5 1:2\nok 5 1:2:0\n", 0, 0, 5,
		   "0 ok UID1-2\n");
}

static void each_form_of_courier_pop3_id_is_known(void **state)
{
	(void)state;
	check_list(list_courier_pop3, "/3 3 1795292589\n1.M1.vm,S=19:2,S 22 1:1795292589:0\nwith space 22 2:0:0\n", 0, 0, 0,
		   "0 1.M1.vm,S=19 UID1-1795292589\n0 with space UID2\n");
	check_list(list_courier_pop3, "/2 3 9\n1.M1.v+m:2,S 22 0:0\n", 0, 0, 0, "0 1.M1.v+m 1.M1.v+2Bm\n");
}

static void wrong_first_lines_are_faults(void **state)
{
	static const char *const uids[] = { "", "\n", "2 V1 N1\n", "3 N5\n", "3 V0 N1\n", "3 Vx N1\n", "1 0 1\n", "1 5\n",
					    "3", "V1 3\n" };
	static const char *const pops[] = { "", "/4 1 1\n", "1 2 3\n", "/\n" };
	struct list_head head;
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	for (size_t i = 0; i < ARRAY_LEN(uids); i++)
		assert_int_equal(list_uids(sv_z(uids[i]), &head, note_entry, &out).kind, FAULT_CORRUPT);
	for (size_t i = 0; i < ARRAY_LEN(pops); i++)
		assert_int_equal(list_courier_pop3(sv_z(pops[i]), &head, note_entry, &out).kind, FAULT_CORRUPT);
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

static bool note_keyword(void *arg, uint32_t n, struct sv name)
{
	return buf_appendf(arg, "%u=%.*s ", n, SV_FMT(name));
}

static bool note_numbers(void *arg, struct sv file, struct sv numbers)
{
	return buf_appendf(arg, "%.*s:%.*s ", SV_FMT(file), SV_FMT(numbers));
}

static bool note_name(void *arg, struct sv name)
{
	return buf_appendf(arg, "%.*s;", SV_FMT(name));
}

static void keywords_and_subscriptions_are_read(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 4096);
	assert_int_equal(list_dovecot_keywords(SV("0 $Forwarded\n1 kw2\nx\n3 \n30 late\n"), note_keyword, &out), 2);
	assert_string_equal(buf_z(&out), "0=$Forwarded 1=kw2 30=late ");
	buf_clear(&out);
	assert_int_equal(list_courier_keywords(SV("a\nb\n\nf,S=1:0 1\ng:2,S:1\nbad\n"), note_keyword, note_numbers, &out), 1);
	assert_string_equal(buf_z(&out), "0=a 1=b f,S=1:0 1 g:1 ");
	buf_clear(&out);
	assert_int_equal(list_subscriptions(SV("V\t2\n\nEntw&APw-rfe\tSub\na&-b\n\tx\n"), '.', note_name, &out), 1);
	assert_string_equal(buf_z(&out), "Entwürfe/Sub;a&b;");
	buf_clear(&out);
	assert_int_equal(list_subscriptions(SV("INBOX.Entwürfe.Sub\nINBOX\nINBOX.Sent\nx..y\n"), '.', note_name, &out), 1);
	assert_string_equal(buf_z(&out), "Entwürfe/Sub;INBOX;Sent;");
	buf_clear(&out);
	assert_int_equal(list_subscriptions(SV("lists/v1.0\r\n"), '/', note_name, &out), 0);
	assert_string_equal(buf_z(&out), "lists/v1.0;");
	buf_done(&out);
}

static void uidl_formats_are_worked_out(void **state)
{
	static const struct { const char *format, *expected; } cases[] = {
		{ "%08Xu%08Xv", "0000000c6b01fd19" }, { "%v.%u", "1795292441.12" }, { "%Xv%Xu", "6b01fd19c" },
		{ "%f", "1.M1.vm,S=19" }, { "%g", "1.M1.vm" }, { "UID%u-%v", "UID12-1795292441" }, { "%u%%", "12%" },
		{ "%4u", NULL }, { "%m", NULL }, { "%Mf", NULL }, { "", NULL }, { "%", NULL }, { "%1u", NULL },
		{ "%99999999999u", NULL }, { "%04u", "0012" },
	};
	struct buf out;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_init(&out, 256);
		bool ok = uidl_format(sv_z(cases[i].format), 12, 1795292441, SV("1.M1.vm,S=19"), &out);
		assert_int_equal(ok, cases[i].expected != NULL);
		if (ok)
			assert_string_equal(buf_z(&out), cases[i].expected);
		buf_done(&out);
	}
}

/* Cut anywhere, from memory of the exact size: no octet too far, and what is whole is still told. */
static void lists_may_be_cut_anywhere(void **state)
{
	static const char uids[] = "3 V1795292441 N9 Gd1\n1 :1.M1P1.vm,S=19\n3 W21 PUID3-99 O7 :2.a.vm:2,S\n";
	static const char pop3[] = "/3 3 9\n1.M1.vm,S=19:2,S 22 1:9:0\nb 22 0:0:0\n";
	static const char words[] = "V\t2\n\nEntw&APw-rfe\tSub\n0 kw\n\nfile:0 1\n%08Xu";
	struct list_head head;
	struct buf out;

	(void)state;
	buf_init(&out, 65536);
	for (size_t n = 0; n < sizeof(uids); n++) {
		char *copy = xmalloc(n + 1);
		memcpy(copy, uids, n);
		copy = xrealloc(copy, n ? n : 1);
		struct fault f = list_uids(sv_from(copy, n), &head, note_entry, &out);
		assert_true(f.kind == FAULT_NONE || n < 16);
		free(copy);
	}
	for (size_t n = 0; n < sizeof(pop3); n++) {
		char *copy = xmalloc(n ? n : 1);
		memcpy(copy, pop3, n);
		(void)!list_courier_pop3(sv_from(copy, n), &head, note_entry, &out).kind;
		free(copy);
	}
	for (size_t n = 0; n < sizeof(words); n++) {
		char *copy = xmalloc(n ? n : 1);
		memcpy(copy, words, n);
		list_dovecot_keywords(sv_from(copy, n), note_keyword, &out);
		list_courier_keywords(sv_from(copy, n), note_keyword, note_numbers, &out);
		list_subscriptions(sv_from(copy, n), '.', note_name, &out);
		buf_clear(&out);
		(void)uidl_format(sv_from(copy, n), 1, 2, sv_from(copy, n), &out);
		free(copy);
	}
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uid_lists_of_dovecot_and_courier_are_read),
		cmocka_unit_test(entries_behind_the_head_raise_uidnext),
		cmocka_unit_test(lines_that_make_no_sense_are_counted),
		cmocka_unit_test(each_form_of_courier_pop3_id_is_known),
		cmocka_unit_test(wrong_first_lines_are_faults),
		cmocka_unit_test(keywords_and_subscriptions_are_read),
		cmocka_unit_test(uidl_formats_are_worked_out),
		cmocka_unit_test(lists_may_be_cut_anywhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
