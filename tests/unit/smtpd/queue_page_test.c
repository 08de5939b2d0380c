/* A queue of any length, page by page: every message once, in the order of ids, and nothing that came later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/relay/queue_page.h"

#include "common/banned.h"

#define MANY 10000

static struct schedule *make(unsigned count)
{
	static const struct schedule_limits limits = { .retry_min_ms = 300000, .retry_max_ms = 4200000, .connections = 20, .per_destination = 5 };
	struct schedule *s = schedule_new(&limits);
	char id[QUEUE_ID_LEN + 1];

	for (unsigned i = 0; i < count; i++) {
		snprintf(id, sizeof(id), "%016u", (i * 7919u) % count); /* in no order: 7919 is a prime */
		assert_non_null(schedule_add(s, id));
	}
	return s;
}

/* walk - all pages of this size, as who asks does it; the number of them. `comes`: so many messages more come after each page. */
static unsigned walk(struct schedule *s, size_t size, unsigned expected, unsigned comes)
{
	char after[QUEUE_ID_LEN + 1] = "", until[QUEUE_ID_LEN + 1] = "", id[QUEUE_ID_LEN + 1];
	unsigned seen = 0, pages = 0, late = 0;
	bool has_more = true;

	while (has_more) {
		struct queue_page p;

		queue_page_take(s, *after ? after : NULL, *until ? until : NULL, size, &p);
		assert_true(p.count <= size);
		for (size_t i = 0; i < p.count; i++, seen++) {
			snprintf(id, sizeof(id), "%016u", seen);
			assert_string_equal(p.found[i]->id, id);
		}
		has_more = p.has_more;
		assert_true(!has_more || p.count == size);
		if (p.count)
			snprintf(after, sizeof(after), "%s", p.found[p.count - 1]->id);
		if (!*until && p.last)
			snprintf(until, sizeof(until), "%s", p.last);
		queue_page_done(&p);
		pages++;
		for (unsigned i = 0; i < comes; i++, late++) {
			snprintf(id, sizeof(id), "z%015u", late);
			assert_non_null(schedule_add(s, id));
		}
	}
	assert_int_equal(seen, expected);
	return pages;
}

static void ten_thousand_messages_are_ten_pages_of_a_thousand(void **state)
{
	struct schedule *s = make(MANY);

	(void)state;
	assert_int_equal(walk(s, 1000, MANY, 0), 10);
	assert_int_equal(walk(s, MANY, MANY, 0), 1);
	assert_int_equal(walk(s, 999, MANY, 0), 11);
	schedule_free(&s);
}

static void pages_of_every_size_cover_a_queue_of_every_length(void **state)
{
	(void)state;
	for (unsigned count = 0; count < 12; count++)
		for (size_t size = 1; size < 14; size++) {
			struct schedule *s = make(count);

			walk(s, size, count, 0);
			schedule_free(&s);
		}
}

static void what_comes_meanwhile_is_not_waited_for(void **state)
{
	struct schedule *s = make(100);

	(void)state;
	assert_int_equal(walk(s, 10, 100, 25), 10);
	schedule_free(&s);
}

static void what_is_leaving_is_not_told_of(void **state)
{
	struct schedule *s = make(10);
	struct queue_page p;

	(void)state;
	schedule_find(s, SV("0000000000000003"))->is_leaving = true;
	queue_page_take(s, NULL, NULL, 10, &p);
	assert_int_equal(p.count, 9);
	assert_false(p.has_more);
	for (size_t i = 0; i < p.count; i++)
		assert_string_not_equal(p.found[i]->id, "0000000000000003");
	queue_page_done(&p);
	schedule_free(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ten_thousand_messages_are_ten_pages_of_a_thousand),
		cmocka_unit_test(pages_of_every_size_cover_a_queue_of_every_length),
		cmocka_unit_test(what_comes_meanwhile_is_not_waited_for),
		cmocka_unit_test(what_is_leaving_is_not_told_of),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
