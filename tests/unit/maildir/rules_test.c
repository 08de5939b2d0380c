/* Simple rules as Sieve: what is written compiles, comes back as it was, and is known again when somebody edited it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "maildir/rules.h"
#include "common/sieve/sieve.h"

static struct rules made;

static void make(void)
{
	rules_init(&made);
	made.include = SV("own");
	made.vacation.is_set = true;
	made.vacation.message = SV("I \"am\" away.\n.\n..dots\r\nBack soon: Grüße\n");
	made.vacation.subject = SV("Back \\ later");
	made.vacation.from = SV("2026-12-24");
	made.vacation.until = SV("2027-01-02");
	made.vacation.days = 3;
	made.vacation.address = SV("b@example.org");
	made.list[0] = (struct rule){ .when = SV("from:a \"b\" c"), .move = SV("News/Größe") };
	made.list[1] = (struct rule){ .when = SV("subject=hello"), .also = SV("size:10K"), .mark = SV("seen"), .copy = SV("Copies") };
	made.list[2] = (struct rule){ .when = SV("header:X-A:b"), .forward = SV("x@y.example"), .mark = SV("$Label1") };
	made.list[3] = (struct rule){ .when = SV("list:<l.example>"), .discard = true };
	made.list[4] = (struct rule){ .when = SV("to=me@example.org"), .forward = SV("x@y.example") };
	made.count = 5;
}

static void compiles(struct sv text)
{
	struct sieve_errors errors;
	struct sieve_script *script = NULL;
	struct fault f = sieve_compile(text, NULL, &script, &errors);

	if (f.kind)
		print_error("%u:%u %s\n%.*s\n", errors.list[0].line, errors.list[0].column, errors.list[0].text, SV_FMT(text));
	assert_int_equal(f.kind, FAULT_NONE);
	sieve_script_free(&script);
}

static void what_is_written_compiles_and_comes_back(void **state)
{
	struct rules back;
	struct buf text;
	(void)state;

	make();
	buf_init(&text, RULES_TEXT_MAX);
	assert_true(rules_write(&made, &text));
	compiles(buf_sv(&text));
	rules_init(&back);
	assert_int_equal(rules_read(&back, buf_sv(&text)).kind, FAULT_NONE);
	assert_int_equal(back.count, made.count);
	assert_true(sv_eq(back.vacation.message, made.vacation.message));
	for (size_t i = 0; i < back.count; i++)
		assert_true(sv_eq(back.list[i].when, made.list[i].when) && sv_eq(back.list[i].move, made.list[i].move) &&
			    back.list[i].discard == made.list[i].discard);
	rules_done(&back);
	rules_done(&made);
	buf_done(&text);
}

static void each_part_alone_compiles(void **state)
{
	struct buf text;
	(void)state;

	for (unsigned bits = 0; bits < 128; bits++) {
		make();
		made.include = bits & 1 ? made.include : SV("");
		made.vacation.is_set = bits & 2;
		if (bits & 4)
			made.vacation.from = SV("");
		if (bits & 8)
			made.vacation.until = SV("");
		if (!made.vacation.is_set)
			memset(&made.vacation, 0, sizeof(made.vacation));
		memmove(made.list, made.list + (bits >> 4) % 5, (5 - (bits >> 4) % 5) * sizeof(*made.list));
		made.count = (bits >> 4) % 5 ? 1 : 0;
		buf_init(&text, RULES_TEXT_MAX);
		assert_true(rules_write(&made, &text));
		compiles(buf_sv(&text));
		buf_done(&text);
		rules_done(&made);
	}
}

static void all_mail_is_sent_on_and_what_follows_still_runs_where_a_copy_stays(void **state)
{
	struct buf text;
	(void)state;

	for (unsigned keeps = 0; keeps < 2; keeps++) {
		struct rules back;

		make();
		made.list[0] = (struct rule){ .forward = SV("x@y.example"), .copy = keeps ? SV("INBOX") : SV_NONE };
		made.count = 1;
		buf_init(&text, RULES_TEXT_MAX);
		assert_true(rules_write(&made, &text));
		compiles(buf_sv(&text));
		assert_true(sv_search(buf_sv(&text), SV("if true {")) != SIZE_MAX);
		assert_int_equal(sv_search(buf_sv(&text), SV("stop;")) != SIZE_MAX, !keeps);
		rules_init(&back);
		assert_int_equal(rules_read(&back, buf_sv(&text)).kind, FAULT_NONE);
		assert_int_equal(back.list[0].when.len, 0);
		rules_done(&back);
		rules_done(&made);
		buf_done(&text);
	}
}

static void an_edited_script_is_known(void **state)
{
	struct rules back;
	struct buf text;
	(void)state;

	make();
	buf_init(&text, RULES_TEXT_MAX);
	assert_true(rules_write(&made, &text) && buf_append_c(&text, ' '));
	rules_init(&back);
	assert_int_equal(rules_read(&back, buf_sv(&text)).kind, FAULT_INVALID);
	rules_done(&back);
	rules_init(&back);
	assert_int_equal(rules_read(&back, SV("keep;")).kind, FAULT_INVALID);
	rules_done(&back);
	rules_done(&made);
	buf_done(&text);
}

static void conditions_and_days_are_checked(void **state)
{
	static const char *const good[] = { "from:x", "FROM=x", "header:X:y", "size:1M", "size:12", "list:a:b" };
	static const char *const bad[] = { "", "from", "from:", "nobody:x", "header:x", "header::x", "header:a b:x", "size:x", "size:", "to:\xff" };
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_null(rules_condition(sv_z(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_non_null(rules_condition(sv_z(bad[i])));
	assert_true(rules_is_day(SV("2024-02-29")));
	assert_false(rules_is_day(SV("2023-02-29")) || rules_is_day(SV("2023-2-9")) || rules_is_day(SV("")) || rules_is_day(SV("2023/02/09")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_compiles_and_comes_back),
		cmocka_unit_test(each_part_alone_compiles),
		cmocka_unit_test(all_mail_is_sent_on_and_what_follows_still_runs_where_a_copy_stays),
		cmocka_unit_test(an_edited_script_is_known),
		cmocka_unit_test(conditions_and_days_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
