/* Events that are kept: found by what they name, in the order of time, until they are too old. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/events.h"
#include "common/eventstore.h"

#include "common/banned.h"

#define EVENTS_KEEP_DAYS 90             /* events-keep, unless somebody says otherwise */

static char folder[64];
static struct loop *loop;
static struct eventstore *store;

struct found {
	size_t count;
	char all[8192];
	int64_t last_ms;
};

static bool note(void *arg, int64_t at_ms, struct sv json)
{
	struct found *f = arg;
	size_t len = strlen(f->all);

	assert_true(at_ms >= f->last_ms);
	f->last_ms = at_ms;
	f->count++;
	snprintf(f->all + len, sizeof(f->all) - len, "%.*s\n", SV_FMT(json));
	return true;
}

static struct found find(const char *what)
{
	struct found f = { .count = 0 };

	assert_int_equal(eventstore_find(store, sv_z(what), note, &f).kind, FAULT_NONE);
	return f;
}

static int set_up(void **state)
{
	(void)state;
	snprintf(folder, sizeof(folder), "/tmp/postroom-events-XXXXXX");
	if (!mkdtemp(folder) || loop_new(&loop).kind)
		return -1;
	log_set_level(LOG_LEVEL_ERROR);
	if (eventstore_open(folder, true, &store).kind)
		return -1;
	eventstore_start(store, loop, 1000);
	return 0;
}

static int tear_down(void **state)
{
	pid_t pid;
	(void)state;

	loop_free(&loop);
	eventstore_close(&store);
	pid = fork();
	if (pid == 0) {
		execlp("rm", "rm", "-rf", folder, (char *)NULL);
		_exit(1);
	}
	return waitpid(pid, NULL, 0) == pid ? 0 : -1;
}

static bool count_one(void *arg, int64_t at_ms, struct sv json)
{
	(void)at_ms;
	(void)json;
	++*(size_t *)arg;
	return true;
}

static void emit(const char *id, const char *message_id, const char *to)
{
	event_emit(NULL, EVENT_RELAY_SENT, KV_Z("queue_id", id), KV_Z("message_id", message_id), KV_Z("to", to),
		   KV_U64("age_s", 3));
}

static uint64_t octets_on_disk(void)
{
	char path[96];
	struct stat st;

	snprintf(path, sizeof(path), "%s/data.mdb", folder);
	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_size;
}

/* emit_refusal - such as spammers get all day. */
static void emit_refusal(int i)
{
	char from[64], id[32], message_id[64];

	snprintf(id, sizeof(id), "k0vm1q0bsh%06d", i);
	snprintf(from, sizeof(from), "newsletter%d@spam.example", i);
	snprintf(message_id, sizeof(message_id), "<20261122.%d.5f3a9c@mail.spam.example>", i);
	event_emit(NULL, i % 2 ? EVENT_SMTP_REJECT : EVENT_SMTP_DEFER, KV_Z("stage", "message"), KV_Z("queue_id", id),
		   KV_Z("message_id", message_id), KV_Z("from", from), KV_Z("to", "refused"), KV_Z("reason", "dmarc"), KV_Z("check", "dmarc"),
		   KV_U64("code", 550), KV_Z("text", "Domain strict.example did not send this message (DMARC p=reject)"), KV_Z("listener", "mx"),
		   KV_Z("results", "iprev=pass policy.iprev=192.0.2.66 policy.name=mx.spam.example; spf=pass smtp.mailfrom=newsletter@spam.example; "
				   "dkim=none; dmarc=fail (p=reject) header.from=strict.example"),
		   KV_Z("checks", "dmarc: Domain strict.example did not send this message (DMARC p=reject) (reject)"));
}

static void refusals_do_not_fill_the_disk(void **state)
{
	size_t kept = 0;
	(void)state;

	uint64_t empty = octets_on_disk();

	for (int i = 0; i < 3 * EVENTSTORE_REFUSALS; i++)
		emit_refusal(i);
	emit("accepted", "x@x", "friend@example.net");
	eventstore_flush(store);
	assert_int_equal(eventstore_find(store, SV("refused"), count_one, &kept).kind, FAULT_NONE);
	/* one more for each minute that this has taken */
	assert_in_range(kept, EVENTSTORE_REFUSALS, EVENTSTORE_REFUSALS + 10);
	/* Of a worker that is always refusing somebody, for as long as events are kept. */
	uint64_t each = (octets_on_disk() - empty) / kept, most = each * EVENTSTORE_REFUSALS_PER_MINUTE * 60 * 24 * EVENTS_KEEP_DAYS;

	assert_true(most < (uint64_t)512 << 20);
	kept = 0;
	assert_int_equal(eventstore_find(store, SV("accepted"), count_one, &kept).kind, FAULT_NONE);
	assert_int_equal(kept, 1);
}

static void an_event_is_found_by_each_of_its_names(void **state)
{
	struct found f;

	(void)state;
	emit("id1", "<A@x>", "Friend@Example.NET");
	emit("id2", "b@x", "friend@example.net");
	emit("id10", "c@x", "friend@example.net.evil");
	event_emit(NULL, EVENT_SESSION_OPEN, KV_Z("queue_id", "id1"));  /* about no message */
	eventstore_flush(store);
	assert_int_equal(find("id1").count, 1);
	f = find("friend@example.net");
	assert_int_equal(f.count, 2);
	assert_true(strstr(f.all, "\"event\":\"relay.sent\"") && strstr(f.all, "\"age_s\":3"));
	assert_int_equal(find("a@X").count, 1);
	assert_int_equal(find("<b@x>").count, 1);
	assert_int_equal(find("id").count, 0);
	assert_int_equal(find("").count, 0);
}

static void what_is_too_old_goes_with_its_names(void **state)
{
	struct found all = { .count = 0 };

	(void)state;
	emit("old", "old@x", "old@example.net");
	eventstore_flush(store);
	assert_int_equal(eventstore_expire(store, 1).kind, FAULT_NONE);
	assert_int_equal(find("old").count, 1);
	assert_int_equal(eventstore_expire(store, INT64_MAX).kind, FAULT_NONE);
	assert_int_equal(find("old").count, 0);
	assert_int_equal(find("old@example.net").count, 0);
	assert_int_equal(eventstore_since(store, 0, note, &all).kind, FAULT_NONE);
	assert_int_equal(all.count, 0);
}

struct arrived {
	uint64_t last;
	size_t count;
	char all[8192];
};

static bool note_arrival(void *arg, uint64_t number, struct sv json)
{
	struct arrived *a = arg;
	size_t len = strlen(a->all);

	assert_true(number > a->last);
	a->last = number;
	snprintf(a->all + len, sizeof(a->all) - len, "%.*s\n", SV_FMT(json));
	return ++a->count < 3;
}

static void who_goes_on_behind_the_last_one_misses_none(void **state)
{
	struct arrived a = { .count = 0 };
	uint64_t last;

	(void)state;
	assert_int_equal(eventstore_last(store, &a.last).kind, FAULT_NONE);
	emit("first", "", "");
	emit("second", "", "");
	eventstore_flush(store);
	emit("third", "", "");
	emit("fourth", "", "");
	eventstore_flush(store);
	assert_int_equal(eventstore_after(store, a.last, note_arrival, &a).kind, FAULT_NONE);
	assert_int_equal(a.count, 3);           /* as many as it wanted */
	assert_true(strstr(a.all, "first") < strstr(a.all, "second") && strstr(a.all, "second") < strstr(a.all, "third"));
	assert_int_equal(eventstore_after(store, a.last, note_arrival, &a).kind, FAULT_NONE);
	assert_int_equal(a.count, 4);
	assert_non_null(strstr(a.all, "fourth"));
	assert_int_equal(eventstore_last(store, &last).kind, FAULT_NONE);
	assert_int_equal(last, a.last);
	assert_int_equal(eventstore_after(store, last, note_arrival, &a).kind, FAULT_NONE);
	assert_int_equal(a.count, 4);
	/* When all are too old, numbers do not begin again. */
	assert_int_equal(eventstore_expire(store, INT64_MAX).kind, FAULT_NONE);
	assert_int_equal(eventstore_last(store, &last).kind, FAULT_NONE);
	assert_int_equal(last, 0);
	emit("fifth", "", "");
	eventstore_flush(store);
	assert_int_equal(eventstore_after(store, a.last, note_arrival, &a).kind, FAULT_NONE);
	assert_int_equal(a.count, 5);
}

static void long_and_odd_names_do_no_harm(void **state)
{
	char big[3000];
	struct found f;

	(void)state;
	memset(big, 'x', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	emit("odd", big, "\xff\x01\"@example.net");
	emit("odd", "", "<>");
	eventstore_flush(store);
	f = find("odd");
	assert_int_equal(f.count, 2);
	assert_int_equal(find(big).count, 1);
}

static void strangers_write_no_control_characters(void **state)
{
	struct found f;
	(void)state;

	event_emit(NULL, EVENT_SMTP_REJECT, KV_Z("queue_id", "hostile"), KV_Z("to", "TO:<a\x1b[2J\a\x7f@x>"), KV_Z("text", "one\ntwo \xc3\xa4"));
	eventstore_flush(store);
	f = find("hostile");
	assert_int_equal(f.count, 1);
	assert_non_null(strstr(f.all, "\"TO:<a?[2J??@x>\""));
	assert_non_null(strstr(f.all, "\"one two \xc3\xa4\""));
}

static void a_reader_without_a_store_is_told(void **state)
{
	struct eventstore *none = NULL;

	(void)state;
	assert_int_equal(eventstore_open("/tmp/postroom-no-events", false, &none).kind, FAULT_NOT_FOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_event_is_found_by_each_of_its_names),
		cmocka_unit_test(what_is_too_old_goes_with_its_names),
		cmocka_unit_test(who_goes_on_behind_the_last_one_misses_none),
		cmocka_unit_test(long_and_odd_names_do_no_harm),
		cmocka_unit_test(a_reader_without_a_store_is_told),
		cmocka_unit_test(strangers_write_no_control_characters),
		cmocka_unit_test(refusals_do_not_fill_the_disk),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
