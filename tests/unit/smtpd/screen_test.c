/* What a content filter says, made harmless; and rspamd's answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtpd/rspamd.h"

#include "common/banned.h"

static void places_are_an_address_with_a_port_or_a_path(void **state)
{
	struct screen_place p;
	(void)state;

	assert_true(screen_place_parse("127.0.0.1:11332", &p));
	assert_int_equal(p.address.port, 11332);
	assert_true(screen_place_parse("[::1]:1", &p));
	assert_int_equal(p.address.family, NET_IPV6);
	assert_true(screen_place_parse("/run/x.sock", &p));
	assert_int_equal(p.address.family, NET_UNIX);
	assert_int_equal(p.kind, SCREEN_MILTER);
	assert_true(screen_place_parse("rspamd:127.0.0.1:11333", &p));
	assert_int_equal(p.kind, SCREEN_RSPAMD);
	assert_int_equal(p.address.port, 11333);
	assert_true(screen_place_parse("rspamd:/run/rspamd.sock", &p));
	assert_string_equal(p.path, "/run/rspamd.sock");
	assert_false(screen_place_parse("rspamd:", &p));
	assert_false(screen_place_parse("rspamd:localhost:1", &p));
	assert_false(screen_place_parse("none", &p));
	assert_false(screen_place_parse("127.0.0.1", &p));
	assert_false(screen_place_parse("127.0.0.1:0", &p));
	assert_false(screen_place_parse("127.0.0.1:70000", &p));
	assert_false(screen_place_parse("localhost:25", &p));
	assert_false(screen_place_parse("", &p));
}

static void only_fields_of_filters_can_be_taken_out(void **state)
{
	struct screen_verdict v;
	char name[] = "X-A0";
	(void)state;

	screen_verdict_init(&v);
	screen_remove_header(&v, SV("Subject"));
	screen_remove_header(&v, SV("X-Two Words"));
	screen_remove_header(&v, SV("X-A:b"));
	screen_remove_header(&v, SV(""));
	assert_int_equal(v.removed.count, 0);
	screen_remove_header(&v, SV("X-Spam"));
	screen_remove_header(&v, SV("x-spam"));
	assert_int_equal(v.removed.count, 1);
	assert_string_equal(v.removed.names[0], "X-Spam");
	for (unsigned i = 0; i < 2 * SCREEN_REMOVED_MAX; i++) {
		name[3] = (char)('0' + i);
		screen_remove_header(&v, sv_z(name));
	}
	assert_int_equal(v.removed.count, SCREEN_REMOVED_MAX);
	screen_verdict_done(&v);
}

static void each_action_of_rspamd_means_one_thing(void **state)
{
	static const struct {
		const char *json;
		bool is_answer, is_spam;
		enum screen_action action;
		const char *text, *quarantine;
	} table[] = {
		{ "{\"action\":\"no action\",\"score\":0.1}", true, false, SCREEN_ACCEPT, "", "" },
		{ "{\"action\":\"greylist\"}", true, false, SCREEN_ACCEPT, "", "" },
		{ "{\"action\":\"add header\"}", true, true, SCREEN_ACCEPT, "", "" },
		{ "{\"action\":\"rewrite subject\",\"subject\":\"SPAM\"}", true, true, SCREEN_ACCEPT, "", "" },
		{ "{\"action\":\"soft reject\",\"messages\":{\"smtp_message\":\"Later\\r\\n250 OK\"}}", true, false, SCREEN_DEFER, "Later  250 OK", "" },
		{ "{\"action\":\"reject\",\"messages\":{\"smtp_message\":7}}", true, false, SCREEN_REJECT, "", "" },
		{ "{\"action\":\"discard\"}", true, false, SCREEN_DISCARD, "", "" },
		{ "{\"action\":\"quarantine\"}", true, false, SCREEN_ACCEPT, "", "quarantine" },
		{ "{\"action\":\"our own\",\"messages\":[]}", true, false, SCREEN_ACCEPT, "", "" },
		{ "{\"action\":[]}", false, false, SCREEN_ACCEPT, "", "" },
		{ "{\"error\":\"cannot parse\"}", false, false, SCREEN_ACCEPT, "", "" },
		{ "[]", false, false, SCREEN_ACCEPT, "", "" },
		{ "", false, false, SCREEN_ACCEPT, "", "" },
		{ "{\"action\":\"reject\"", false, false, SCREEN_ACCEPT, "", "" },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		struct screen_verdict v;

		screen_verdict_init(&v);
		assert_int_equal(rspamd_take_answer(sv_z(table[i].json), &v), table[i].is_answer);
		assert_int_equal(v.action, table[i].action);
		assert_int_equal(v.is_spam, table[i].is_spam);
		assert_string_equal(v.text, table[i].text);
		assert_string_equal(v.quarantine, table[i].quarantine);
		screen_verdict_done(&v);
	}
}

static void rspamds_fields_are_added_and_taken_out(void **state)
{
	static const char json[] =
		"{\"action\":\"add header\",\"score\":8,\"required_score\":15.0,"
		"\"symbols\":{\"BAD_ONE\":{\"name\":\"BAD_ONE\",\"score\":7.5},\"EVIL\\r\\nBcc: x\":{\"score\":1},\"HUGE\":{\"score\":1e300}},"
		"\"milter\":{\"remove_headers\":{\"X-Old\":0,\"Subject\":1},"
		"\"add_headers\":{\"X-One\":\"a\",\"X-Two\":{\"value\":\"b\\n\\tc\",\"order\":0},\"X-Three\":[{\"value\":\"d\"},\"e\",7],\"Bad Name\":\"f\"}}}";
	struct screen_verdict v;
	(void)state;

	screen_verdict_init(&v);
	assert_true(rspamd_take_answer(sv_z(json), &v));
	assert_true(sv_eq(buf_sv(&v.headers), SV("X-One: a\r\nX-Two: b\r\n\tc\r\nX-Three: d\r\nX-Three: e\r\n"
						 "X-Spamd-Result: default: True [8.00 / 15.00];\r\n\tBAD_ONE(7.50);\r\n\tHUGE(0.00)\r\n"
						 "X-Spam: Yes\r\n")));
	assert_int_equal(v.removed.count, 3);
	assert_string_equal(v.removed.names[0], "X-Old");
	assert_string_equal(v.removed.names[1], "X-Spamd-Result");
	assert_string_equal(v.removed.names[2], "X-Spam");
	screen_verdict_done(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_are_an_address_with_a_port_or_a_path),
		cmocka_unit_test(only_fields_of_filters_can_be_taken_out),
		cmocka_unit_test(each_action_of_rspamd_means_one_thing),
		cmocka_unit_test(rspamds_fields_are_added_and_taken_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
