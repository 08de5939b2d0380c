/* The spool file: cut at every octet, damaged at every octet, recovered after a torn outcome. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "smtpd/spool.h"

static char folder[64];
static int dir = -1;

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/spool_test.XXXXXX", 23);
	assert_non_null(mkdtemp(folder));
	dir = open(folder, O_RDONLY | O_DIRECTORY);
	assert_true(dir >= 0);
	return 0;
}

static int teardown(void **state)
{
	static const char *const names[] = { "m", "c" };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		unlinkat(dir, names[i], 0);
	close(dir);
	return rmdir(folder);
}

/* body_octet - what stands at place i of every test body. */
static char body_octet(size_t i)
{
	return (char)(i * 7 + i / 251);
}

static void write_message(const char *name, size_t size)
{
	struct envelope e;
	struct spool *s;
	char *body = malloc(size + 1);
	size_t top = size > 200 ? 100 : 0;      /* what is known last and read first */

	for (size_t i = 0; i < size; i++)
		body[i] = body_octet(i);
	envelope_init(&e);
	assert_true(envelope_set_sender(&e, SV("s@example.org")));
	assert_non_null(envelope_add_rcpt(&e, SV("a@example.net"), SV_NONE));
	assert_non_null(envelope_add_rcpt(&e, SV("b@example.net"), SV_NONE));
	assert_int_equal(spool_create(dir, name, &s).kind, FAULT_NONE);
	assert_int_equal(spool_put_envelope(s, &e).kind, FAULT_NONE);
	assert_int_equal(spool_put_body(s, sv_from(body + top, size / 3)).kind, FAULT_NONE);
	assert_int_equal(spool_put_body(s, sv_from(body + top + size / 3, size - top - size / 3)).kind,
			 FAULT_NONE);
	assert_int_equal(spool_put_top(s, sv_from(body, top)).kind, FAULT_NONE);
	assert_int_equal(spool_finish(s).kind, FAULT_NONE);
	spool_close(&s);
	envelope_done(&e);
	free(body);
}

/* read_message - the first fault of opening and reading everything; the octets are compared on the
 * way. */
static struct fault read_message(const char *name, size_t size)
{
	struct spool *s = NULL;
	struct fault f = spool_open(dir, name, SPOOL_UNLOCKED, &s);
	struct buf b;
	size_t seen = 0;

	while (!f.kind) {
		buf_init(&b, SPOOL_BODY_MAX);
		f = spool_read_body(s, &b);
		for (size_t i = 0; i < b.len; i++, seen++)
			assert_true(seen < size && b.p[i] == body_octet(seen));
		if (!f.kind && !b.len) {
			assert_int_equal(seen, size);
			break;
		}
		buf_done(&b);
	}
	if (s && !f.kind) {
		assert_int_equal(spool_size(s), size);
		assert_int_equal(spool_envelope(s)->rcpt_count, 2);
	}
	spool_close(&s);
	return f;
}

/* slurp, spill - whole files. */
static char *slurp(const char *name, size_t *n)
{
	struct stat st;
	int fd = openat(dir, name, O_RDONLY);
	char *p;

	assert_int_equal(fstat(fd, &st), 0);
	*n = (size_t)st.st_size;
	p = malloc(*n);
	assert_int_equal(read(fd, p, *n), *n);
	close(fd);
	return p;
}

static void spill(const char *name, const char *p, size_t n)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_int_equal(write(fd, p, n), n);
	close(fd);
}

static void messages_of_every_size_come_back_as_they_were(void **state)
{
	static const size_t sizes[] = { 0,
					1,
					2,
					SPOOL_BODY_MAX - 1,
					SPOOL_BODY_MAX,
					SPOOL_BODY_MAX + 1,
					3 * SPOOL_BODY_MAX + 5 };
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		write_message("m", sizes[i]);
		assert_int_equal(read_message("m", sizes[i]).kind, FAULT_NONE);
		unlinkat(dir, "m", 0);
	}
}

static void a_file_cut_at_any_octet_is_not_a_message(void **state)
{
	size_t n;
	char *p;
	(void)state;
	write_message("m", 300);
	p = slurp("m", &n);
	for (size_t cut = 0; cut < n; cut++) {
		spill("c", p, cut);
		assert_int_equal(read_message("c", 300).kind, FAULT_CORRUPT);
	}
	free(p);
}

static void a_damaged_octet_is_found_wherever_it_is(void **state)
{
	size_t n;
	char *p;
	(void)state;
	write_message("m", 300);
	p = slurp("m", &n);
	for (size_t i = 0; i < n; i++) {
		p[i] = (char)(p[i] ^ 0x10);
		spill("c", p, n);
		assert_int_equal(read_message("c", 300).kind, FAULT_CORRUPT);
		p[i] = (char)(p[i] ^ 0x10);
	}
	free(p);
}

static struct fault put_outcome(struct spool *s, uint32_t i, enum spool_outcome outcome, int64_t now_s,
				struct sv text)
{
	return spool_put_outcomes(s, &(struct spool_change){ i, outcome, text }, 1, now_s);
}

static void a_torn_outcome_never_happened_and_the_next_one_is_kept(void **state)
{
	size_t whole, more;
	struct spool *s;
	char *p;
	(void)state;

	write_message("m", 300);
	free(slurp("m", &whole));
	assert_int_equal(spool_open(dir, "m", SPOOL_LOCKED, &s).kind, FAULT_NONE);
	assert_int_equal(put_outcome(s, 1, SPOOL_BOUNCED, 77, SV("550 no")).kind, FAULT_NONE);
	assert_int_equal(spool_outcome(s, 1), SPOOL_BOUNCED);
	assert_int_equal(put_outcome(s, 2, SPOOL_BOUNCED, 77, SV("")).kind, FAULT_INVALID);
	spool_close(&s);
	p = slurp("m", &more);
	for (size_t cut = whole; cut < more; cut++) {
		spill("c", p, cut);
		assert_int_equal(spool_open(dir, "c", SPOOL_LOCKED, &s).kind, FAULT_NONE);
		assert_int_equal(spool_outcome(s, 1), 0);
		assert_int_equal(put_outcome(s, 0, SPOOL_DELIVERED, 78, SV("")).kind,
				 FAULT_NONE);
		spool_close(&s);
		assert_int_equal(spool_open(dir, "c", SPOOL_UNLOCKED, &s).kind, FAULT_NONE);
		assert_int_equal(spool_outcome(s, 0), SPOOL_DELIVERED);
		assert_int_equal(spool_outcome(s, 1), 0);
		spool_close(&s);
		assert_int_equal(read_message("c", 300).kind, FAULT_NONE);
	}
	free(p);
}

static void a_file_that_somebody_works_on_is_left_alone(void **state)
{
	struct spool *a, *b;
	(void)state;
	write_message("m", 10);
	assert_int_equal(spool_open(dir, "m", SPOOL_LOCKED, &a).kind, FAULT_NONE);
	assert_int_equal(spool_open(dir, "m", SPOOL_LOCKED, &b).kind, FAULT_BUSY);
	assert_int_equal(spool_open(dir, "m", SPOOL_UNLOCKED, &b).kind, FAULT_NONE);
	spool_close(&b);
	spool_close(&a);
	assert_int_equal(spool_open(dir, "m", SPOOL_LOCKED, &a).kind, FAULT_NONE);
	spool_close(&a);
	assert_int_equal(spool_create(dir, "m", &a).kind, FAULT_EXISTS);
	assert_int_equal(spool_open(dir, "none", SPOOL_LOCKED, &a).kind, FAULT_NOT_FOUND);
}

static void when_it_came_by_the_queues_time_is_kept_and_the_last_word_counts(void **state)
{
	struct spool *s;
	(void)state;
	write_message("m", 10);
	assert_int_equal(spool_open(dir, "m", SPOOL_LOCKED, &s).kind, FAULT_NONE);
	assert_int_equal(spool_born(s), 0);
	assert_int_equal(spool_put_born(s, 1000).kind, FAULT_NONE);
	assert_int_equal(put_outcome(s, 0, SPOOL_DELIVERED, 2000, SV("250 ok")).kind, FAULT_NONE);
	spool_close(&s);
	assert_int_equal(spool_open(dir, "m", SPOOL_LOCKED, &s).kind, FAULT_NONE);
	assert_int_equal(spool_born(s), 1000);
	assert_int_equal(spool_put_born(s, -5).kind, FAULT_NONE);
	spool_close(&s);
	assert_int_equal(spool_open(dir, "m", SPOOL_UNLOCKED, &s).kind, FAULT_NONE);
	assert_int_equal(spool_born(s), -5);
	assert_int_equal(spool_outcome(s, 0), SPOOL_DELIVERED);
	spool_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(messages_of_every_size_come_back_as_they_were,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_cut_at_any_octet_is_not_a_message, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_damaged_octet_is_found_wherever_it_is, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			a_torn_outcome_never_happened_and_the_next_one_is_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(a_file_that_somebody_works_on_is_left_alone, setup,
						teardown),
		cmocka_unit_test_setup_teardown(when_it_came_by_the_queues_time_is_kept_and_the_last_word_counts, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
