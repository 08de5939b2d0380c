/* Authentication-Results: words of strangers stay in their place, and others' results are read as what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "smtpd/authres.h"

#include "common/banned.h"

static void a_result_is_only_what_a_method_says(void **state)
{
	static const struct { const char *text; bool has; } table[] = {
		{ " dmarc=pass", true }, { " spf=fail; dmarc=pass header.from=a.example", true },
		{ " spf=fail;\r\n\tDMARC = Pass (p=reject)", true }, { "(x;y) dmarc=pass(z)", true },
		{ " dmarc=fail", false }, { " dmarc=passed", false }, { " xdmarc=pass", false }, { " dmarc.x=pass", false },
		{ " spf=pass smtp.mailfrom=dmarc=pass@evil.example", false },
		{ " spf=pass smtp.mailfrom=\"a; dmarc=pass \"@evil.example", false },
		{ " spf=pass (x; dmarc=pass )", false }, { " spf=pass (\\); dmarc=pass ) x", false },
		{ " spf=pass smtp.helo=\"\\\"; dmarc=pass \"", false }, { " spf=fail reason=\"; dmarc=pass", false },
		{ " dmarc=(pass) fail", false }, { " dmarc", false }, { " dmarc=", false }, { ";;;", false }, { "", false },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(table); i++)
		if (authres_has(sv_z(table[i].text), SV("dmarc"), SV("pass")) != table[i].has)
			fail_msg("%s", table[i].text);
}

static void words_of_strangers_cannot_break_out(void **state)
{
	struct origin_facts origin = { .spf = SPF_PASS, .spf_why = "" };
	struct author_facts author = { .domain = "evil.example" };
	struct authres a = {
		.hostname = "mx.example.test", .origin = &origin, .author = &author, .helo = SV("x"),
		.sender = SV("a;\r\n\tdmarc=pass \"\\(x@evil.example"),
	};
	struct buf out;
	(void)state;

	assert_true(netaddr_parse(SV("192.0.2.1"), &a.peer));
	buf_init(&out, AUTHRES_MAX);
	assert_true(authres_write(&out, &a));
	assert_true(sv_search(buf_sv(&out), SV("smtp.mailfrom=\"a;???dmarc=pass \\\"\\\\(x@evil.example\";")) != SIZE_MAX);
	assert_false(authres_has(sv_sub(buf_sv(&out), 40, SIZE_MAX), SV("dmarc"), SV("pass")));
	buf_done(&out);
	buf_init(&out, 60);
	assert_false(authres_write(&out, &a));
	assert_int_equal(out.len, 0);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_result_is_only_what_a_method_says),
		cmocka_unit_test(words_of_strangers_cannot_break_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
