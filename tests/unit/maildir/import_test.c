/* Other servers' mail taken over: what stays, what is said of the rest, killed at any moment, beside deliveries. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "maildir/import.h"
#include "tests/unit/support/store_fixture.h"

#define ok(call) assert_int_equal((call).kind, FAULT_NONE)
#define shell(...) assert_int_equal(fixture_shell(__VA_ARGS__), 0)

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

/* --- running one ----------------------------------------------------------------------------------------------------------- */

struct told {
	struct buf text;                /* "name kind found imported present kept uidls keywords left_out [notes]\n" */
};

static void note_mailbox(void *arg, const struct import_result *r)
{
	struct told *t = arg;

	buf_appendf(&t->text, "%.*s %s %llu %llu %llu %llu %llu %llu %llu [%.*s]\n", SV_FMT(r->mailbox), r->kind,
		    (unsigned long long)r->found, (unsigned long long)r->imported, (unsigned long long)r->present,
		    (unsigned long long)r->uids_kept, (unsigned long long)r->uidls, (unsigned long long)r->keywords,
		    (unsigned long long)r->left_out, SV_FMT(r->notes));
}

static struct fault run(struct fixture *f, const char *source, struct import_options options, struct told *told)
{
	char path[PATH_MAX], from[PATH_MAX];
	struct import_events events = { .mailbox = note_mailbox, .arg = told };

	snprintf(from, sizeof(from), "%s/%s", f->root, source);
	options.path = from;
	if (!options.is_mbox) {
		struct fault p = maildir_import_prepare(f->store, SV(ALICE), from, options.adopt && !options.dry_run, path);
		if (p.kind)
			return p;
		options.path = path;
	}
	buf_init(&told->text, 1 << 20);
	return maildir_import(f->user, &options, &events);
}

static void expect(struct fixture *f, const char *source, struct import_options options, const char *expected)
{
	struct told told;
	struct fault r = run(f, source, options, &told);

	if (r.kind)
		fprintf(stderr, "import: %s\n", r.detail);
	assert_int_equal(r.kind, FAULT_NONE);
	assert_string_equal(told.text.len ? buf_z(&told.text) : "", expected);
	buf_done(&told.text);
}

/* INBOX was replaced: a handle from before is of a mailbox that is gone. */
static void reopen(struct fixture *f)
{
	fixture_close(f);
	fixture_open(f);
}

static void expect_messages(struct mailbox *box, uint32_t uidvalidity, uint32_t uidnext, const char *rows)
{
	struct mailbox_status st;
	struct uidset uids = { 0 };
	uint64_t modseq;
	struct buf out;

	ok(mailbox_counters(box, &st));
	if (uidvalidity)
		assert_int_equal(st.uidvalidity, uidvalidity);
	if (uidnext)
		assert_int_equal(st.uidnext, uidnext);
	ok(mailbox_uids(box, &uids, &modseq));
	buf_init(&out, 1 << 20);
	for (uint32_t uid = uidset_next(&uids, 1); uid; uid = uidset_next(&uids, uid + 1)) {
		struct message_row row;
		char uidl[72];
		ok(mailbox_row(box, uid, &row));
		ok(mailbox_uidl(box, uid, uidl));
		buf_appendf(&out, "%u %x %llx %llu %lld %s\n", uid, row.flags, (unsigned long long)row.keywords.w[0],
			    (unsigned long long)row.size, (long long)row.internaldate, uidl);
	}
	uidset_done(&uids);
	assert_string_equal(out.len ? buf_z(&out) : "", rows);
	buf_done(&out);
}

/* A message file; its time and its size follow from n. */
static void put(struct fixture *f, const char *folder, const char *name, unsigned n)
{
	shell("cd '%s' && mkdir -p '%s/../cur' '%s/../new' '%s/../tmp' && printf 'Subject: m%u\\n\\n' > '%s/%s' && "
	      "touch -d @%u '%s/%s'", f->root, folder, folder, folder, n, folder, name, 1500000000 + n, folder, name);
}

static void small_dovecot(struct fixture *f)
{
	put(f, "src/cur", "1500000001.M1P1.vm,S=13,W=15:2,S", 1);
	put(f, "src/cur", "1500000002.M2P1.vm:2,Fab", 2);
	put(f, "src/cur", "1500000005.M5P1.vm:2,Tz", 5);
	put(f, "src/new", "1500000009.M9P1.vm", 9);
	put(f, "src/.Sent/cur", "1500000003.M3P1.vm:2,S", 3);
	shell("cd '%s/src' && printf '3 V1400000000 N8 Gd1\\n1 :1500000001.M1P1.vm,S=13,W=15\\n2 POLD-2 :1500000002.M2P1.vm\\n"
	      "4 :gone.vm\\n5 :1500000005.M5P1.vm\\n' > dovecot-uidlist && printf '0 $Forwarded\\n1 kw2\\n' > dovecot-keywords && "
	      "printf '1 1400000077 4\\n3 1500000003.M3P1.vm\\n' > .Sent/dovecot-uidlist && printf 'V\\t2\\n\\nSent\\nLists\\tx\\n' "
	      "> subscriptions", f->root);
}

#define SMALL_INBOX "1 1 0 15 1500000001 0000000153724e00\n2 4 3 15 1500000002 OLD-2\n" \
	"5 8 0 15 1500000005 0000000553724e00\n8 0 0 15 1500000009 0000000853724e00\n"

static void dovecot_mail_comes_over_as_it_was(void **state)
{
	struct fixture *f = *state;
	struct mailbox *sent;

	small_dovecot(f);
	expect(f, "src", (struct import_options){ .dry_run = true },
	       "INBOX dovecot 4 4 0 3 1 2 0 [1 messages have keyword letters that nothing gives a name]\n"
	       "Sent dovecot 1 1 0 1 0 0 0 []\n");
	expect_messages(f->inbox, 0, 1, "");
	expect(f, "src", (struct import_options){ 0 },
	       "INBOX dovecot 4 4 0 3 1 2 0 [1 messages have keyword letters that nothing gives a name]\n"
	       "Sent dovecot 1 1 0 1 0 0 0 []\n");
	reopen(f);
	expect_messages(f->inbox, 1400000000, 9, SMALL_INBOX);
	sent = fixture_mailbox(f, "Sent");
	expect_messages(sent, 1400000077, 4, "3 1 0 15 1500000003 000000035372" "4e4d\n");
	mailbox_close(&sent);
	assert_int_equal(fixture_differences(f), 0);
	shell("test ! -e '%s' && cd '%s/src' && test $(ls cur new .Sent/cur | grep -c vm) = 5",
	      fixture_path(f, "import"), f->root);
	/* From names and sidecars alone it is the same. */
	ok(store_index_rebuild(f->store, SV(ALICE), NULL, NULL));
	expect_messages(f->inbox, 1400000000, 9, SMALL_INBOX);
}

static void a_second_run_brings_only_what_is_new(void **state)
{
	struct fixture *f = *state;

	small_dovecot(f);
	shell("rm '%s/src/.Sent' -r", f->root);
	expect(f, "src", (struct import_options){ 0 },
	       "INBOX dovecot 4 4 0 3 1 2 0 [1 messages have keyword letters that nothing gives a name]\n");
	reopen(f);
	/* The old server ran on for a while, and gave the message in new/ the UID that we gave it. */
	put(f, "src/cur", "1500000011.M11P1.vm:2,", 11);
	shell("cd '%s/src' && mv new/1500000009.M9P1.vm cur/1500000009.M9P1.vm:2,S && printf '8 :1500000009.M9P1.vm\\n"
	      "12 :1500000011.M11P1.vm\\n' >> dovecot-uidlist", f->root);
	expect(f, "src", (struct import_options){ 0 }, "INBOX dovecot 5 1 4 1 0 2 0 []\n");
	expect_messages(f->inbox, 1400000000, 13, SMALL_INBOX "12 0 0 16 1500000011 0000000c53724e00\n");
	expect(f, "src", (struct import_options){ 0 }, "INBOX dovecot 5 0 5 0 0 2 0 []\n");
	assert_int_equal(fixture_differences(f), 0);
}

static void a_mailbox_with_mail_keeps_its_uids_and_clients_keep_theirs(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	char row[400], uidl[72];

	fixture_append(f->inbox, f->user, "ours", FLAG_SEEN);
	ok(mailbox_counters(f->inbox, &st));
	small_dovecot(f);
	expect(f, "src", (struct import_options){ .adopt = true },
	       "INBOX dovecot 4 4 0 0 4 2 0 [4 messages got new UIDs: the mailbox had some of its own; "
	       "1 messages have keyword letters that nothing gives a name]\nSent dovecot 1 1 0 1 0 0 0 []\n");
	/* The same handle: this mailbox was not replaced. POP3 clients know the messages by their old ids. */
	ok(mailbox_uidl(f->inbox, 1, uidl));
	snprintf(row, sizeof(row), "2 1 0 15 1500000001 0000000153724e00\n3 4 3 15 1500000002 OLD-2\n"
		 "4 8 0 15 1500000005 0000000553724e00\n5 0 0 15 1500000009 0000000853724e00\n");
	struct uidset first = { 0 }, gone = { 0 };
	uint32_t resume = 0;
	uidset_add(&first, 1, 1);
	ok(mailbox_expunge(f->inbox, &first, true, &resume, &gone));
	uidset_done(&first);
	uidset_done(&gone);
	reopen(f);
	expect_messages(f->inbox, st.uidvalidity, 0, row);
	assert_int_equal(fixture_differences(f), 0);
	shell("cd '%s/src' && test $(ls cur new .Sent/cur | grep -c vm) = 0", f->root);
	expect(f, "src", (struct import_options){ .adopt = true }, "INBOX dovecot 0 0 0 0 0 2 0 []\nSent dovecot 0 0 0 0 0 0 0 []\n");
}

static void names_of_both_layouts_and_codings_are_understood(void **state)
{
	struct fixture *f = *state;
	struct mailbox_status st;
	static const char *const names[] = { "INBOX", "Entwürfe", "Entwürfe (2)", "a&b/Käse", "Lists/v1.0", "Deep/er/est" };

	put(f, "src/cur", "1.M1P1.vm:2,", 1);
	put(f, "src/.Entw&APw-rfe/cur", "2.M1P1.vm:2,", 2);
	put(f, "src/.Entwürfe/cur", "3.M1P1.vm:2,", 3);
	put(f, "src/.a&-b.K&AOQ-se/cur", "4.M1P1.vm:2,", 4);
	put(f, "src/Lists/v1.0/cur", "5.M1P1.vm:2,", 5);
	put(f, "src/Deep/er/est/cur", "6.M1P1.vm:2,", 6);
	shell("cd '%s/src' && ln -s /etc .linked && mkdir -p .linked2 real/cur && ln -s real link && mkdir -p '.bad..name/cur' && "
	      "mkfifo cur/7.fifo && echo x > cur/.hidden", f->root);
	struct told told;
	struct fault r = run(f, "src", (struct import_options){ 0 }, &told);
	ok(r);
	assert_non_null(strstr(buf_z(&told.text), "link maildir 0 0 0 0 0 0 1 [left out: a symbolic link]"));
	assert_non_null(strstr(buf_z(&told.text), ".bad..name maildir 0 0 0 0 0 0 1 [left out: its name cannot be a mailbox's]"));
	assert_non_null(strstr(buf_z(&told.text), "INBOX maildir 1 1 0 0 0 0 1 [1 files left out: not readable, or no regular"));
	buf_done(&told.text);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		ok(mailbox_status(f->user, sv_z(names[i]), &st));
		assert_int_equal(st.messages, 1);
	}
	assert_int_equal(fixture_differences(f), 0);
}

static void compressed_mail_is_refused_or_left_out_by_wish(void **state)
{
	struct fixture *f = *state;
	struct told told;

	put(f, "src/cur", "1500000001.M1P1.vm:2,S", 1);
	shell("cd '%s/src/cur' && printf '\\037\\213abc' > 1500000002.M2P1.vm,S=500:2,SZ && "
	      "printf '\\050\\265\\057\\375abc' > 1500000003.M3P1.vm,S=500,W=510:2,S", f->root);
	assert_int_equal(run(f, "src", (struct import_options){ 0 }, &told).kind, FAULT_UNSUPPORTED);
	assert_string_equal(buf_z(&told.text), "INBOX maildir 3 0 0 0 0 0 2 [2 compressed messages left out]\n");
	buf_done(&told.text);
	expect_messages(f->inbox, 0, 1, "");
	expect(f, "src", (struct import_options){ .skip_compressed = true, .adopt = true },
	       "INBOX maildir 3 1 0 0 0 0 2 [2 compressed messages left out]\n");
	shell("test $(ls '%s/src/cur' | wc -l) = 2", f->root);
}

static void lists_that_lie_do_no_harm(void **state)
{
	struct fixture *f = *state;

	put(f, "src/cur", "1.M1P1.vm:2,", 1);
	put(f, "src/cur", "1.M1P1.vm:2,S", 2);   /* a twin: another message under the same name */
	put(f, "src/cur", "2.M2P1.vm:2,", 3);
	shell("cd '%s/src' && printf '3 V5 N2\\n7 :1.M1P1.vm\\n7 :2.M2P1.vm\\n7 :../../etc/passwd\\n4294967294 :x\\nnonsense\\n' > "
	      "dovecot-uidlist", f->root);
	expect(f, "src", (struct import_options){ 0 }, "INBOX dovecot 3 3 0 1 0 0 0 [2 lines of its lists make no sense]\n");
	reopen(f);
	struct mailbox_status st;
	ok(mailbox_counters(f->inbox, &st));
	assert_int_equal(st.messages, 3);
	assert_int_equal(st.uidvalidity, 5);
	assert_int_equal(fixture_differences(f), 0);
}

static void courier_ids_and_keywords_come_over(void **state)
{
	struct fixture *f = *state;

	put(f, "src/cur", "1500000001.M1P1.vm,S=13:2,S", 1);
	put(f, "src/cur", "1500000002.M2P1.vm,S=13:2,", 2);
	put(f, "src/cur", "1500000003.M3P1.vm,S=13:2,", 3);
	shell("cd '%s/src' && printf '1 1400000000 9\\n4 1500000001.M1P1.vm,S=13\\n8 1500000002.M2P1.vm,S=13\\n' > courierimapuiddb && "
	      "printf '/3 3 99\\n1500000001.M1P1.vm,S=13:2,S 15 1:99:0\\n1500000002.M2P1.vm,S=13:2, 15 2:99:0\\n' > courierpop3dsizelist && "
	      "mkdir courierimapkeywords && cd courierimapkeywords && printf 'a\\nb\\n\\n1500000001.M1P1.vm,S=13:0 1\\n"
	      "1500000002.M2P1.vm,S=13:0\\n' > :list && printf 'c\\n' > .99.1500000002.M2P1.vm,S=13 && "
	      "printf 'b\\nc\\n' > 1500000002.M2P1.vm,S=13 && printf 'a\\n' > .99.1500000003.M3P1.vm,S=13 && "
	      "printf 'INBOX.Sent\\n' > ../courierimapsubscribed", f->root);
	expect(f, "src", (struct import_options){ 0 }, "INBOX courier 3 3 0 2 2 3 0 []\n");
	reopen(f);
	expect_messages(f->inbox, 1400000000, 10, "4 1 3 15 1500000001 UID1-99\n8 0 6 15 1500000002 UID2-99\n"
			"9 0 1 15 1500000003 0000000953724e00\n");
}

static void mbox_files_come_over(void **state)
{
	struct fixture *f = *state;
	struct mailbox *work;

	shell("mkdir '%s/mbox' && cd '%s/mbox' && printf 'From MAILER-DAEMON Fri Jul 14 02:40:00 2017\\nSubject: DON\\047T DELETE THIS "
	      "MESSAGE -- FOLDER INTERNAL DATA\\nX-IMAP: 1400000000 0000000009 $Forwarded\\n\\nx\\n\\n"
	      "From a@b Fri Jul 14 02:40:01 2017\\nStatus: RO\\nX-Status: F\\nX-UID: 3\\nX-UIDL: abc\\nX-Keywords: $Forwarded\\n"
	      "Subject: one\\n\\nbody\\n\\nFrom a@b Fri Jul 14 02:40:02 2017\\nX-UID: 9\\nSubject: two\\n\\nsame\\n\\n"
	      "From a@b Fri Jul 14 02:40:02 2017\\nSubject: two\\n\\nsame\\n' > mail && cp mail Work.mbox && echo no > other",
	      f->root, f->root);
	expect(f, "mbox/mail", (struct import_options){ .is_mbox = true, .dry_run = true }, "INBOX mbox 3 3 0 2 1 1 0 []\n");
	expect(f, "mbox/mail", (struct import_options){ .is_mbox = true }, "INBOX mbox 3 3 0 2 1 1 0 []\n");
	reopen(f);
	expect_messages(f->inbox, 1400000000, 11, "3 5 1 22 1500000001 abc\n9 0 0 22 1500000002 0000000953724e00\n"
			"10 0 0 22 1500000002 0000000a53724e00\n");
	expect(f, "mbox/mail", (struct import_options){ .is_mbox = true }, "INBOX mbox 3 0 3 0 0 1 0 []\n");
	expect(f, "mbox", (struct import_options){ .is_mbox = true },
	       "Work mbox 3 3 0 2 0 1 0 []\nmail mbox 3 3 0 2 0 1 0 []\n");
	work = fixture_mailbox(f, "Work");
	expect_messages(work, 1400000000, 11, "3 5 1 22 1500000001 0000000353724e00\n9 0 0 22 1500000002 0000000953724e00\n"
			"10 0 0 22 1500000002 0000000a53724e00\n");
	mailbox_close(&work);
	assert_int_equal(fixture_differences(f), 0);
}

static void what_is_no_mail_is_refused(void **state)
{
	struct fixture *f = *state;
	struct told told;

	shell("mkdir -p '%s/empty' && echo x > '%s/file'", f->root, f->root);
	assert_int_equal(run(f, "empty", (struct import_options){ 0 }, &told).kind, FAULT_NOT_FOUND);
	assert_int_equal(run(f, "absent", (struct import_options){ 0 }, &told).kind, FAULT_NOT_FOUND);
	assert_int_equal(run(f, "file", (struct import_options){ .is_mbox = true }, &told).kind, FAULT_NOT_FOUND);
	assert_int_equal(run(f, "empty", (struct import_options){ .is_mbox = true }, &told).kind, FAULT_NOT_FOUND);
	/* The account's own Maildir, which we have used. */
	assert_int_equal(run(f, "mail/example.test/alice/Maildir", (struct import_options){ .adopt = true }, &told).kind,
			 FAULT_EXISTS);
	assert_int_equal(run(f, "mail/example.test/alice/Maildir", (struct import_options){ 0 }, &told).kind, FAULT_INVALID);
	shell("test -d '%s'", fixture_path(f, "Maildir/cur"));
}

/* --- killed at any moment --------------------------------------------------------------------------------------------------- */

#define MANY 60

static void many(struct fixture *f, const char *folder)
{
	shell("mkdir -p '%s/%s' && cd '%s/%s' && mkdir -p cur new tmp && i=1 && printf '3 V1400000000 N200 Gd1\\n' > dovecot-uidlist && "
	      "while [ $i -le %d ]; do printf \"Subject: m$i\\n\\n\" > cur/15000000$i.M$i.vm:2,S && "
	      "printf \"$((i * 2)) POLD-$i :15000000$i.M$i.vm\\n\" >> dovecot-uidlist; i=$((i + 1)); done",
	      f->root, folder, f->root, folder, MANY);
}

static void import_in_child(struct fixture *f, struct import_options options, long kill_us)
{
	pid_t pid = fork();

	if (!pid) {
		struct told told;
		fixture_open(f);
		struct fault r = run(f, "src", options, &told);
		if (r.kind)
			fprintf(stderr, "import: %s: %s\n", fault_name(r.kind), r.detail);
		_exit(r.kind ? 1 : 0);
	}
	if (kill_us >= 0) {
		nanosleep(&(struct timespec){ kill_us / 1000000, kill_us % 1000000 * 1000 }, NULL);
		kill(pid, SIGKILL);
	}
	int status;
	waitpid(pid, &status, 0);
	if (kill_us < 0)
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
}

/* Every message of the source once, each known to POP3 by its old id; with UIDs as they were when `kept`. */
static void check_many(struct fixture *f, bool kept, uint32_t others)
{
	struct uidset uids = { 0 };
	uint64_t modseq;
	uint32_t seen = 0;
	bool have[MANY + 1] = { false };

	ok(mailbox_uids(f->inbox, &uids, &modseq));
	for (uint32_t uid = uidset_next(&uids, 1); uid; uid = uidset_next(&uids, uid + 1)) {
		struct buf text;
		unsigned n = 0;
		char uidl[72], expected[72];
		buf_init(&text, 4096);
		fixture_read(f->inbox, uid, &text);
		if (sscanf(buf_z(&text), "Subject: m%u", &n) == 1 && n <= MANY) {
			assert_false(have[n]);
			have[n] = true;
			seen++;
			snprintf(expected, sizeof(expected), "OLD-%u", n);
			ok(mailbox_uidl(f->inbox, uid, uidl));
			assert_string_equal(uidl, expected);
			if (kept)
				assert_int_equal(uid, n * 2);
		}
		buf_done(&text);
	}
	assert_int_equal(seen, MANY);
	assert_int_equal(uidset_total(&uids), MANY + others);
	uidset_done(&uids);
	assert_int_equal(fixture_differences(f), 0);
}

static long elapsed_us(const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (now.tv_sec - since->tv_sec) * 1000000 + (now.tv_nsec - since->tv_nsec) / 1000;
}

static void killed_imports_go_on(void **state)
{
	const char *rounds = getenv("IMPORT_KILLS");
	long steps = rounds ? strtol(rounds, NULL, 10) : 3, kills = 0;

	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		struct import_options options = { .adopt = kind & 1 };
		bool has_mail = kind & 2;
		long whole = 0;
		for (long step = -1; step < steps; step++) {
			struct fixture f;
			struct timespec start;
			/* Nothing may be open in the process that forks. */
			fixture_make(&f);
			if (has_mail)
				fixture_append(f.inbox, f.user, "ours", 0);
			fixture_close(&f);
			many(&f, "src");
			clock_gettime(CLOCK_MONOTONIC, &start);
			if (step >= 0) {
				import_in_child(&f, options, whole * (step + 1) / (steps + 1));
				/* And once more, later. */
				import_in_child(&f, options, whole * (step % 5 + 1) / 6);
				kills += 2;
			}
			import_in_child(&f, options, -1);
			if (step < 0)
				whole = elapsed_us(&start);
			fixture_open(&f);
			check_many(&f, !has_mail, has_mail);
			shell("test ! -e '%s'", fixture_path(&f, "import"));
			fixture_remove(&f);
		}
	}
	print_message("%ld imports killed: nothing lost, nothing twice, no POP3 id changed\n", kills);
}

static void mail_that_arrives_meanwhile_is_neither_lost_nor_in_the_way(void **state)
{
	for (int round = 0; round < 3; round++) {
		struct fixture f;
		int status;
		(void)state;
		fixture_make(&f);
		fixture_close(&f);
		many(&f, "src");
		pid_t pid = fork();
		if (!pid) {
			fixture_open(&f);
			for (int n = 0; n < 40;) {
				uint32_t uid;
				/* A temporary fault is the sender's to try again, as SMTP does. */
				n += !fixture_deliver(&f, ALICE, "Subject: live\r\n\r\n", &uid).kind;
			}
			fixture_close(&f);
			_exit(0);
		}
		nanosleep(&(struct timespec){ 0, round * 20000000 }, NULL);
		import_in_child(&f, (struct import_options){ 0 }, -1);
		waitpid(pid, &status, 0);
		assert_true(WIFEXITED(status) && !WEXITSTATUS(status));
		fixture_open(&f);
		check_many(&f, false, 40);
		fixture_remove(&f);
	}
}

static void another_servers_maildir_in_our_place_is_adopted(void **state)
{
	struct fixture f;

	(void)state;
	fixture_make_folder(&f);
	many(&f, "mail/example.test/alice/Maildir");
	shell("chmod -R go-rwx '%s/mail' && ln -s mail/example.test/alice/Maildir '%s/src'", f.root, f.root);
	/* The account must not be opened before: then its messages would be new mail. */
	struct store_conf conf = { .host = "host.test", .create_special_use = true };
	char mail[128], path[PATH_MAX], source[128], aside[256];
	struct store *store;
	snprintf(mail, sizeof(mail), "%s/mail", f.root);
	snprintf(source, sizeof(source), "%s/src", f.root);
	conf.mail_dir = mail;
	ok(store_open(&conf, &store));
	assert_int_equal(maildir_import_prepare(store, SV(ALICE), source, false, path).kind, FAULT_INVALID);
	ok(maildir_import_prepare(store, SV(ALICE), source, true, path));
	snprintf(aside, sizeof(aside), "%s/mail/example.test/alice/Maildir.import", f.root);
	assert_string_equal(path, aside);
	store_close(&store);
	import_in_child(&f, (struct import_options){ .adopt = true }, 3000);
	fixture_open(&f);
	struct told told;
	ok(run(&f, "src", (struct import_options){ .adopt = true }, &told));
	buf_done(&told.text);
	reopen(&f);
	check_many(&f, true, 0);
	fixture_remove(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(dovecot_mail_comes_over_as_it_was, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_run_brings_only_what_is_new, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mailbox_with_mail_keeps_its_uids_and_clients_keep_theirs, setup, teardown),
		cmocka_unit_test_setup_teardown(names_of_both_layouts_and_codings_are_understood, setup, teardown),
		cmocka_unit_test_setup_teardown(compressed_mail_is_refused_or_left_out_by_wish, setup, teardown),
		cmocka_unit_test_setup_teardown(lists_that_lie_do_no_harm, setup, teardown),
		cmocka_unit_test_setup_teardown(courier_ids_and_keywords_come_over, setup, teardown),
		cmocka_unit_test_setup_teardown(mbox_files_come_over, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_mail_is_refused, setup, teardown),
		cmocka_unit_test(killed_imports_go_on),
		cmocka_unit_test(mail_that_arrives_meanwhile_is_neither_lost_nor_in_the_way),
		cmocka_unit_test(another_servers_maildir_in_our_place_is_adopted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
