/* The queue: what was released is there, what was aborted is not, and files win over rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/log.h"
#include "smtpd/queue.h"

static char folder[64];
static struct queue *queue;

static int setup(void **state)
{
	(void)state;
	memcpy(folder, "/tmp/queue_test.XXXXXX", 23);
	assert_non_null(mkdtemp(folder));
	assert_int_equal(queue_open(folder, &queue).kind, FAULT_NONE);
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int teardown(void **state)
{
	(void)state;
	queue_close(&queue);
	return nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void in_folder(const char *sub, const char *id, char out[200])
{
	snprintf(out, 200, "%s/%s/%s", folder, sub, id);
}

static bool exists(const char *sub, const char *id)
{
	char path[200];

	in_folder(sub, id, path);
	return access(path, F_OK) == 0;
}

static void make_envelope(struct envelope *e, char id[QUEUE_ID_LEN + 1])
{
	queue_new_id(id);
	envelope_init(e);
	e->received_s = 1000;
	assert_true(envelope_set_fact(e, ENVELOPE_ID, sv_z(id)));
	assert_true(envelope_set_fact(e, ENVELOPE_USER, SV("alice@here")));
	assert_true(envelope_set_sender(e, SV("alice@here")));
	assert_non_null(envelope_add_rcpt(e, SV("x@there"), SV_NONE));
	assert_non_null(envelope_add_rcpt(e, SV("y@there"), SV_NONE));
}

/* add - a message of one line; stops after `steps` of begin, write, finish, commit, release. */
static struct queue_entry *add(struct envelope *e, char id[QUEUE_ID_LEN + 1], int steps)
{
	struct queue_entry *entry = NULL;

	make_envelope(e, id);
	assert_int_equal(queue_begin(queue, e, &entry).kind, FAULT_NONE);
	if (steps > 1)
		assert_int_equal(queue_write(entry, SV("Subject: x\r\n\r\n")).kind, FAULT_NONE);
	if (steps > 2)
		assert_int_equal(queue_finish(entry).kind, FAULT_NONE);
	if (steps > 3)
		assert_int_equal(queue_commit(entry).kind, FAULT_NONE);
	if (steps > 4)
		queue_release(&entry);
	return entry;
}

struct seen {
	unsigned count;
	char last[QUEUE_ID_LEN + 1];
	uint64_t size, rcpts;
};

static bool see(void *arg, const struct queue_info *info)
{
	struct seen *s = arg;

	s->count++;
	memcpy(s->last, info->id.p, QUEUE_ID_LEN);
	s->size = info->size;
	s->rcpts = info->rcpt_count;
	assert_true(sv_eq(info->sender, SV("alice@here")));
	assert_true(sv_eq(info->user, SV("alice@here")));
	assert_int_equal(info->listed, 2);
	assert_true(sv_eq(info->rcpts[0], SV("x@there")) && sv_eq(info->rcpts[1], SV("y@there")));
	assert_int_equal(info->received_s, 1000);
	return true;
}

static struct seen list(void)
{
	struct seen s = { 0 };
	uint64_t count = 0;

	assert_int_equal(queue_list(queue, SV_NONE, see, &s).kind, FAULT_NONE);
	assert_int_equal(queue_count(queue, &count).kind, FAULT_NONE);
	assert_int_equal(count, s.count);
	return s;
}

/* As the relay does when every recipient has its outcome. */
static struct fault remove_message(char id[static QUEUE_ID_LEN + 1])
{
	struct spool *s = NULL;
	struct fault f = queue_take(queue, id, &s);

	if (f.kind)
		return f;
	f = queue_drop(queue, id);
	queue_forget(queue, (const char (*)[QUEUE_ID_LEN + 1])id, 1);
	spool_close(&s);
	return f;
}

static void a_released_message_is_listed_read_and_removed(void **state)
{
	struct envelope e;
	char id[QUEUE_ID_LEN + 1];
	struct spool *s;
	struct buf body;
	struct seen seen;
	(void)state;

	assert_null(add(&e, id, 5));
	seen = list();
	assert_int_equal(seen.count, 1);
	assert_string_equal(seen.last, id);
	assert_int_equal(seen.size, 14);
	assert_int_equal(seen.rcpts, 2);
	assert_int_equal(queue_read(queue, sv_z(id), &s).kind, FAULT_NONE);
	buf_init(&body, SPOOL_BODY_MAX);
	assert_int_equal(spool_read_body(s, &body).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&body), SV("Subject: x\r\n\r\n")));
	buf_done(&body);
	spool_close(&s);
	assert_int_equal(remove_message(id).kind, FAULT_NONE);
	assert_int_equal(remove_message(id).kind, FAULT_NOT_FOUND);
	assert_int_equal(list().count, 0);
	envelope_done(&e);
}

static void an_aborted_message_leaves_nothing_at_any_step(void **state)
{
	(void)state;
	for (int steps = 1; steps <= 4; steps++) {
		struct envelope e;
		char id[QUEUE_ID_LEN + 1];
		struct queue_entry *entry = add(&e, id, steps);

		assert_true(exists(steps > 3 ? "msg" : "tmp", id));
		queue_abort(&entry);
		assert_null(entry);
		assert_false(exists("msg", id));
		assert_false(exists("tmp", id));
		assert_int_equal(list().count, 0);
		envelope_done(&e);
	}
}

static void a_message_is_left_alone_until_it_is_released(void **state)
{
	struct envelope e;
	char id[QUEUE_ID_LEN + 1];
	struct queue_entry *entry = add(&e, id, 4);
	(void)state;

	assert_int_equal(queue_sync(queue).kind, FAULT_NONE);
	assert_int_equal(list().count, 0);
	assert_int_equal(remove_message(id).kind, FAULT_BUSY);
	queue_release(&entry);
	assert_int_equal(list().count, 1);
	envelope_done(&e);
}

static void rows_are_made_again_from_the_files(void **state)
{
	static const char *const parts[] = { "data.mdb", "lock.mdb" };
	struct envelope a, b;
	char first[QUEUE_ID_LEN + 1], second[QUEUE_ID_LEN + 1], path[200];
	(void)state;

	add(&a, first, 5);
	add(&b, second, 5);
	queue_close(&queue);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		in_folder("index", parts[i], path);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(queue_open(folder, &queue).kind, FAULT_NONE);
	assert_int_equal(list().count, 0);
	assert_int_equal(queue_sync(queue).kind, FAULT_NONE);
	assert_int_equal(list().count, 2);
	assert_string_equal(list().last, second);
	in_folder("msg", first, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(queue_sync(queue).kind, FAULT_NONE);
	assert_int_equal(list().count, 1);
	envelope_done(&a);
	envelope_done(&b);
}

static void what_cannot_be_read_is_set_apart_and_the_rest_is_listed(void **state)
{
	struct envelope a, b;
	char good[QUEUE_ID_LEN + 1], bad[QUEUE_ID_LEN + 1], path[200];
	(void)state;

	add(&a, bad, 5);
	assert_int_equal(remove_message(bad).kind, FAULT_NONE);
	in_folder("msg", bad, path);
	assert_int_equal(close(open(path, O_CREAT | O_WRONLY, 0600)), 0);
	add(&b, good, 5);
	assert_int_equal(queue_sync(queue).kind, FAULT_NONE);
	assert_int_equal(list().count, 1);
	assert_true(exists("corrupt", bad));
	assert_false(exists("msg", bad));
	envelope_done(&a);
	envelope_done(&b);
}

static void ids_are_in_the_order_of_time_and_never_a_path(void **state)
{
	char a[QUEUE_ID_LEN + 1], b[QUEUE_ID_LEN + 1];
	struct spool *s;
	(void)state;

	queue_new_id(a);
	usleep(10);
	queue_new_id(b);
	assert_true(strcmp(a, b) < 0);
	assert_int_equal(strlen(a), QUEUE_ID_LEN);
	assert_int_equal(queue_read(queue, SV("../../etc/passwd"), &s).kind, FAULT_NOT_FOUND);
	assert_int_equal(queue_read(queue, SV(""), &s).kind, FAULT_NOT_FOUND);
	assert_int_equal(queue_read(queue, SV("..............//"), &s).kind, FAULT_NOT_FOUND);
}

static void a_note_is_read_whole_into_a_small_buffer_and_a_large_one(void **state)
{
	struct buf out, large;
	(void)state;

	buf_init(&out, 100);
	buf_init(&large, 300000);
	assert_false(queue_note(queue, "place", &out));
	assert_int_equal(queue_put_note(queue, "place", SV("17 2\n")).kind, FAULT_NONE);
	assert_true(queue_note(queue, "place", &out));
	assert_true(sv_eq(buf_sv(&out), SV("17 2\n")));
	while (large.len < 200000)
		assert_true(buf_append_c(&large, 'x'));
	assert_int_equal(queue_put_note(queue, "brake", buf_sv(&large)).kind, FAULT_NONE);
	buf_clear(&large);
	assert_true(queue_note(queue, "brake", &large));
	assert_int_equal(large.len, 200000);
	buf_done(&out);
	buf_done(&large);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_released_message_is_listed_read_and_removed,
						setup, teardown),
		cmocka_unit_test_setup_teardown(an_aborted_message_leaves_nothing_at_any_step,
						setup, teardown),
		cmocka_unit_test_setup_teardown(a_message_is_left_alone_until_it_is_released, setup,
						teardown),
		cmocka_unit_test_setup_teardown(rows_are_made_again_from_the_files, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			what_cannot_be_read_is_set_apart_and_the_rest_is_listed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_note_is_read_whole_into_a_small_buffer_and_a_large_one, setup, teardown),
		cmocka_unit_test_setup_teardown(ids_are_in_the_order_of_time_and_never_a_path,
						setup, teardown),
	};
	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
