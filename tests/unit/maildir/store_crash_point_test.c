/* A writer that dies at the worst moment: names are changed, the index is not. Whoever comes next finishes or undoes it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/account_private.h"
#include "tests/unit/support/store_fixture.h"

static bool armed;

static void die(bool has_intent)
{
	if (armed && has_intent)
		kill(getpid(), SIGKILL);
}

static void append(struct fixture *f)
{
	fixture_append(f->inbox, f->user, "new", 0);
}

static void deliver(struct fixture *f)
{
	(void)!fixture_deliver(f, ALICE, "Subject: new\r\n\r\n", NULL).kind;
}

static void copy_or_move(struct fixture *f, bool move)
{
	struct mailbox *to = fixture_mailbox(f, "Archive");
	struct uidset set = { 0 };
	uint32_t resume = 0;

	uidset_add(&set, 2, 8);
	(void)!mailbox_copy(f->inbox, &set, to, move, &resume, NULL, NULL).kind;
}

static void copy(struct fixture *f)
{
	copy_or_move(f, false);
}

static void move(struct fixture *f)
{
	copy_or_move(f, true);
}

static void expunge(struct fixture *f)
{
	struct uidset set = { 0 }, gone = { 0 };
	uint32_t resume = 0;

	uidset_add(&set, 2, 8);
	(void)!mailbox_expunge(f->inbox, &set, true, &resume, &gone).kind;
}

static void tidy(struct fixture *f)
{
	store_tidy(f->store);
}

static void create(struct fixture *f)
{
	(void)!mailbox_create(f->user, SV("x/y"), 0, NULL).kind;
}

static void rename_tree(struct fixture *f)
{
	(void)!mailbox_rename(f->user, SV("tree"), SV("other")).kind;
}

static void rename_inbox(struct fixture *f)
{
	(void)!mailbox_rename(f->user, SV("INBOX"), SV("old")).kind;
}

static void delete(struct fixture *f)
{
	(void)!mailbox_delete(f->user, SV("tree/a")).kind;
}

static const struct step {
	const char *name;
	void (*run)(struct fixture *f);
	uint32_t least, most;           /* messages of the whole account afterwards */
} steps[] = {
	{ "append", append, 12, 13 },   { "deliver", deliver, 12, 13 }, { "copy", copy, 12, 19 },
	{ "move", move, 12, 12 },       { "expunge", expunge, 5, 12 },  { "tidy", tidy, 12, 12 },
	{ "create", create, 12, 12 },   { "rename", rename_tree, 12, 12 }, { "rename inbox", rename_inbox, 12, 12 },
	{ "delete", delete, 11, 12 },
};

static void in_child(struct fixture *f, void (*fn)(struct fixture *f, const struct step *step), const struct step *step,
		     bool dies)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		fixture_open(f);
		fn(f, step);
		if (dies)
			_exit(90);
		fixture_close(f);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	if (dies) {
		assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	} else {
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void fill(struct fixture *f, const struct step *step)
{
	(void)step;
	for (int i = 0; i < 10; i++)
		fixture_append(f->inbox, f->user, "x", 0);
	if (mailbox_create(f->user, SV("tree/a"), 0, NULL).kind)
		_exit(91);
	struct mailbox *a = fixture_mailbox(f, "tree/a");
	struct mailbox *tree = fixture_mailbox(f, "tree");
	fixture_append(a, f->user, "in a", 0);
	fixture_append(tree, f->user, "in tree", 0);
	mailbox_close(&a);
	mailbox_close(&tree);
	fixture_store(f->inbox, 1, 9, STORE_ADD, FLAG_FLAGGED, "Word");
}

static void run_armed(struct fixture *f, const struct step *step)
{
	index_before_commit = die;
	armed = true;
	step->run(f);
}

static bool add_up(void *arg, const struct mailbox_info *info)
{
	struct { struct fixture *f; uint32_t messages, bad; } *sum = arg;
	struct mailbox_status st;

	if (!info->exists)
		return true;
	if (mailbox_status(sum->f->user, info->name, &st).kind)
		sum->bad++;
	else
		sum->messages += st.messages;
	return true;
}

static void check(struct fixture *f, const struct step *step)
{
	struct { struct fixture *f; uint32_t messages, bad; } sum = { f, 0, 0 };
	struct message_row row;

	if (mailbox_list(f->user, add_up, &sum).kind || sum.bad)
		_exit(92);
	if (sum.messages < step->least || sum.messages > step->most) {
		fprintf(stderr, "%s: %u messages\n", step->name, sum.messages);
		_exit(93);
	}
	if (fixture_differences(f))
		_exit(94);
	/* What was never part of it is as it was. */
	if (step->run != rename_inbox &&
	    (mailbox_row(f->inbox, 1, &row).kind || row.flags != FLAG_FLAGGED || row.keywords.w[0] != 1))
		_exit(95);
	/* And life goes on, with UIDs that nobody had. */
	uint32_t uid = fixture_append(f->inbox, f->user, "after", 0);
	if (uid <= 10 || fixture_differences(f))
		_exit(96);
}

static void whoever_comes_next_finishes_or_undoes_it(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(steps); i++) {
		for (int without_index = 0; without_index < 2; without_index++) {
			struct fixture f;
			fixture_make_folder(&f);
			in_child(&f, fill, NULL, false);
			in_child(&f, run_armed, &steps[i], true);
			if (without_index)
				fixture_shell("rm -rf '%s'", fixture_path(&f, "index"));
			in_child(&f, check, &steps[i], false);
			fixture_shell("rm -rf '%s'", f.root);
		}
	}
}

/* A deliverer looks at no folder, so only the intent tells it that the next UID stands in a name already. */
static void deliver_next(struct fixture *f, const struct step *step)
{
	uint32_t *acknowledged = (uint32_t *)(uintptr_t)step->name;

	if (fixture_deliver(f, ALICE, "Subject: acknowledged\r\n\r\n", acknowledged).kind)
		_exit(92);
}

static void look_for_it(struct fixture *f, const struct step *step)
{
	const uint32_t *acknowledged = (const uint32_t *)(uintptr_t)step->name;
	struct buf text;

	buf_init(&text, 1000);
	fixture_read(f->inbox, *acknowledged, &text);
	if (!sv_eq(buf_sv(&text), SV("Subject: acknowledged\r\n\r\n")))
		_exit(93);
}

static void no_two_messages_get_one_uid(void **state)
{
	struct fixture f;
	int status;
	uint32_t *acknowledged = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct step step = { .name = (const char *)acknowledged, .run = deliver };

	(void)state;
	assert_true(acknowledged != MAP_FAILED);
	fixture_make_folder(&f);
	in_child(&f, fill, NULL, false);
	in_child(&f, run_armed, &step, true);
	pid_t pid = fork();
	if (!pid) {
		char mail[96];
		struct store_conf conf = { .mail_dir = mail, .host = "host.test" };
		snprintf(mail, sizeof(mail), "%s/mail", f.root);
		if (store_open(&conf, &f.store).kind)
			_exit(91);
		deliver_next(&f, &step);
		store_close(&f.store);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	fixture_shell("rm -rf '%s'", fixture_path(&f, "index"));
	in_child(&f, look_for_it, &step, false);
	fixture_shell("rm -rf '%s'", f.root);
	munmap(acknowledged, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whoever_comes_next_finishes_or_undoes_it),
		cmocka_unit_test(no_two_messages_get_one_uid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
