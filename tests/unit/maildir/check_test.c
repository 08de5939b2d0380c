/* Each way in which index and files can differ is told, in its own words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/support/store_fixture.h"

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

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)

struct heard {
	unsigned count;
	char text[4096];
};

static void hear(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	struct heard *h = arg;
	size_t len = strlen(h->text);

	h->count++;
	snprintf(h->text + len, sizeof(h->text) - len, "%s %u: %s\n", mailbox, uid, what);
}

/* What is told when this was done by hand, under the eyes of nobody. */
static void expect(struct fixture *f, const char *command, const char *told)
{
	struct heard heard = { 0 };
	uint64_t messages;

	assert_int_equal(fixture_shell("cd '%s' && %s", fixture_path(f, "Maildir"), command), 0);
	ok(store_index_check(f->store, SV(ALICE), hear, &heard, &messages));
	if (!strstr(heard.text, told))
		fail_msg("%s: told \"%s\", expected \"%s\"", command, heard.text, told);
}

static void what_differs_is_told(void **state)
{
	struct fixture *f = *state;
	char id[24];

	for (int i = 0; i < 4; i++)
		fixture_append_text(f->inbox, f->user, "Subject: x\r\n\r\nx\r\n", 0, i ? NULL : "work");
	ok(mailbox_create(f->user, SV("Gone"), 0, id));
	assert_int_equal(fixture_differences(f), 0);
	expect(f, "rm cur/*.1:2,*", "INBOX 1: the file is missing");
	expect(f, "for f in cur/*.2:2,*; do echo more >> $f; done", "INBOX 2: the file has another size");
	expect(f, "for f in cur/*.3:2,*; do mv $f ${f}S; done", "INBOX 3: a file under another name than the index has");
	expect(f, "for f in cur/*.4:2,*; do cp $f ${f%%4:2,*}9:2,; done", "INBOX 9: a file that the index does not have");
	expect(f, "echo x > cur/1.other.program", "INBOX 0: a file without a UID of this mailbox");
	expect(f, "mkdir -p .Strange/cur .Strange/new .Strange/tmp", ".Strange 0: a folder that the index does not have");
	expect(f, "mv .Gone ../Gone", "Gone 0: the folder is missing");
	expect(f, "sed -i 's/^keyword 0 work/keyword 0 play/' postroom-mailbox", "INBOX 0: the identity file is missing or damaged");
	expect(f, "cp .Sent/postroom-mailbox .Trash/postroom-mailbox", "Trash 0: the identity file is another mailbox's");
	expect(f, "cp .Sent/postroom-mailbox .Trash/postroom-mailbox", "Trash 0: the identity file has another special use");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_differs_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
