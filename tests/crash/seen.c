/* tests/crash/seen.c - see seen.h. */
#include "tests/crash/seen.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/expiry.h"
#include "common/identity.h"
#include "common/memory.h"
#include "maildir/mailbox.h"
#include "maildir/message.h"

#include "common/banned.h"

const char *const account_names[ACCOUNTS] = { "alice@crash.test", "bob@crash.test", "carol@crash.test" };

/* --- the store ------------------------------------------------------------------------------------------------------- */

struct fault session_open(struct session *s, const char *root)
{
	/* Older than in an hour from now: everything in Bin, when OP_EXPIRE asks. */
	static const struct expiry_rule rule = { EXPIRY_NAME, SV_INIT("Bin"), -3600 };
	struct store_conf conf = { .mail_dir = s->mail_dir, .host = "crash", .create_special_use = true, .expire = &rule,
				   .expire_count = 1 };

	memset(s, 0, sizeof(*s));
	snprintf(s->mail_dir, sizeof(s->mail_dir), "%s/mail", root);
	return store_open(&conf, &s->store);
}

struct fault session_user(struct session *s, const char *box, struct maildir_user **out)
{
	unsigned n = (unsigned)(box[0] - '0');
	struct fault f = FAULT_OK;

	if (!s->users[n]) {
		struct auth_identity *id = identity_for_admin(sv_z(account_names[n]), SV_NONE);
		f = maildir_user_open(s->store, id, NULL, &s->users[n]);
		identity_unref(&id);
	}
	*out = s->users[n];
	return f;
}

void session_forget(struct session *s)
{
	for (unsigned i = 0; i < ACCOUNTS; i++)
		if (s->users[i])
			maildir_user_close(&s->users[i]);
}

void session_close(struct session *s)
{
	session_forget(s);
	store_close(&s->store);
}

/* --- messages -------------------------------------------------------------------------------------------------------- */

char *message_text(uint32_t ident, size_t *len)
{
	/* Most are small; some need several writes and pages. */
	size_t lines = ident % 13 == 0 ? 900 : ident % 5 == 0 ? 90 : 4;
	size_t cap = 400 + lines * 70;
	char *text = xmalloc(cap);
	uint32_t x = ident * 2654435761u + 1;
	size_t n = (size_t)snprintf(text, cap, "X-Ident: %u\r\nFrom: <s@elsewhere.example>\r\nTo: <alice@crash.test>\r\n"
				    "Subject: message %u\r\nMessage-ID: <%u@crash.test>\r\n\r\n", ident, ident, ident);

	for (size_t i = 0; i < lines; i++) {
		for (unsigned k = 0; k < 60; k++) {
			x = x * 1664525 + 1013904223;
			text[n++] = (char)('a' + (x >> 24) % 26);
		}
		text[n++] = '\r';
		text[n++] = '\n';
	}
	*len = n;
	return text;
}

static void read_message(struct mailbox *box, struct seen_message *m)
{
	struct message_reader *reader = NULL;
	static char octets[200000];
	size_t n = 0, got = 1;
	struct fault f = message_open(box, m->uid, &reader);

	while (!f.kind && got && n < sizeof(octets)) {
		f = message_read(reader, n, octets + n, sizeof(octets) - n, &got);
		n += f.kind ? 0 : got;
	}
	if (reader)
		message_close(&reader);
	if (f.kind || n < 10 || memcmp(octets, "X-Ident: ", 9))
		return;
	m->ident = (uint32_t)strtoul(octets + 9, NULL, 10);
	size_t len;
	char *text = message_text(m->ident, &len);
	m->is_whole = n == len && m->size == len && !memcmp(text, octets, len);
	free(text);
}

/* --- snapshot -------------------------------------------------------------------------------------------------------- */

struct taking {
	struct session *session;
	const struct snapshot *before;
	struct snapshot *out;
	unsigned account;
	struct keyword_table *keywords;
	uint16_t box;
	uint64_t extra;                 /* not a message: told too many */
};

static bool note_box(void *arg, const struct mailbox_info *info)
{
	struct taking *t = arg;
	struct snapshot *s = t->out;

	if (!info->exists || s->box_count == SEEN_BOXES)
		return true;
	struct seen_box *b = &s->boxes[s->box_count++];
	snprintf(b->name, sizeof(b->name), "%u/%.*s", t->account, SV_FMT(info->name));
	memcpy(b->id, info->mailbox_id, sizeof(b->id));
	b->special_use = info->special_use;
	b->subscribed = info->subscribed;
	return true;
}

static uint64_t keyword_numbers(const struct keyword_table *table, const struct keyword_bits *bits)
{
	uint64_t out = 0;

	for (unsigned i = 0; i < KEYWORDS_MAX; i++) {
		if (!(bits->w[i / 64] >> i % 64 & 1))
			continue;
		/* A number without a name is a lost keyword: bit 63 stands for it, so that it cannot pass unseen. */
		struct sv name = i < table->count ? table->names[i] : SV_NONE;
		uint32_t n = 63;
		if (name.len == 4 && name.p[0] == 'k')
			(void)!sv_to_u32(sv_sub(name, 2, 2), &n);
		out |= (uint64_t)1 << (n & 63);
	}
	return out;
}

static bool note_message(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct taking *t = arg;
	struct snapshot *s = t->out;

	(void)parsed;
	if (s->message_count == SEEN_MESSAGES)
		return false;
	struct seen_message *m = &s->messages[s->message_count++];
	*m = (struct seen_message){ .box = t->box, .uid = row->uid, .flags = row->flags, .size = row->size,
				    .keywords = keyword_numbers(t->keywords, &row->keywords),
				    .internaldate = row->internaldate, .savedate = row->savedate };
	message_email_id(row, m->email_id);
	return true;
}

static bool note_change(void *arg, const struct change *change)
{
	struct taking *t = arg;

	if (t->out->told_count < SEEN_TOLD)
		t->out->told[t->out->told_count++] = (struct seen_told){ t->box, change->uid };
	return true;
}

static struct fault take_box(struct taking *t)
{
	struct seen_box *b = &t->out->boxes[t->box];
	const struct seen_box *was = NULL;
	struct mailbox *box = NULL;
	struct mailbox_status status;
	struct maildir_user *user;
	struct arena arena;
	struct keyword_table table;
	unsigned first = t->out->message_count;
	uint32_t resume = 0;
	uint64_t until;
	struct fault f = session_user(t->session, b->name, &user);

	for (unsigned i = 0; t->before && i < t->before->box_count; i++)
		if (!strcmp(t->before->boxes[i].id, b->id))
			was = &t->before->boxes[i];
	if (!f.kind)
		f = mailbox_open(user, sv_z(b->name + 2), &box);
	if (f.kind)
		return f;
	arena_init(&arena, 1 << 20);
	f = mailbox_keywords(box, &arena, &table);
	t->keywords = &table;
	if (!f.kind && was) {
		f = mailbox_changes(box, was->modseq, note_change, t, &until);
		b->has_history = !f.kind;
		if (f.kind == FAULT_GONE)
			f = FAULT_OK;
	}
	if (!f.kind)
		f = mailbox_counters(box, &status);
	b->uidvalidity = status.uidvalidity;
	b->uidnext = status.uidnext;
	b->modseq = status.highestmodseq;
	do {
		if (!f.kind)
			f = mailbox_scan(box, NULL, SCAN_ROW, &resume, note_message, t);
	} while (!f.kind && resume);
	for (unsigned i = first; !f.kind && i < t->out->message_count; i++) {
		read_message(box, &t->out->messages[i]);
		f = mailbox_uidl(box, t->out->messages[i].uid, t->out->messages[i].uidl);
	}
	t->keywords = NULL;     /* it lies in this function */
	arena_done(&arena);
	mailbox_close(&box);
	return f;
}

/* Count files as any other program would. */
static void count_files(const char *path, unsigned *files)
{
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d)))
		*files += e->d_name[0] != '.';
	if (d)
		closedir(d);
}

static void count_maildir(const char *maildir, unsigned *files)
{
	DIR *d = opendir(maildir);
	struct dirent *e;
	char path[700];

	while (d && (e = readdir(d))) {
		if ((e->d_name[0] != '.' && strcmp(e->d_name, "cur") && strcmp(e->d_name, "new")) ||
		    !strcmp(e->d_name, "..") || !strcmp(e->d_name, "."))
			continue;
		snprintf(path, sizeof(path), "%s/%s%s", maildir, e->d_name, e->d_name[0] == '.' ? "/cur" : "");
		count_files(path, files);
		if (e->d_name[0] == '.') {
			snprintf(path, sizeof(path), "%s/%s/new", maildir, e->d_name);
			count_files(path, files);
		}
	}
	if (d)
		closedir(d);
}

static void note_difference(void *arg, const char *mailbox, uint32_t uid, const char *what)
{
	struct snapshot *s = arg;

	if (!s->differences++)
		snprintf(s->difference, sizeof(s->difference), "%s UID %u: %s", mailbox, uid, what);
}

void snapshot_take(struct session *session, const struct snapshot *before, struct snapshot *out)
{
	struct taking t = { .session = session, .before = before, .out = out };
	struct fault f = FAULT_OK;

	out->is_complete = false;
	out->fault[0] = out->difference[0] = '\0';
	out->box_count = out->message_count = out->told_count = out->files = out->differences = 0;
	memset(out->boxes, 0, sizeof(out->boxes));
	for (t.account = 0; !f.kind && t.account < ACCOUNTS; t.account++) {
		char maildir[300];
		struct sv user, domain = sv_z(account_names[t.account]);
		struct maildir_user *u;
		uint64_t messages;

		sv_split(&domain, '@', &user);
		snprintf(maildir, sizeof(maildir), "%s/%.*s/%.*s/Maildir", session->mail_dir, SV_FMT(domain), SV_FMT(user));
		if (access(maildir, F_OK))
			continue;
		char tag[2] = { (char)('0' + t.account), '\0' };
		f = session_user(session, tag, &u);
		if (!f.kind)
			f = mailbox_list(u, note_box, &t);
		for (; !f.kind && t.box < out->box_count; t.box++)
			f = take_box(&t);
		if (!f.kind)
			f = store_index_check(session->store, sv_z(account_names[t.account]), note_difference, out, &messages);
		count_maildir(maildir, &out->files);
	}
	if (f.kind)
		snprintf(out->fault, sizeof(out->fault), "%s: %s", fault_name(f.kind), f.detail ? f.detail : "");
	out->is_complete = !f.kind;
}

int snapshot_box(const struct snapshot *s, const char *name)
{
	for (unsigned i = 0; i < s->box_count; i++)
		if (!strcmp(s->boxes[i].name, name))
			return (int)i;
	return -1;
}
