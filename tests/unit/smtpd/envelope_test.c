/* The envelope: everything as it came, and the same again after writing and reading. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "smtpd/envelope.h"

static void fill(struct envelope *e)
{
	struct envelope_rcpt *r;

	envelope_init(e);
	e->received_s = -5;
	assert_true(envelope_set_fact(e, ENVELOPE_ID, SV("id1")));
	assert_true(envelope_set_fact(e, ENVELOPE_HELO, sv_from("a\0\r\nb", 5)));
	assert_true(envelope_set_sender(e, SV("s@example.org")));
	assert_true(envelope_add_param(e, SV("SIZE=10")));
	assert_true(envelope_add_param(e, SV("SMTPUTF8")));
	r = envelope_add_rcpt(e, SV("a@example.net"), SV_NONE);
	assert_non_null(r);
	assert_true(envelope_add_rcpt_param(e, r, SV("NOTIFY=NEVER")));
	assert_true(envelope_add_rcpt_param(e, r, SV("X-NEW=1")));
	r = envelope_add_rcpt(e, SV("b@example.net"), SV("alias@here"));
	assert_non_null(r);
}

static void what_was_written_reads_back_the_same(void **state)
{
	struct envelope a, b;
	struct buf one, two;
	struct sv value;
	(void)state;

	fill(&a);
	buf_init(&one, ENVELOPE_SERIAL_MAX);
	buf_init(&two, ENVELOPE_SERIAL_MAX);
	assert_true(envelope_write(&a, &one));
	envelope_init(&b);
	assert_int_equal(envelope_read(&b, buf_sv(&one)).kind, FAULT_NONE);
	assert_true(envelope_write(&b, &two));
	assert_true(sv_eq(buf_sv(&one), buf_sv(&two)));
	assert_int_equal(b.received_s, -5);
	assert_int_equal(b.rcpt_count, 2);
	assert_true(sv_eq(b.facts[ENVELOPE_HELO], sv_from("a\0\r\nb", 5)));
	assert_true(envelope_param(b.params, SV("smtputf8"), &value) && !value.len);
	assert_true(envelope_param(b.params, SV("size"), &value) && sv_eq(value, SV("10")));
	assert_false(envelope_param(b.params, SV("BODY"), &value));
	assert_true(sv_eq(b.rcpts->params->next->text, SV("X-NEW=1")));
	assert_true(sv_eq(b.rcpts->next->original, SV("alias@here")));
	envelope_done(&a);
	envelope_done(&b);
	buf_done(&one);
	buf_done(&two);
}

static void the_null_sender_is_a_sender(void **state)
{
	struct envelope a, b;
	struct buf out;
	(void)state;

	envelope_init(&a);
	envelope_init(&b);
	buf_init(&out, 1000);
	assert_true(envelope_set_sender(&a, SV("")));
	assert_non_null(envelope_add_rcpt(&a, SV("x@y"), SV_NONE));
	assert_true(envelope_write(&a, &out));
	assert_int_equal(envelope_read(&b, buf_sv(&out)).kind, FAULT_NONE);
	assert_true(b.has_sender);
	assert_int_equal(b.sender.len, 0);
	envelope_done(&a);
	envelope_done(&b);
	buf_done(&out);
}

static void a_cut_or_changed_envelope_never_reads_beyond_its_end(void **state)
{
	struct envelope a, b;
	struct buf out;
	unsigned refused = 0;
	(void)state;

	fill(&a);
	buf_init(&out, ENVELOPE_SERIAL_MAX);
	assert_true(envelope_write(&a, &out));
	for (size_t cut = 0; cut < out.len; cut++) {
		char *exact = malloc(cut ? cut : 1);

		memcpy(exact, out.p, cut);
		envelope_init(&b);
		refused += envelope_read(&b, sv_from(exact, cut)).kind == FAULT_CORRUPT;
		envelope_done(&b);
		for (size_t i = 0; i < cut; i++) {      /* every octet turned around once */
			exact[i] = (char)~exact[i];
			envelope_init(&b);
			(void)!envelope_read(&b, sv_from(exact, cut)).kind;
			envelope_done(&b);
			exact[i] = (char)~exact[i];
		}
		free(exact);
	}
	assert_true(refused > out.len / 2);
	envelope_done(&a);
	buf_done(&out);
}

static void a_peer_cannot_make_an_envelope_larger_than_its_limit(void **state)
{
	struct envelope e;
	char text[1000];
	unsigned n = 0;
	(void)state;

	memset(text, 'x', sizeof(text));
	envelope_init(&e);
	assert_true(envelope_set_sender(&e, SV("a@b")));
	while (envelope_add_param(&e, sv_from(text, sizeof(text))))
		n++;
	assert_in_range(n, ENVELOPE_MAX / 2000, ENVELOPE_MAX / 1000);
	assert_null(envelope_add_rcpt(&e, sv_from(text, sizeof(text)), SV_NONE));
	envelope_clear(&e);
	assert_false(e.has_sender);
	assert_non_null(envelope_add_rcpt(&e, SV("a@b"), SV_NONE));
	envelope_done(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_written_reads_back_the_same),
		cmocka_unit_test(the_null_sender_is_a_sender),
		cmocka_unit_test(a_cut_or_changed_envelope_never_reads_beyond_its_end),
		cmocka_unit_test(a_peer_cannot_make_an_envelope_larger_than_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
