/* Limits: whatever a script or a message does, a run ends soon, takes less than 1 MiB, and mail is kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "tests/unit/support/sieve_world.h"

static void repeat(struct buf *b, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++)
		assert_true(buf_append(b, sv_z(text)));
}

/* Runs and says what it answered; the memory is looked at, whatever the answer. */
static char *run(struct sieve_world *w, const struct buf *script)
{
	char *answer = sieve_world_run(w, buf_sv(script));

	assert_true(w->memory <= (size_t)1 << 20);
	return answer;
}

static void expect_in(struct sieve_world *w, const struct buf *script, const char *part)
{
	char *answer = run(w, script);

	if (!strstr(answer, part))
		fail_msg("\"%s\" lacks \"%s\"", answer, part);
	free(answer);
}

static void large_scripts_compile_or_are_refused(void **state)
{
	struct sieve_world w = { .message = sieve_message_a };
	struct buf script;

	(void)state;
	buf_init(&script, (size_t)4 << 20);
	repeat(&script, 30000, "if header :is \"a\" \"b\" { keep; }\n");      /* about 1 MB */
	expect_in(&w, &script, "keep*");
	repeat(&script, 10000, "if header :is \"a\" \"b\" { keep; }\n");
	expect_in(&w, &script, "the script is larger than 1 MiB");
	buf_clear(&script);
	repeat(&script, 1, "if header :is \"x\" [\"a\"");
	repeat(&script, 50000, ",\"a\"");
	repeat(&script, 1, "] { discard; }");
	expect_in(&w, &script, "keep*");
	buf_clear(&script);
	repeat(&script, 1, "require \"variables\"; set \"v\" \"b\"; if header :is \"x\" [\"${v}\"");     /* the same, made while running */
	repeat(&script, 5000, ",\"a\"");
	repeat(&script, 1, "] { discard; }");
	expect_in(&w, &script, "the test has too many keys; keep*");
	buf_clear(&script);
	repeat(&script, 1, "if false { }");
	repeat(&script, 40000, " elsif false { }");
	expect_in(&w, &script, "keep*");
	buf_done(&script);
}

static void actions_are_limited(void **state)
{
	struct sieve_world w = { .message = sieve_message_a };
	struct buf script;

	(void)state;
	buf_init(&script, (size_t)1 << 20);
	repeat(&script, 1, "require \"fileinto\";");
	for (int i = 0; i < SIEVE_ACTIONS_MAX; i++)
		assert_true(buf_appendf(&script, "fileinto \"m%d\";", i));
	expect_in(&w, &script, "fileinto m31");
	repeat(&script, 1, "fileinto \"m\";");
	expect_in(&w, &script, "the script does more than 32 things with one message; keep*");
	buf_done(&script);
}

static void variables_are_limited(void **state)
{
	struct sieve_world w = { .message = sieve_message_a };
	struct buf script;

	(void)state;
	buf_init(&script, (size_t)1 << 20);
	repeat(&script, 1, "require [\"variables\", \"fileinto\"]; set \"a\" \"0123456789\";");
	repeat(&script, 30, "set \"a\" \"${a}${a}\";");             /* is cut, RFC 5229 §6 */
	repeat(&script, 1, "set :length \"n\" \"${a}\"; fileinto \"${n}\";");
	expect_in(&w, &script, "fileinto 4096");
	buf_clear(&script);
	repeat(&script, 1, "require [\"variables\", \"fileinto\"]; ");
	for (int i = 0; i < SIEVE_VARIABLES_MAX; i++)
		assert_true(buf_appendf(&script, "set \"v%d\" \"x\";", i));
	expect_in(&w, &script, "keep*");
	repeat(&script, 1, "set \"more\" \"x\";");
	expect_in(&w, &script, "there are more than 128 variables; keep*");
	buf_clear(&script);
	repeat(&script, 1, "require [\"variables\", \"fileinto\"]; set \"a\" \"0123456789\";");
	repeat(&script, 12, "set \"a\" \"${a}${a}\";");
	for (int i = 0; i < 100; i++)
		assert_true(buf_appendf(&script, "set \"v%d\" \"${a}\";", i));
	expect_in(&w, &script, "the variables take more than 224 KiB; keep*");
	buf_done(&script);
}

static void headers_of_any_size_are_filtered(void **state)
{
	struct sieve_world w = { 0 };
	struct buf message, script;

	(void)state;
	buf_init(&message, (size_t)4 << 20);
	buf_init(&script, 4096);
	repeat(&message, 10000, "X-Field: some text\n");
	repeat(&message, 1, "Subject: last\n\nbody\n");
	w.message = buf_z(&message);
	repeat(&script, 1, "require \"fileinto\"; if header :contains \"x-field\" \"nothing\" { discard; } "
	       "if header \"subject\" \"last\" { fileinto \"found\"; }");
	expect_in(&w, &script, "fileinto found");
	buf_clear(&message);
	repeat(&message, 1, "To: a@b.example");
	repeat(&message, 6000, ", someone.else@example.org");
	repeat(&message, 1, "\nSubject: x\n\n");
	w.message = buf_z(&message);
	buf_clear(&script);
	repeat(&script, 1, "if address :contains \"to\" \"nobody\" { discard; }");
	expect_in(&w, &script, "keep*");
	buf_done(&message);
	buf_done(&script);
}

/* What takes long is stopped, and the message kept. */
static void work_is_limited(void **state)
{
	struct sieve_world w = { 0 };
	struct buf message, script;

	(void)state;
	buf_init(&message, (size_t)8 << 20);
	buf_init(&script, (size_t)1 << 20);
	repeat(&message, 5000, "X-Field: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
	repeat(&message, 1, "\n");
	repeat(&message, 50000, "body line with some text in it\n");
	w.message = buf_z(&message);
	repeat(&script, 1, "require [\"regex\", \"body\"];\n");
	repeat(&script, 2000, "if header :regex \"x-field\" \"^(a|aa|a?)+(b|c)([a-z]{1,50})$\" { discard; }\n");
	expect_in(&w, &script, "the script takes too long for this message; keep*");
	assert_true(w.work < 2 * SIEVE_WORK_MAX);
	buf_clear(&script);
	repeat(&script, 1, "require \"body\";\n");
	repeat(&script, 2000, "if body :contains \"needle\" { discard; }\n");
	expect_in(&w, &script, "the script takes too long for this message; keep*");
	buf_clear(&script);
	repeat(&script, 2000, "if header :matches \"x-field\" \"*a*a*a*a*a*a*a*a*a*a*b\" { discard; }\n");
	expect_in(&w, &script, "the script takes too long for this message; keep*");
	buf_done(&message);
	buf_done(&script);
}

/* Three loops in each other over many parts. */
static void loops_are_limited(void **state)
{
	struct sieve_world w = { 0 };
	struct buf message, script;

	(void)state;
	buf_init(&message, (size_t)4 << 20);
	buf_init(&script, 4096);
	repeat(&message, 1, "Content-Type: multipart/mixed; boundary=x\n\n");
	repeat(&message, 3000, "--x\nContent-Type: text/plain\n\nhello\n");
	repeat(&message, 1, "--x--\n");
	w.message = buf_z(&message);
	repeat(&script, 1, "require [\"foreverypart\", \"mime\", \"variables\", \"extracttext\"];\nforeverypart { foreverypart { if header :mime "
	       ":anychild :contains \"content-type\" \"none\" { discard; } extracttext \"a\"; } extracttext \"b\"; }\n"
	       "foreverypart { if header :mime :anychild :contains \"content-type\" \"none\" { discard; } }");
	expect_in(&w, &script, "keep*");
	buf_clear(&script);
	repeat(&script, 1, "require [\"foreverypart\"]; foreverypart { break; foreverypart { foreverypart { foreverypart { foreverypart { "
	       "foreverypart { foreverypart { foreverypart { foreverypart { } } } } } } } } }");
	expect_in(&w, &script, "loops are nested too deep");
	buf_done(&message);
	buf_done(&script);
}

/* a0 includes a1, which includes a2, ... */
static void includes_are_limited(void **state)
{
	static char names[SIEVE_INCLUDES_MAX + 2][8], texts[SIEVE_INCLUDES_MAX + 2][64];
	const char *scripts[2 * (SIEVE_INCLUDES_MAX + 2) + 1] = { NULL };
	struct sieve_world w = { .message = sieve_message_a, .included = scripts };

	(void)state;
	for (int i = 0; i < SIEVE_INCLUDES_MAX + 2; i++) {
		snprintf(names[i], sizeof(names[i]), "a%d", i);
		snprintf(texts[i], sizeof(texts[i]), "require \"include\"; include \"a%d\";", i + 1);
		scripts[2 * i] = names[i];
		scripts[2 * i + 1] = texts[i];
	}
	sieve_world_expect(&w, "require \"include\"; include \"a0\";", "a31:1:28: more than 32 scripts are included");
	snprintf(texts[SIEVE_INCLUDES_MAX - 1], sizeof(texts[0]), "discard;");
	sieve_world_expect(&w, "require \"include\"; include \"a0\";", "discard");
	/* Each twice, so that a run would take 2^31 steps. */
	for (int i = 0; i < SIEVE_INCLUDES_MAX - 1; i++)
		snprintf(texts[i], sizeof(texts[i]), "require \"include\"; include \"a%d\"; include \"a%d\";", i + 1, i + 1);
	snprintf(texts[SIEVE_INCLUDES_MAX - 1], sizeof(texts[0]), "#");
	char *answer = sieve_world_run(&w, SV("require \"include\"; include \"a0\";"));
	assert_non_null(strstr(answer, "the script takes too long for this message; keep*"));
	assert_true(w.work < 2 * SIEVE_WORK_MAX);
	free(answer);
	sieve_world_finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_scripts_compile_or_are_refused),
		cmocka_unit_test(actions_are_limited),
		cmocka_unit_test(variables_are_limited),
		cmocka_unit_test(headers_of_any_size_are_filtered),
		cmocka_unit_test(work_is_limited),
		cmocka_unit_test(loops_are_limited),
		cmocka_unit_test(includes_are_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
