/* SORT and THREAD without a server: ranks, what is shown of an address, limits, very deep conversations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "imapd/sort.h"
#include "imapd/thread.h"

static void strings_rank_as_they_collate(void **state)
{
	static const char *const texts[] = { "beta", "", "Alpha", "\xc3\x84rger", "ALPHA", "a", "alpha b", "\xc3\xa4rger", "z" };
	static const uint32_t want[] = { 4, 0, 2, 6, 2, 1, 3, 6, 7 };
	struct ranks r = { .max = 1 << 20 };
	uint32_t numbers[ARRAY_LEN(texts)];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		numbers[i] = ranks_add(&r, sv_z(texts[i]));
	assert_int_equal(ranks_add(&r, SV("Alpha")), numbers[2]);
	assert_true(ranks_settle(&r));
	/* A with two dots decomposes to A and a mark: it stands behind "alpha b" and before "beta". */
	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		for (size_t k = 0; k < ARRAY_LEN(texts); k++) {
			bool is_umlaut = want[i] == 6 || want[k] == 6;

			if (!is_umlaut)
				assert_int_equal(ranks_of(&r, numbers[i]) < ranks_of(&r, numbers[k]), want[i] < want[k]);
		}
	assert_int_equal(ranks_of(&r, numbers[3]), ranks_of(&r, numbers[7]));
	assert_true(ranks_of(&r, numbers[3]) > ranks_of(&r, numbers[6]));
	assert_true(ranks_of(&r, numbers[3]) < ranks_of(&r, numbers[0]));
	ranks_done(&r);
}

static void ranks_stay_within_their_memory(void **state)
{
	struct ranks r = { .max = 200000 };
	char text[32];
	uint32_t n = 0, i = 0;

	(void)state;
	for (; n != RANK_NONE && i < 1000000; i++) {
		int len = snprintf(text, sizeof(text), "subject number %u", i);

		n = ranks_add(&r, sv_from(text, (size_t)len));
		assert_true(ranks_memory(&r) <= r.max);
	}
	assert_int_equal(n, RANK_NONE);
	assert_true(i > 1000);
	ranks_done(&r);
}

static void an_address_is_shown_by_name_or_by_mailbox(void **state)
{
#define ENVELOPE(from) "(\"date\" NIL " from " NIL NIL ((\"To\" NIL \"t\" \"x\")) NIL NIL NIL \"<id>\")"
	static const struct { const char *envelope, *want; } cases[] = {
		{ ENVELOPE("((\"Anna\" NIL \"a\" \"x.example\"))"), "Anna" },
		{ ENVELOPE("((NIL NIL \"a\" \"x.example\"))"), "a@x.example" },
		{ ENVELOPE("((\"\" NIL \"a\" \"x.example\"))"), "a@x.example" },
		{ ENVELOPE("((NIL NIL \"group\" NIL)(NIL NIL \"a\" \"x\")(NIL NIL NIL NIL))"), "group" },
		{ ENVELOPE("((NIL NIL NIL NIL))"), "" },
		{ ENVELOPE("NIL"), "" },
		{ ENVELOPE("((\"=?utf-8?q?=C3=84?= b\" NIL \"a\" \"x\"))"), "\xc3\x84 b" },
		{ ENVELOPE("((\"a \\\"b\\\" \\\\\" NIL \"a\" \"x\"))"), "a \"b\" \\" },
		{ ENVELOPE("(({4}\r\nA\"(b NIL \"a\" \"x\"))"), "A\"(b" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct sv whole = sv_z(cases[i].envelope);
		struct buf out = { .max = 1000 };

		assert_true(envelope_display(whole, 2, &out));
		assert_string_equal(buf_z(&out), cases[i].want);
		buf_clear(&out);
		assert_true(envelope_display(whole, 5, &out));
		assert_string_equal(buf_z(&out), "To");
		/* Cut anywhere it is refused or short, and nothing is read behind the end. */
		for (size_t n = 0; n < whole.len; n++) {
			char *copy = malloc(n ? n : 1);

			memcpy(copy, whole.p, n);
			buf_clear(&out);
			envelope_display(sv_from(copy, n), 5, &out);
			free(copy);
		}
		buf_done(&out);
	}
}

/* A conversation of n messages, each with a reference to the one before; told in either order. */
static void talk(struct threader *t, unsigned n, bool is_backwards)
{
	for (unsigned i = 0; i < n; i++) {
		unsigned at = is_backwards ? n - 1 - i : i;
		char id[32], refs[64];
		struct message_row row = { .uid = i + 1, .internaldate = at };
		struct mime_message m = { .base_subject = SV("s"), .facts = at ? MIME_SUBJECT_IS_REPLY : 0 };

		m.message_id = sv_from(id, (size_t)snprintf(id, sizeof(id), "%u@x", at));
		if (at)
			m.references = sv_from(refs, (size_t)snprintf(refs, sizeof(refs), "%u@x\n", at - 1));
		if (!threader_take(t, &row, &m, i + 1))
			fail_msg("message %u is too much", i);
	}
}

static void a_conversation_of_100000_is_one_thread(void **state)
{
	static const enum thread_algorithm all[] = { THREAD_REFERENCES, THREAD_REFS, THREAD_ORDEREDSUBJECT };
	enum { COUNT = 100000 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(all) * 2; i++) {
		struct threader t;
		struct writer w;

		threader_init(&t, all[i / 2], 64 << 20);
		writer_init(&w, 8 << 20);
		talk(&t, COUNT, i % 2);
		assert_true(threader_write(&t, &w));
		struct sv text = buf_sv(&w.buf);

		assert_true(text.p[0] == '(' && text.p[text.len - 1] == ')');
		if (all[i / 2] != THREAD_ORDEREDSUBJECT)
			assert_int_equal(sv_find(sv_sub(text, 1, SIZE_MAX), '('), SIZE_MAX);
		writer_done(&w);
		threader_done(&t);
	}
}

static void a_threader_stays_within_its_memory(void **state)
{
	struct threader t;
	bool is_good = true;
	unsigned i = 0;

	(void)state;
	threader_init(&t, THREAD_REFERENCES, 1 << 20);
	for (; is_good && i < 1000000; i++) {
		char id[32];
		struct message_row row = { .uid = i + 1 };
		struct mime_message m = { .facts = 0 };

		m.message_id = sv_from(id, (size_t)snprintf(id, sizeof(id), "%u@x", i));
		is_good = threader_take(&t, &row, &m, i + 1);
	}
	assert_false(is_good);
	assert_true(i > 1000);
	threader_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(strings_rank_as_they_collate),
		cmocka_unit_test(ranks_stay_within_their_memory),
		cmocka_unit_test(an_address_is_shown_by_name_or_by_mailbox),
		cmocka_unit_test(a_conversation_of_100000_is_one_thread),
		cmocka_unit_test(a_threader_stays_within_its_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
