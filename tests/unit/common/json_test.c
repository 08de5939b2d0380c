/* JSON: what is written is JSON whatever octets come in; what is read is exactly one bounded value.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

static void everything_can_be_written_and_read_back(void **state)
{
	struct buf text;
	struct json_out j;
	struct json *v;
	const struct json *list;
	struct sv s;
	uint64_t n;
	int64_t i;
	bool yes = false;
	(void)state;

	buf_init(&text, 4096);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_sv(&j, "text", SV("a\"b\\c\n\x01\x7f\xc3\xbc"));
	json_out_sv(&j, "bad", SV("x\xff\xc3"));
	json_out_z(&j, "nothing", NULL);
	json_out_u64(&j, "n", 9223372036854775807u);
	json_out_i64(&j, "i", INT64_MIN);
	json_out_bool(&j, "yes", true);
	json_out_array(&j, "list");
	json_out_u64(&j, NULL, 1);
	json_out_object(&j, NULL);
	json_out_object_end(&j);
	json_out_array(&j, NULL);
	json_out_array_end(&j);
	json_out_array_end(&j);
	json_out_object_end(&j);
	assert_false(j.overflow);
	assert_int_equal(j.depth, 0);
	assert_int_not_equal(sv_search(buf_sv(&text), SV("\"bad\":\"x\xef\xbf\xbd\xef\xbf\xbd\"")),
			     SIZE_MAX);
	assert_int_not_equal(sv_search(buf_sv(&text), SV("\"list\":[1,{},[]]}")), SIZE_MAX);

	assert_int_equal(json_parse(buf_sv(&text), &v).kind, FAULT_NONE);
	assert_true(json_get_sv(v, "text", &s));
	assert_true(sv_eq(s, SV("a\"b\\c\n\x01\x7f\xc3\xbc")));
	assert_true(json_get_u64(v, "n", &n) && n == INT64_MAX);
	assert_true(json_to_i64(json_get(v, "i"), &i) && i == INT64_MIN);
	assert_false(json_get_u64(v, "i", &n));
	assert_true(json_get_bool(v, "yes", &yes) && yes);
	list = json_get(v, "list");
	assert_int_equal(json_count(list), 3);
	assert_true(json_value_is_object(json_at(list, 1)));
	assert_null(json_at(list, 3));
	assert_null(json_get(v, "absent"));
	assert_null(json_get(NULL, "absent"));
	assert_false(json_get_sv(v, "n", &s));
	assert_int_equal(json_count(v), 0);
	buf_clear(&text);
	json_out_init(&j, &text);
	json_out_value(&j, NULL, list);
	assert_true(sv_eq(buf_sv(&text), SV("[1,{},[]]")));
	json_free(&v);
	assert_null(v);
	buf_done(&text);
}

static void a_full_buffer_is_noticed(void **state)
{
	struct buf text;
	struct json_out j;
	(void)state;

	buf_init(&text, 16);
	json_out_init(&j, &text);
	json_out_object(&j, NULL);
	json_out_z(&j, "name", "much too long");
	json_out_object_end(&j);
	assert_true(j.overflow);
	assert_true(text.len <= 16);
	buf_done(&text);
}

static void only_one_strict_bounded_value_is_read(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"1",
		"\"x\"",
		"null",
		"{",
		"{}}",
		"{} {}",
		"{\"a\":1,\"a\":2}",
		"{\"a\":}",
		"{'a':1}",
		"[1,]",
		"[01]",
		"{\"a\":\"\\u0000\"}",
		"{\"a\":\"\xff\"}",
		"{\"a\":\"\n\"}",
		"[1e999]",
		"[99999999999999999999]",
		"[nan]",
		"// x\n{}",
		"[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]",
	};
	char deep[1000];
	struct json *v = NULL;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct sv text = sv_z(bad[i]);
		char *exact = xmalloc(text.len);

		memcpy(exact, text.p, text.len);
		if (json_parse(sv_from(exact, text.len), &v).kind != FAULT_INVALID)
			fail_msg("read: %s", bad[i]);
		free(exact);
	}
	memset(deep, '[', sizeof(deep));
	assert_int_equal(json_parse(sv_from(deep, sizeof(deep)), &v).kind, FAULT_INVALID);
	assert_null(v);
	/* Brackets in strings are text. */
	assert_int_equal(json_parse(SV("{\"a\":\"[[[[[[[[[[[[[[[[[[[[[\\\"[[\"}"), &v).kind,
			 FAULT_NONE);
	json_free(&v);
}

static void count_member(void *arg, const char *name, const struct json *value)
{
	struct sv s;

	assert_true(json_to_sv(value, &s));
	assert_true(sv_eq(s, sv_z(name)));
	++*(unsigned *)arg;
}

static void members_are_visited(void **state)
{
	struct json *v;
	unsigned n = 0;
	(void)state;

	assert_int_equal(json_parse(SV("{\"a\":\"a\",\"b\":\"b\"}"), &v).kind, FAULT_NONE);
	json_iterate(v, count_member, &n);
	assert_int_equal(n, 2);
	json_free(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(everything_can_be_written_and_read_back),
		cmocka_unit_test(a_full_buffer_is_noticed),
		cmocka_unit_test(only_one_strict_bounded_value_is_read),
		cmocka_unit_test(members_are_visited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
