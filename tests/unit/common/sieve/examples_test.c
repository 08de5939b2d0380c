/* The complete example scripts of the standards (rfc-examples.txt), each on messages written for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/memory.h"
#include "tests/unit/support/sieve_world.h"

#include "common/banned.h"

#define FILE_MAX ((size_t)1 << 20)
#define MESSAGE_MAX ((size_t)4 << 20)

/* What has been read of the example at hand. */
struct example {
	char title[80];                 /* "RFC 5228 §2.3" */
	bool is_left_out;
	struct buf script, message;
	struct sieve_world world;
	char from[80], to[80];
	size_t body;                    /* octets of text behind the message */
	bool is_in_message;
	size_t messages, failures;
	size_t count, ran;              /* examples so far */
};

static void read_file(struct buf *out)
{
	const char *source = getenv("POSTROOM_SOURCE");
	char path[4096];
	FILE *f;
	int c;

	snprintf(path, sizeof(path), "%s/tests/unit/common/sieve/rfc-examples.txt", source ? source : "..");
	f = fopen(path, "rb");
	if (!f)
		fail_msg("%s is missing", path);
	while ((c = fgetc(f)) != EOF)
		assert_true(buf_append_c(out, (char)c));
	fclose(f);
}

static void set_now(struct example *e, const char *text)
{
	struct date_civil c = { 0 };
	struct date d;

	assert_int_equal(sscanf(text, "%d-%d-%dT%d:%d:%d", &c.year, &c.month, &c.day, &c.hour, &c.minute, &c.second), 6);
	assert_true(date_from_civil(&c, 120, &d));
	e->world.now = d.seconds;
}

/* One word behind "%% message". */
static void take_fact(struct example *e, struct sv word)
{
	size_t at = sv_find(word, '=');
	char value[80];
	uint32_t n = 0;

	if (sv_eq(word, SV("A")) || sv_eq(word, SV("B"))) {
		assert_true(buf_append(&e->message, sv_z(*word.p == 'A' ? sieve_message_a : sieve_message_b)));
		return;
	}
	assert_true(at != SIZE_MAX);
	snprintf(value, sizeof(value), "%.*s", SV_FMT(sv_sub(word, at + 1, SIZE_MAX)));
	(void)sv_to_u32(sv_z(value), &n);
	if (sv_starts(word, SV("body=")))
		e->body = n;
	else if (sv_starts(word, SV("from=")))
		snprintf(e->from, sizeof(e->from), "%s", value);
	else if (sv_starts(word, SV("to=")))
		snprintf(e->to, sizeof(e->to), "%s", value);
	else if (sv_starts(word, SV("now=")))
		set_now(e, value);
	else if (sv_starts(word, SV("spam="))) {
		e->world.has_verdict = true;
		e->world.is_scored = strcmp(value, "none") != 0;
		e->world.spam_percent = n;
	} else if (sv_starts(word, SV("virus="))) {
		e->world.has_verdict = true;
		e->world.virus = (enum sieve_virus_verdict)n;
	} else {
		fail_msg("%s: what is \"%.*s\"?", e->title, SV_FMT(word));
	}
}

static void begin_message(struct example *e, struct sv words)
{
	struct sv word;

	buf_clear(&e->message);
	e->world = (struct sieve_world){ .shows_reason = true };
	e->from[0] = e->to[0] = '\0';
	e->body = 0;
	e->is_in_message = true;
	while (sv_split(&words, ' ', &word))
		if (word.len)
			take_fact(e, word);
}

/* Ends of lines as the file writes them. */
static char *on_one_line(const char *answer)
{
	char *out = xmalloc(2 * strlen(answer) + 1);
	size_t n = 0;

	for (; *answer; answer++) {
		if (*answer == '\n')
			out[n++] = '\\';
		if (*answer != '\r')
			out[n++] = *answer == '\n' ? 'n' : *answer;
	}
	out[n] = '\0';
	return out;
}

static void run(struct example *e, struct sv expected)
{
	char *answer, *line;

	if (sv_search(buf_sv(&e->message), SV("\n\n")) == SIZE_MAX)
		assert_true(buf_append_c(&e->message, '\n'));
	for (size_t i = 0; i < e->body; i++)
		assert_true(buf_append_c(&e->message, i % 64 == 63 ? '\n' : 'x'));
	e->world.message = buf_z(&e->message);
	e->world.from = *e->from ? e->from : NULL;
	e->world.to = *e->to ? e->to : NULL;
	answer = sieve_world_run(&e->world, buf_sv(&e->script));
	line = on_one_line(answer);
	if (!sv_eq(sv_z(line), expected)) {
		print_error("%s, message %zu answered\n  %s\ninstead of\n  %.*s\n", e->title, e->messages + 1, line, SV_FMT(expected));
		e->failures++;
	}
	free(answer);
	free(line);
	e->messages++;
	e->is_in_message = false;
}

static void end_example(struct example *e)
{
	if (!*e->title)
		return;
	if (e->is_in_message || (!e->messages && !e->is_left_out) || !e->script.len) {
		print_error("%s: no message, or one without an answer\n", e->title);
		e->failures++;
	}
	e->count++;
	e->ran += e->messages > 0;
}

static void begin_example(struct example *e, struct sv title)
{
	end_example(e);
	snprintf(e->title, sizeof(e->title), "%.*s", SV_FMT(title));
	e->is_left_out = false;
	e->messages = 0;
	buf_clear(&e->script);
}

static void take_line(struct example *e, struct sv line)
{
	struct sv order = sv_sub(line, 3, SIZE_MAX);

	if (!sv_starts(line, SV("%% "))) {
		struct buf *to = e->is_in_message ? &e->message : &e->script;

		assert_true(buf_append(to, line) && buf_append_c(to, '\n'));
	} else if (sv_starts(order, SV("RFC "))) {
		begin_example(e, order);
	} else if (sv_starts(order, SV("left out "))) {
		e->is_left_out = true;
	} else if (sv_starts(order, SV("message"))) {
		begin_message(e, sv_sub(order, 8, SIZE_MAX));
	} else if (sv_starts(order, SV("answer "))) {
		run(e, sv_sub(order, 7, SIZE_MAX));
	} else if (*e->title && !sv_starts(order, SV("mended ")) && !sv_eq(order, SV("end"))) {
		fail_msg("%s: what is \"%.*s\"?", e->title, SV_FMT(line));
	}
}

static void examples_do_what_their_rfc_says(void **state)
{
	struct example e = { .count = 0 };
	struct buf file;
	struct sv rest, line;

	(void)state;
	buf_init(&file, FILE_MAX);
	buf_init(&e.script, FILE_MAX);
	buf_init(&e.message, MESSAGE_MAX);
	read_file(&file);
	rest = buf_sv(&file);
	while (sv_split(&rest, '\n', &line))
		take_line(&e, line);
	end_example(&e);
	print_message("%zu examples, %zu of them run\n", e.count, e.ran);
	assert_int_equal(e.failures, 0);
	assert_true(e.ran >= 60);
	buf_done(&file);
	buf_done(&e.script);
	buf_done(&e.message);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(examples_do_what_their_rfc_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
