/* Touching files: no link is followed, nothing is replaced by accident, marks and intents outlive their makers. */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "maildir/files.h"
#include "maildir/intent_private.h"
#include "maildir/mark_private.h"
#include "tests/unit/support/store_fixture.h"

static char root[64];
static int dir;

static int setup(void **state)
{
	(void)state;
	snprintf(root, sizeof(root), "/tmp/files-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static int teardown(void **state)
{
	(void)state;
	close(dir);
	return fixture_shell("rm -rf '%s'", root);
}

static void links_are_never_followed(void **state)
{
	struct buf out;
	int fd;

	(void)state;
	fixture_shell("cd '%s' && mkdir a && echo x > a/f && ln -s a b && ln -s a/f c && mkfifo p && ln -s /etc out", root);
	buf_init(&out, 100);
	assert_int_equal(files_read(dir, "a/f", &out).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&out), SV("x\n")));
	assert_int_equal(files_read(dir, "c", &out).kind, FAULT_CORRUPT);
	assert_int_not_equal(files_read(dir, "b/f", &out).kind, FAULT_NONE);
	assert_int_not_equal(files_read(dir, "out/hostname", &out).kind, FAULT_NONE);
	assert_int_not_equal(files_read(dir, "../../etc/hostname", &out).kind, FAULT_NONE);
	assert_int_equal(files_open_regular(dir, "p", &fd).kind, FAULT_CORRUPT);
	assert_int_equal(files_open_regular(dir, "a", &fd).kind, FAULT_CORRUPT);
	assert_int_equal(files_read(dir, "none", &out).kind, FAULT_NOT_FOUND);
	buf_done(&out);
}

static void a_tree_is_removed_without_what_its_links_point_to(void **state)
{
	(void)state;
	fixture_shell("cd '%s' && mkdir -p keep t/cur/deep/er && echo x > keep/f && ln -s ../keep t/link && ln -s keep l && "
		      "echo y > t/cur/deep/er/z && chmod 700 t", root);
	files_remove_tree(dir, "t");
	assert_false(files_exists(dir, "t"));
	assert_true(files_exists(dir, "keep/f"));
	files_remove_tree(dir, "l");    /* the link itself */
	assert_true(files_exists(dir, "keep/f"));
	files_remove_tree(dir, "none");
}

static void a_rename_never_replaces(void **state)
{
	struct buf out;

	(void)state;
	assert_int_equal(files_write_new(dir, "one", SV("1"), 0600).kind, FAULT_NONE);
	assert_int_equal(files_write_new(dir, "two", SV("2"), 0600).kind, FAULT_NONE);
	assert_int_equal(files_write_new(dir, "two", SV("3"), 0600).kind, FAULT_EXISTS);
	assert_int_equal(files_rename_new(dir, "one", dir, "two").kind, FAULT_EXISTS);
	assert_int_equal(files_rename_new(dir, "none", dir, "three").kind, FAULT_NOT_FOUND);
	assert_int_equal(files_rename_new(dir, "one", dir, "three").kind, FAULT_NONE);
	buf_init(&out, 10);
	assert_int_equal(files_read(dir, "two", &out).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&out), SV("2")));
	buf_clear(&out);
	out.max = 0;
	assert_int_equal(files_read(dir, "three", &out).kind, FAULT_LIMIT);
	buf_done(&out);
}

static bool count_name(void *arg, const char *name, unsigned char type)
{
	(void)name;
	(void)type;
	++*(unsigned *)arg;
	return true;
}

static void a_file_is_replaced_whole_or_not_at_all_and_nothing_is_left_beside_it(void **state)
{
	struct buf out;
	unsigned names = 0;

	(void)state;
	buf_init(&out, 100);
	assert_int_equal(files_mkdir(dir, "in", 0700, NULL).kind, FAULT_NONE);
	assert_int_equal(files_replace(dir, "in/file", SV("one"), 0600).kind, FAULT_NONE);
	assert_int_equal(files_replace(dir, "in/file", SV("another"), 0600).kind, FAULT_NONE);
	assert_int_equal(files_read(dir, "in/file", &out).kind, FAULT_NONE);
	assert_true(sv_eq(buf_sv(&out), SV("another")));
	assert_int_equal(files_mkdir(dir, "in/folder", 0700, NULL).kind, FAULT_NONE);
	assert_int_not_equal(files_replace(dir, "in/folder", SV("x"), 0600).kind, FAULT_NONE);
	assert_int_equal(files_each(dir, "in", count_name, &names).kind, FAULT_NONE);
	assert_int_equal(names, 2);
	assert_int_not_equal(files_replace(dir, "missing/file", SV("x"), 0600).kind, FAULT_NONE);
	buf_done(&out);
}

static void an_intent_outlives_its_killed_maker(void **state)
{
	struct intent_map *map;
	struct intent found;
	int status;

	(void)state;
	assert_int_equal(intent_open(dir, &map).kind, FAULT_NONE);
	assert_false(intent_read(map, &found));
	pid_t pid = fork();
	if (!pid) {
		struct intent_map *mine;
		struct intent say = { .boxes = { 7, 8 }, .box_count = 2, .folders = 1, .file_count = 1 };
		snprintf(say.files[0].name, INTENT_NAME_MAX, "name");
		say.files[0].box = 9;
		if (intent_open(dir, &mine).kind)
			_exit(1);
		intent_write(mine, &say, 42);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, &status, 0);
	assert_true(WIFSIGNALED(status));
	assert_true(intent_read(map, &found));
	assert_true(found.seq == 42 && found.boxes[1] == 8 && found.box_count == 2 && found.folders == 1);
	assert_true(found.file_count == 1 && found.files[0].box == 9);
	assert_string_equal(found.files[0].name, "name");
	intent_clear(map);
	assert_false(intent_read(map, &found));
	intent_close(&map);
}

static void next_boot(char out[BOOT_ID_MAX])
{
	snprintf(out, BOOT_ID_MAX, "next");
}

static void a_mark_of_another_boot_is_told_from_ours(void **state)
{
	void (*real)(char out[BOOT_ID_MAX]) = mark_boot_id;
	bool made;

	(void)state;
	assert_int_equal(mark_look(dir), MARK_NONE);
	assert_int_equal(mark_set(dir, &made).kind, FAULT_NONE);
	assert_true(made);
	assert_int_equal(mark_set(dir, &made).kind, FAULT_NONE);
	assert_false(made);
	assert_int_equal(mark_look(dir), MARK_THIS_BOOT);
	mark_boot_id = next_boot;
	assert_int_equal(mark_look(dir), MARK_OTHER_BOOT);
	/* Nobody overwrites it: whoever has this index open did not rebuild it. */
	assert_int_not_equal(mark_set(dir, &made).kind, FAULT_NONE);
	mark_boot_id = real;
	mark_clear(dir);
	assert_int_equal(mark_look(dir), MARK_NONE);
	fixture_shell("cd '%s' && echo x > dirty", root);
	assert_int_equal(mark_look(dir), MARK_OTHER_BOOT);      /* not a link: believed by nobody */
}

/* From here on this process can make no links, as on a disk without a free inode. */
static bool fill_the_disk(void)
{
	struct sock_filter rules[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_symlinkat, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSPC),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_LEN(rules), rules };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static void a_mark_that_finds_no_room_says_so(void **state)
{
	int status;
	(void)state;

	/* Without the spare inode that an earlier mark leaves, as in an index that is just being made. */
	pid_t pid = fork();
	if (!pid) {
		bool made;

		_exit(!fill_the_disk() ? 99 : (int)mark_set(dir, &made).kind);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), FAULT_NO_SPACE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(links_are_never_followed),
		TEST(a_tree_is_removed_without_what_its_links_point_to),
		TEST(a_rename_never_replaces),
		TEST(a_file_is_replaced_whole_or_not_at_all_and_nothing_is_left_beside_it),
		TEST(an_intent_outlives_its_killed_maker),
		TEST(a_mark_of_another_boot_is_told_from_ours),
		TEST(a_mark_that_finds_no_room_says_so),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
