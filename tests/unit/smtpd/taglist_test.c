/* Lists of tags: what is one, what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/taglist.h"

static void tags_are_found_by_name(void **state)
{
	struct taglist list;
	struct sv value;
	(void)state;

	assert_true(taglist_parse(SV(" v = 1 ;a=rsa-sha256;\r\n\th=from : to:\r\n subject ;b=; "), &list));
	assert_int_equal(list.count, 4);
	assert_true(taglist_is(&list, SV("v"), SV("1")));
	assert_false(taglist_is(&list, SV("V"), SV("1")));
	assert_true(taglist_is(&list, SV("a"), SV("RSA-SHA256")));
	assert_true(taglist_get(&list, SV("b"), &value));
	assert_int_equal(value.len, 0);
	assert_false(taglist_get(&list, SV("x"), &value));
	assert_true(taglist_has_word(&list, SV("h"), ':', SV("Subject")));
	assert_false(taglist_has_word(&list, SV("h"), ':', SV("sub")));
	assert_false(taglist_has_word(&list, SV("x"), ':', SV("sub")));
	assert_true(taglist_parse(SV(""), &list));
	assert_int_equal(list.count, 0);
}

static void what_is_no_list_of_tags_is_refused(void **state)
{
	static const struct sv bad[] = {
		SV_INIT("v"), SV_INIT("v=1;;a=2"), SV_INIT("=1"), SV_INIT("1=1"), SV_INIT("a b=1"), SV_INIT("v=1; v=2"),
		SV_INIT(";"), SV_INIT("v=1;\0=2"),
	};
	struct taglist list;
	struct buf many;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		/* a single ";" is an empty list with a last ";" */
		bool is_empty = sv_eq(bad[i], SV(";"));
		assert_int_equal(taglist_parse(bad[i], &list), is_empty);
		assert_int_equal(list.count, 0);
	}
	buf_init(&many, 1000);
	for (int i = 0; i < TAGLIST_MAX; i++)
		buf_appendf(&many, "t%d=x;", i);
	assert_true(taglist_parse(buf_sv(&many), &list));
	buf_append(&many, SV("more=x"));
	assert_false(taglist_parse(buf_sv(&many), &list));
	buf_done(&many);
}

static void base64_may_be_folded(void **state)
{
	struct taglist list;
	struct buf out;
	(void)state;

	buf_init(&out, 16);
	assert_true(taglist_parse(SV("p=aGVs\r\n bG8=; q=a; r=aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8="), &list));
	assert_true(taglist_base64(&list, SV("p"), &out));
	assert_true(sv_eq(buf_sv(&out), SV("hello")));
	assert_false(taglist_base64(&list, SV("q"), &out));
	assert_false(taglist_base64(&list, SV("r"), &out));
	assert_false(taglist_base64(&list, SV("s"), &out));
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tags_are_found_by_name),
		cmocka_unit_test(what_is_no_list_of_tags_is_refused),
		cmocka_unit_test(base64_may_be_folded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
