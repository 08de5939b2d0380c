/* The base language (RFC 5228): its examples, its rules, and its errors with their places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "tests/unit/support/sieve_world.h"

#define EXPECT(text, scripts) do { \
		struct sieve_world world = { .message = (text) }; \
		sieve_world_expect_all(&world, scripts, ARRAY_LEN(scripts)); \
		sieve_world_finish(); \
	} while (0)

/* Tests that the RFC shows without a script around them; its scripts are in rfc-examples.txt. */
static void fragments_of_rfc_5228(void **state)
{
	static const struct { const char *text, *a, *b; } scripts[] = {
		/* §2.4.2.1 */
		{ "if header :contains [\"to\", \"cc\"] [\"me@example.com\", \"rube@landru.example.com\"] { discard; }", "keep*", "discard" },
		/* §5.2, §5.3 */
		{ "if allof (false, false) { discard; }", "keep*", "keep*" },
		{ "if allof (false, true) { discard; }", "keep*", "keep*" },
		{ "if allof (true,  true) { discard; }", "discard", "discard" },
		{ "if anyof (false, false) { discard; }", "keep*", "keep*" },
		{ "if anyof (false, true) { discard; }", "discard", "discard" },
		{ "if anyof (true,  true) { discard; }", "discard", "discard" },
		/* §5.7 */
		{ "if not header :contains \"X-Caffeine\" \"\" { discard; }", "discard", "discard" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++) {
		struct sieve_world a = { .message = sieve_message_a }, b = { .message = sieve_message_b };

		sieve_world_expect(&a, scripts[i].text, scripts[i].a);
		sieve_world_expect(&b, scripts[i].text, scripts[i].b);
	}
	sieve_world_finish();
}

static void encoded_characters_of_rfc_5228(void **state)
{
	static const struct { const char *written, *meant; } cases[] = {        /* §2.4.2.4 */
		{ "$${hex:40}", "$@" }, { "${hex: 40 }", "@" }, { "${HEX: 40}", "@" }, { "${hex:40", "${hex:40" },
		{ "${hex:400}", "${hex:400}" }, { "${hex:4${hex:30}}", "${hex:40}" }, { "${unicode:40}", "@" },
		{ "${ unicode:40}", "${ unicode:40}" }, { "${UNICODE:40}", "@" }, { "${UnICoDE:0000040}", "@" }, { "${Unicode:40}", "@" },
		{ "${Unicode:Cool}", "${Unicode:Cool}" }, { "${unicode:20ac e9}", "\xe2\x82\xac\xc3\xa9" }, { "${hex:}", "${hex:}" },
		{ "${hex:4 1}", "\x04\x01" }, { "${unicode:1F600}", "\xf0\x9f\x98\x80" },
	};
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sieve_world w = { .message = sieve_message_a };
		char script[400], answer[200];

		snprintf(script, sizeof(script), "require [\"encoded-character\", \"reject\"]; reject \"%s\";", cases[i].written);
		snprintf(answer, sizeof(answer), "reject %s", cases[i].meant);
		sieve_world_expect(&w, script, answer);
	}
	sieve_world_finish();
	static const struct sieve_expectation errors[] = {
		{ "require [\"encoded-character\"];\nredirect \"${unicode:200000}\";",
		  "2:10: \"${unicode:...}\" names a character that does not exist" },
		{ "require [\"encoded-character\", \"reject\"];\nreject \"${Unicode:DF01}\";",
		  "2:8: \"${unicode:...}\" names a character that does not exist" },
	};
	EXPECT(sieve_message_a, errors);
}

static void strings_and_numbers_are_read_as_meant(void **state)
{
	static const struct sieve_expectation scripts[] = {
		{ "require \"reject\"; reject \"a\\\"b\\\\c\\d\";", "reject a\"b\\cd" },
		{ "require \"reject\"; reject text:\nline\n..dot\n.\n;", "reject line\r\n.dot\r\n" },
		{ "require \"reject\"; reject text:  # comment\r\nline\r\n.\r\n;", "reject line\r\n" },
		{ "require \"reject\"; reject \"a\nb\";", "reject a\r\nb" },
		{ "\xef\xbb\xbf" "keep;", "keep" },
		{ "if size :over 0 { discard; }", "discard" },
		{ "if size :over 4G { discard; }", "keep*" },
		{ "if size :under 1k { discard; }", "discard" },
		{ "IF TRUE { DISCARD; }", "discard" },
		{ "", "keep*" }, { "# nothing", "keep*" }, { "stop; discard;", "keep*" }, { "discard; stop;", "discard" },
		{ "if false { discard; } elsif false { } else { keep; }", "keep" },
		{ "if true { if false { discard; } else { if not false { discard; } } }", "discard" },
		{ "if allof (true, anyof (false, not false), true) { discard; }", "discard" },
		{ "if allof (true, anyof (false, not true), true) { discard; }", "keep*" },
		{ "if anyof (true) { discard; }", "discard" },
	};
	(void)state;
	EXPECT(sieve_message_a, scripts);
}

static void tests_look_at_what_they_should(void **state)
{
	static const struct sieve_expectation scripts[] = {
#define IF(test) "if " test " { discard; }"
		{ IF("header :is \"x-number\" \"10\""), "discard" },
		{ IF("header :is \"x-empty\" \"\""), "discard" },
		{ IF("header :is \"x-missing\" \"\""), "keep*" },
		{ IF("header :contains \"x-empty\" \"\""), "discard" },
		{ IF("header :is \"subject\" \"Gr\xc3\xbc\xc3\x9f" "e aus K\xc3\xb6ln\""), "discard" },
		{ IF("header :matches \"subject\" \"gr???? aus*\""), "keep*" },      /* "?" is an octet here: ü and ß are two each */
		{ IF("header :matches \"subject\" \"gr????e aus*\""), "discard" },
		{ IF("header :matches \"subject\" \"*\\\\*\""), "keep*" },
		{ IF("header :matches \"subject\" \"*aus*k*n\""), "discard" },
		{ IF("header :matches [\"x-number\"] [\"?\", \"1?\"]"), "discard" },
		{ IF("header :is :comparator \"i;octet\" \"x-number\" \"10\""), "discard" },
		{ IF("header :contains :comparator \"i;octet\" \"subject\" \"AUS\""), "keep*" },
		{ IF("exists [\"x-empty\", \"To\"]"), "discard" },
		{ IF("exists [\"x-empty\", \"x-missing\"]"), "keep*" },
		{ IF("address :localpart \"from\" \"juergen+box\""), "discard" },
		{ IF("address :domain \"from\" \"EXAMPLE.org\""), "discard" },
		{ IF("address \"to\" \"alice@example.test\""), "discard" },
		{ IF("address :all \"to\" \"team\""), "keep*" },
		{ IF("address :contains \"cc\" \"\""), "keep*" },
		{ IF("address :contains [\"to\", \"from\"] \"bob\""), "discard" },
		{ "require \"envelope\"; " IF("envelope :localpart \"from\" \"coyote\""), "discard" },
		{ "require \"envelope\"; " IF("envelope [\"to\", \"from\"] \"alice+box@example.test\""), "discard" },
		{ "require [\"envelope\", \"subaddress\"]; " IF("envelope :detail \"to\" \"box\""), "discard" },
		{ "require [\"envelope\", \"subaddress\"]; " IF("envelope :detail \"from\" \"*\""), "keep*" },
		{ "require [\"envelope\", \"subaddress\"]; " IF("envelope :user \"to\" \"alice\""), "discard" },
		{ "require \"subaddress\"; " IF("address :detail \"from\" \"box\""), "discard" },
		{ "require \"subaddress\"; " IF("address :detail :matches \"to\" \"*\""), "keep*" },
	};
	struct sieve_world null = { .message = sieve_message_a, .from = "" };

	(void)state;
	EXPECT(sieve_message_parts, scripts);
	sieve_world_expect(&null, "require \"envelope\"; " IF("envelope :is :domain \"from\" \"\""), "discard");
	sieve_world_finish();
}

static void actions_work_together_as_they_should(void **state)
{
	static const struct sieve_expectation scripts[] = {
		{ "keep; keep;", "keep" },
		{ "require \"fileinto\"; fileinto \"a\"; fileinto \"b\"; fileinto \"a\";", "fileinto a; fileinto b" },
		{ "require \"fileinto\"; fileinto \"a\"; keep;", "fileinto a; keep" },
		{ "require \"fileinto\"; discard; fileinto \"a\";", "discard; fileinto a" },
		{ "require [\"fileinto\", \"copy\"]; fileinto :copy \"a\";", "fileinto a; keep*" },         /* RFC 3894 */
		{ "require \"copy\"; redirect :copy \"a@b.example\";", "redirect a@b.example; keep*" },
		{ "require [\"fileinto\", \"copy\"]; fileinto :copy \"a\"; discard;", "fileinto a; discard" },
		{ "redirect \"a@b.example\"; redirect \"a@b.example\";", "redirect a@b.example" },
		{ "redirect \"a@b.example\"; redirect \"b@b.example\"; redirect \"c@b.example\"; redirect \"d@b.example\";",
		  "redirect a@b.example; redirect b@b.example; redirect c@b.example; redirect d@b.example" },
		{ "redirect \"a@b.example\"; redirect \"b@b.example\"; redirect \"c@b.example\"; redirect \"d@b.example\";\n"
		  "redirect \"e@b.example\";", "2:1: the script redirects to more than 4 addresses; keep*" },
		{ "require \"reject\"; reject \"no\";", "reject no" },
		{ "require \"ereject\"; ereject \"no\";", "ereject no" },
		{ "require [\"reject\", \"ereject\"]; reject \"no\"; ereject \"no\";", "1:45: the message is rejected twice; keep*" },
		{ "require \"reject\"; keep; reject \"no\";", "1:25: the message is rejected and delivered at once; keep*" },
		{ "require \"reject\"; reject \"no\"; redirect \"a@b.example\";",
		  "1:32: the message is rejected and delivered at once; keep*" },
		{ "require \"reject\"; discard; reject \"no\";", "discard; reject no" },
		{ "require [\"reject\", \"vacation\"]; reject \"no\"; vacation \"away\";",
		  "1:46: the message is rejected and answered at once; keep*" },
	};
	(void)state;
	EXPECT(sieve_message_a, scripts);
}

static void errors_have_their_place_and_plain_words(void **state)
{
	static const struct sieve_expectation scripts[] = {
		{ "require \"nope\";", "1:9: the extension \"nope\" does not exist here" },
		{ "require [\"fileinto\", \"Fileinto\"];", "1:9: the extension \"Fileinto\" does not exist here" },
		{ "keep;\nrequire \"fileinto\";", "2:1: \"require\" must stand at the beginning of the script" },
		{ "fileinto \"a\";", "1:1: the command \"fileinto\" needs: require \"fileinto\";" },
		{ "keep", "1:5: the script ends where an argument or \";\" should stand" },
		{ "keep }", "1:6: \"}\" stands where an argument or \";\" should" },
		{ "keep;;", "1:6: \";\" stands where a command should" },
		{ "if true { keep;", "1:16: the script ends where a command or \"}\" should stand" },
		{ "if true keep;", "1:9: a \"{\" is missing here; 1:1: \"if\" must be followed by a block in { }" },
		{ "if { keep; }", "1:1: \"if\" must be followed by one test; several stand in \"allof (...)\" or \"anyof (...)\"" },
		{ "if (true) { keep; }",
		  "1:1: \"if\" must be followed by one test; several stand in \"allof (...)\" or \"anyof (...)\"" },
		{ "else { keep; }", "1:1: \"else\" does not follow an \"if\" or \"elsif\"" },
		{ "if true { } keep; elsif true { }", "1:19: \"elsif\" does not follow an \"if\" or \"elsif\"" },
		{ "if true { } else { } else { }", "1:22: \"else\" does not follow an \"if\" or \"elsif\"" },
		{ "if true { } else if true { }", "1:18: \"else\" takes no test; \"elsif\" does" },
		{ "true;", "1:1: \"true\" is a test: it stands behind \"if\"" },
		{ "if keep { }", "1:4: \"keep\" is a command, where a test should stand" },
		{ "if header \"a\" { }", "1:4: \"header\" lacks an argument: a text or a list of texts" },
		{ "if header \"a\" \"b\" \"c\" { }", "1:19: \"header\" has too many arguments" },
		{ "if header \"a\" 5 { }", "1:15: this argument of \"header\" must be a text or a list of texts" },
		{ "if header \"a b\" \"c\" { }", "1:11: \"a b\" is no name of a header field" },
		{ "if header :foo \"a\" \"c\" { }", "1:11: \"header\" has no option \":foo\"" },
		{ "if header :is :is \"a\" \"c\" { }", "1:15: the option \":is\" is given twice" },
		{ "if header :is :matches \"a\" \"c\" { }", "1:15: the options \":is\" and \":matches\" exclude each other" },
		{ "if header \"a\" :is \"c\" { }", "1:15: the option \":is\" must stand before the other arguments of \"header\"" },
		{ "if header :comparator \"x\" \"a\" \"c\" { }", "1:23: there is no comparator \"x\"" },
		{ "if header :comparator \"i;ascii-numeric\" \"a\" \"c\" { }",
		  "1:23: the comparator \"i;ascii-numeric\" needs: require \"comparator-i;ascii-numeric\";" },
		{ "require \"comparator-i;ascii-numeric\"; if header :contains :comparator \"i;ascii-numeric\" \"a\" \"c\" { }",
		  "1:71: the comparator \"i;ascii-numeric\" does not go with \":contains\"" },
		{ "if header :comparator { }", "1:11: the option \":comparator\" must be followed by a text" },
		{ "if size 5 { }", "1:9: \"size\" takes no such argument" },
		{ "if size :over \"5\" { }", "1:15: the option \":over\" must be followed by a number" },
		{ "if size :over 99999999999999999999 { }", "1:15: this number is too large" },
		{ "if size :over 5x { }", "1:15: a number is digits with nothing, K, M or G behind them" },
		{ "if not { }", "1:4: \"not\" must be followed by one test, without ( )" },
		{ "if allof true { }", "1:4: \"allof\" must be followed by tests in ( )" },
		{ "if allof () { }", "1:11: \")\" stands where a test should" },
		{ "if address \"subject\" \"a\" { }", "1:12: the header field \"subject\" holds no addresses; test it with \"header\"" },
		{ "redirect \"nobody\";", "1:10: \"nobody\" is no mail address" },
		{ "redirect \"<>\";", "1:10: \"<>\" is no mail address" },
		{ "require \"fileinto\"; fileinto \"\";", "1:30: \"\" is no name of a mailbox" },
		{ "require \"envelope\"; if envelope \"x\" \"a\" { }", "1:33: the envelope has no part \"x\"" },
		{ "redirect \"abc", "1:10: this text has no closing quotation mark" },
		{ "redirect 'a'", "1:10: texts stand in \"double\" quotation marks" },
		{ "/* x", "1:1: a comment that begins with /* has no */" },
		{ "redirect text:\nabc\n", "1:10: \"text:\" has no line with a single \".\" that ends it" },
		{ "redirect text: x", "1:10: \"text:\" must be followed by a new line" },
		{ "redirect \"\xff\";", "1:10: this text is not UTF-8" },
		{ "keep :;", "1:6: a colon must be followed by the name of an option, such as \":is\"" },
		{ "keep \x01;", "1:6: this character means nothing here" },
		{ "\xc3\xa9keep;", "1:1: this character means nothing here" },
		{ "# \xc3\xa9\n  /* \xc3\xa9 */ nope;", "2:11: there is no command \"nope\"" },
		{ "if header [\"a\" \"b\"] \"c\" { }", "1:16: a text stands where a comma or \"]\" should" },
		{ "if header [] \"c\" { }", "1:12: \"]\" stands where a text in quotation marks should" },
		{ "keep { }", "1:1: \"keep\" takes no block" },
		{ "keep true;", "1:6: \"keep\" takes no test" },
		{ "nope; nada;", "1:1: there is no command \"nope\"; 1:7: there is no command \"nada\"" },
	};
	(void)state;
	EXPECT(sieve_message_a, scripts);
}

/* Every prefix of a script is an error or a script, never a crash; the same for what a cut in the middle leaves. */
static void every_prefix_is_safe(void **state)
{
	static const char script[] = "require [\"fileinto\", \"variables\", \"encoded-character\"];\r\n# c\nif anyof (not header :matches "
		"[\"a\", \"b\"] \"*${hex:40}?\", size :over 10K) { set \"a\" \"${1}\"; fileinto text:\nx${a}\n.\n; } elsif true { stop; }";
	struct sieve_world w = { .message = sieve_message_a };

	(void)state;
	for (size_t n = 0; n < sizeof(script); n++) {
		free(sieve_world_run(&w, sv_from(script, n)));
		free(sieve_world_run(&w, sv_from(script + n, sizeof(script) - 1 - n)));
	}
}

static void nesting_is_limited_on_both_sides(void **state)
{
	static const unsigned depths[] = { 15, 30, 40, 5000 };
	struct sieve_world w = { .message = sieve_message_a };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(depths); i++) {
		struct buf blocks, tests;
		buf_init(&blocks, 1 << 20);
		buf_init(&tests, 1 << 20);
		for (unsigned d = 0; d < depths[i]; d++)
			assert_true(buf_append(&blocks, SV("if true {")) && (d || buf_append(&tests, SV("if "))) &&
				    buf_append(&tests, SV("allof (")));
		assert_true(buf_append(&blocks, SV("discard;")) && buf_append(&tests, SV("true")));
		for (unsigned d = 0; d < depths[i]; d++)
			assert_true(buf_append_c(&blocks, '}') && buf_append_c(&tests, ')'));
		assert_true(buf_append(&tests, SV("{ discard; }")));
		char *a = sieve_world_run(&w, buf_sv(&blocks)), *b = sieve_world_run(&w, buf_sv(&tests));
		if (depths[i] <= 30) {          /* RFC 5228 §2.10.7 asks for fifteen */
			assert_string_equal(a, "discard");
			assert_string_equal(b, "discard");
		} else {
			assert_non_null(strstr(a, "nested too deep"));
			assert_non_null(strstr(b, "nested too deep"));
		}
		free(a);
		free(b);
		buf_done(&blocks);
		buf_done(&tests);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fragments_of_rfc_5228),
		cmocka_unit_test(encoded_characters_of_rfc_5228),
		cmocka_unit_test(strings_and_numbers_are_read_as_meant),
		cmocka_unit_test(tests_look_at_what_they_should),
		cmocka_unit_test(actions_work_together_as_they_should),
		cmocka_unit_test(errors_have_their_place_and_plain_words),
		cmocka_unit_test(every_prefix_is_safe),
		cmocka_unit_test(nesting_is_limited_on_both_sides),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
