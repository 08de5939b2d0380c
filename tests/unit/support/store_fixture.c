/* tests/unit/support/store_fixture.c - see store_fixture.h. Aborts when a step fails: tests that expect faults do their own. */
#include "tests/unit/support/store_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/identity.h"
#include "common/log.h"
#include "common/memory.h"

static void must(struct fault f, const char *what)
{
	if (f.kind)
		BUG("%s: %s: %s", what, fault_name(f.kind), f.detail ? f.detail : "");
}

int fixture_shell(const char *command, ...)
{
	struct buf b;
	va_list ap;

	buf_init(&b, 65536);
	va_start(ap, command);
	buf_vappendf(&b, command, ap);
	va_end(ap);
	pid_t pid = fork();
	if (!pid) {
		execl("/bin/sh", "sh", "-c", buf_z(&b), (char *)NULL);
		_exit(127);
	}
	int status = -1;
	waitpid(pid, &status, 0);
	buf_done(&b);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void fixture_make_folder(struct fixture *f)
{
	memset(f, 0, sizeof(*f));
	snprintf(f->root, sizeof(f->root), "/tmp/store-test-XXXXXX");
	if (!mkdtemp(f->root))
		BUG("no temporary folder");
	if (!getenv("STORE_TEST_LOG"))
		log_set_level(LOG_LEVEL_ERROR);
}

void fixture_open(struct fixture *f)
{
	char mail[96];
	struct auth_identity *id = identity_for_admin(SV(ALICE), SV_NONE);
	struct store_conf conf = f->more;

	conf.mail_dir = mail;
	conf.host = "host.test";
	conf.create_special_use = true;
	snprintf(mail, sizeof(mail), "%s/mail", f->root);
	must(store_open(&conf, &f->store), "store_open");
	must(maildir_user_open(f->store, id, &f->quota, &f->user), "maildir_user_open");
	identity_unref(&id);
	must(mailbox_open(f->user, SV("INBOX"), &f->inbox), "mailbox_open");
}

void fixture_make(struct fixture *f)
{
	fixture_make_folder(f);
	fixture_open(f);
}

void fixture_close(struct fixture *f)
{
	mailbox_close(&f->inbox);
	maildir_user_close(&f->user);
	store_close(&f->store);
}

void fixture_remove(struct fixture *f)
{
	fixture_close(f);
	fixture_shell("rm -rf '%s'", f->root);
}

const char *fixture_path(struct fixture *f, const char *rest)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/mail/example.test/alice/%s", f->root, rest);
	return path;
}

struct mailbox *fixture_mailbox(struct fixture *f, const char *name)
{
	struct mailbox *box;

	must(mailbox_open(f->user, sv_z(name), &box), name);
	return box;
}

uint32_t fixture_append_text(struct mailbox *box, struct maildir_user *user, const char *text, uint32_t flags,
			     const char *keyword)
{
	struct incoming *in;
	struct sv word = sv_z(keyword);
	struct append_item item = { .flags = flags, .keywords = &word, .keyword_count = keyword ? 1 : 0 };

	must(incoming_new(user, NULL, 1 << 20, &in), "incoming_new");
	must(incoming_write(in, sv_z(text)), "incoming_write");
	must(incoming_finish(in), "incoming_finish");
	item.message = in;
	must(incoming_append(box, &item, 1), "incoming_append");
	return item.uid;
}

uint32_t fixture_append(struct mailbox *box, struct maildir_user *user, const char *subject, uint32_t flags)
{
	char text[256];

	snprintf(text, sizeof(text), "From: a@example.test\r\nSubject: %s\r\n\r\nbody of %s\r\n", subject, subject);
	return fixture_append_text(box, user, text, flags, NULL);
}

struct fault fixture_deliver(struct fixture *f, const char *address, const char *text, uint32_t *uid)
{
	struct incoming *in = NULL;
	struct delivery place = { .mailbox = SV("INBOX") };
	struct fault r = maildir_drop_open(f->store, sv_z(address), &f->quota, &place.drop);

	if (!r.kind)
		r = incoming_new(NULL, place.drop, 1 << 20, &in);
	if (!r.kind)
		r = incoming_write(in, sv_z(text));
	if (!r.kind)
		r = incoming_finish(in);
	if (!r.kind)
		r = incoming_deliver(in, &place, 1);
	incoming_free(&in);
	maildir_drop_close(&place.drop);
	if (uid)
		*uid = place.uid;
	return r;
}

void fixture_store(struct mailbox *box, uint32_t first, uint32_t last, enum store_mode mode, uint32_t flags,
		   const char *keyword)
{
	struct uidset set = { 0 };
	struct sv word = sv_z(keyword);
	struct flag_change change = { .mode = mode, .flags = flags, .keywords = &word, .keyword_count = keyword ? 1 : 0 };
	uint32_t resume = 0;

	uidset_add(&set, first, last);
	do {
		must(mailbox_store_flags(box, &set, &change, &resume, NULL, NULL, NULL), "mailbox_store_flags");
	} while (resume);
	uidset_done(&set);
}

uint32_t fixture_expunge(struct mailbox *box)
{
	struct uidset gone = { 0 };
	uint32_t resume = 0;

	do {
		must(mailbox_expunge(box, NULL, false, &resume, &gone), "mailbox_expunge");
	} while (resume);
	uint32_t n = (uint32_t)uidset_total(&gone);
	uidset_done(&gone);
	return n;
}

static bool describe(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	char id[EMAIL_ID_SIZE];

	(void)parsed;
	message_email_id(row, id);
	if (!buf_appendf(arg, "%u %x %llx.%llx %llu %lld %lld %s\n", row->uid, row->flags,
			 (unsigned long long)row->keywords.w[1], (unsigned long long)row->keywords.w[0],
			 (unsigned long long)row->size, (long long)row->internaldate, (long long)row->savedate,
			 id))
		BUG("description is too long");
	return true;
}

void fixture_describe(struct mailbox *box, struct buf *out)
{
	struct mailbox_status st;
	struct arena arena;
	struct keyword_table *words = xmalloc(sizeof(*words));
	uint32_t resume = 0;

	must(mailbox_counters(box, &st), "mailbox_counters");
	buf_appendf(out, "messages %u unseen %u deleted %u uidvalidity %u size %llu id %s\n", st.messages, st.unseen,
		    st.deleted, st.uidvalidity, (unsigned long long)st.size, st.mailbox_id);
	arena_init(&arena, 65536);
	must(mailbox_keywords(box, &arena, words), "mailbox_keywords");
	for (uint32_t i = 0; i < words->count; i++)
		buf_appendf(out, "keyword %u %.*s\n", i, SV_FMT(words->names[i]));
	arena_done(&arena);
	free(words);
	do {
		must(mailbox_scan(box, NULL, SCAN_ROW, &resume, describe, out), "mailbox_scan");
	} while (resume);
}

void fixture_read(struct mailbox *box, uint32_t uid, struct buf *out)
{
	struct message_reader *r;
	char piece[100];
	size_t got;

	must(message_open(box, uid, &r), "message_open");
	do {
		must(message_read(r, out->len, piece, sizeof(piece), &got), "message_read");
		buf_append(out, sv_from(piece, got));
	} while (got);
	message_close(&r);
}

static void difference(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	++*(unsigned *)arg;
	fprintf(stderr, "difference: %s %u: %s\n", mailbox, uid, what);
}

unsigned fixture_differences(struct fixture *f)
{
	unsigned n = 0;
	uint64_t messages;

	must(store_index_check(f->store, SV(ALICE), difference, &n, &messages), "store_index_check");
	return n;
}
