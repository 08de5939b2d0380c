/* Reading a message: a file with bare LFs reads as if it had CRLFs, from any place and in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/memory.h"
#include "tests/unit/support/in_job.h"
#include "tests/unit/support/store_fixture.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	fixture_make(f);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_remove(*state);
	free(*state);
	return 0;
}

/* What the octets are in wire form, one at a time. */
static void to_wire(struct sv file, struct buf *out)
{
	for (size_t i = 0; i < file.len; i++) {
		if (file.p[i] == '\n' && (!i || file.p[i - 1] != '\r'))
			buf_append_c(out, '\r');
		buf_append_c(out, file.p[i]);
	}
}

/* Lines of every kind of end, so that one lies across each place where a piece of the file may end. */
static void odd_text(struct buf *out, size_t size)
{
	static const char *const lines[] = { "\n", "\r\n", "a\n", "b\r\n", "\r\r\n", "\n\n", "c\rd\n", "\r", "eeee\n", "\n\r\n" };

	buf_append(out, SV("Subject: odd ends\n\n"));
	for (size_t i = 0; out->len < size; i++)
		buf_append(out, sv_z(lines[i * i / 3 % ARRAY_LEN(lines)]));
}

static uint32_t put(struct fixture *f, struct sv content)
{
	struct mailbox_status st;
	const char *path = fixture_path(f, "Maildir/new/1500000000.M1P2.other");
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(content.p, 1, content.len, file), content.len);
	assert_int_equal(fclose(file), 0);
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 1);
	return st.uidnext - 1;
}

static void bare_line_ends_become_crlf_in_pieces_of_any_size(void **state)
{
	static const size_t sizes[] = { 1, 2, 3, 7, 1000, 16383, 16384, 16385, 32768, 65536 };
	struct fixture *f = *state;
	struct message_reader *r;
	struct buf text, wire;
	char *piece = xmalloc(65536);
	size_t got;

	buf_init(&text, 1 << 20);
	buf_init(&wire, 1 << 20);
	odd_text(&text, 40000);
	to_wire(buf_sv(&text), &wire);
	ok(message_open(f->inbox, put(f, buf_sv(&text)), &r));
	assert_int_equal(message_size(r), wire.len);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		size_t at = 0;
		do {
			ok(message_read(r, at, piece, sizes[i], &got));
			assert_true(at + got <= wire.len);
			assert_memory_equal(piece, wire.p + at, got);
			at += got;
		} while (got);
		assert_int_equal(at, wire.len);
	}
	/* From anywhere, forwards and back, the place between a made CR and its LF included. */
	for (size_t n = 0; n < 4000; n++) {
		size_t at = n * 7919 % wire.len, most = n % 50 + 1;
		ok(message_read(r, at, piece, most, &got));
		assert_int_equal(got, wire.len - at < most ? wire.len - at : most);
		assert_memory_equal(piece, wire.p + at, got);
	}
	ok(message_read(r, wire.len, piece, 10, &got));
	assert_int_equal(got, 0);
	message_close(&r);
	free(piece);
	buf_done(&text);
	buf_done(&wire);
}

/* --- many at once --- */

#define MANY 60u                /* not a multiple of what is taken at a time */
#define GONE 17u

struct many {
	struct fixture *f;
	struct message_place places[MANY];
	size_t count;
	struct fault f_of[MANY];
	_Atomic unsigned visits[MANY];
	bool is_right[MANY];
};

static bool note_place(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct many *m = arg;

	(void)parsed;
	ok(message_place(m->f->inbox, &m->places[m->count]));
	assert_int_equal(m->places[m->count++].uid, row->uid);
	return true;
}

static void visited(void *arg, size_t i, struct message_reader *reader, struct fault f)
{
	struct many *m = arg;
	char wanted[64], text[64];
	size_t got = 0;

	m->visits[i]++;
	m->f_of[i] = fault(f.kind, "");
	if (f.kind)
		return;
	snprintf(wanted, sizeof(wanted), "From: a@example.test\r\nSubject: m%u\r\n", m->places[i].uid);
	m->is_right[i] = !message_read(reader, 0, text, sizeof(text), &got).kind &&
			 sv_starts_nocase(sv_from(text, got), sv_z(wanted));
}

static void visit_all(void *arg)
{
	struct many *m = arg;
	struct fault f = message_visit(m->f->inbox, m->places, m->count, visited, m);

	if (f.kind)
		BUG("%s", f.detail);
}

static void many_are_visited_once_each_wherever_their_files_are_by_now(void **state)
{
	static const uint32_t cores[] = { 1, 2, 4 };
	struct fixture *f = *state;
	uint32_t resume = 0;
	char subject[16];

	for (unsigned i = 1; i <= MANY; i++) {
		snprintf(subject, sizeof(subject), "m%u", i);
		assert_int_equal(fixture_append(f->inbox, f->user, subject, i == GONE ? FLAG_DELETED : 0), i);
	}
	for (size_t i = 0; i < ARRAY_LEN(cores); i++) {
		struct many m = { .f = f };

		resume = 0;
		ok(mailbox_scan(f->inbox, NULL, SCAN_ROW, &resume, note_place, &m));
		assert_int_equal(m.count, i ? MANY - 1 : MANY);
		/* Between the scan and the visit: flags, which are names, and an expunge. */
		if (!i) {
			assert_int_equal(fixture_expunge(f->inbox), 1);
			assert_int_equal(fixture_shell("cd '%s' && n=0; for f in *; do n=$((n+1)); "
						       "test $((n %% 8)) = 0 && mv $f ${f%%%%2,*}2,F; done; true",
						       fixture_path(f, "Maildir/cur")), 0);
		}
		in_job(cores[i], visit_all, &m);
		for (size_t k = 0; k < m.count; k++) {
			assert_int_equal(m.visits[k], 1);
			bool is_gone = m.places[k].uid == GONE;
			assert_int_equal(m.f_of[k].kind, is_gone ? FAULT_GONE : FAULT_NONE);
			assert_true(is_gone || m.is_right[k]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(bare_line_ends_become_crlf_in_pieces_of_any_size, setup, teardown),
		cmocka_unit_test_setup_teardown(many_are_visited_once_each_wherever_their_files_are_by_now, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
