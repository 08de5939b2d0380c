/* tests/guard/store_steps.c - operations of the store, of imapd's commands and of pop3d's maildrop, each done a few times in this
 * one process without sockets: store_steps FOLDER. Names of steps stand in tests/guard/recorded.json. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/identity.h"
#include "common/log.h"
#include "common/memory.h"
#include "imapd/command.h"
#include "maildir/incoming.h"
#include "pop3d/maildrop.h"
#include "tests/guard/cost.h"

#include "common/banned.h"

#define MESSAGES 1000
#define BODY (64u << 10)        /* of the messages that go in and out whole: large, so that another copy of one shows */
#define PIECE (16u << 10)       /* as they come from a connection */
#define OPS 4

static struct store *store;
static struct buf letter;

static void must(struct fault f, const char *what)
{
	if (f.kind)
		BUG("%s: %s: %s", what, fault_name(f.kind), f.detail ? f.detail : "");
}

static void make_letter(void)
{
	buf_init(&letter, BODY + 4096);
	buf_appendf(&letter, "From: Sender <sender@elsewhere.test>\r\nTo: alice@guard.test\r\nSubject: a long letter\r\n"
		    "Date: Sat, 21 Nov 2026 20:00:00 +0000\r\nMessage-ID: <long@elsewhere.test>\r\n\r\n");
	while (letter.len < BODY)
		buf_appendf(&letter, "Line %6zu of a letter that is long enough to show what each copy costs.\r\n", letter.len);
}

static struct maildir_user *open_user(const char *address)
{
	struct auth_identity *id = identity_for_admin(sv_z(address), SV_NONE);
	struct maildir_user *user;

	must(maildir_user_open(store, id, NULL, &user), "maildir_user_open");
	identity_unref(&id);
	return user;
}

/* A mailbox of MESSAGES small messages, as this store names them; the index is made from the names, and parsed later. */
static void fill(const char *folder, uint32_t uidvalidity)
{
	char text[512], path[1024];

	for (int i = 1; i <= MESSAGES; i++) {
		int len = snprintf(text, sizeof(text), "From: Sender %d <s%d@example.test>\r\nTo: alice@guard.test\r\n"
				   "Subject: message number %d\r\nDate: Sat, 21 Nov 2026 20:00:00 +0000\r\n"
				   "Message-ID: <%d@example.test>\r\n\r\nHello %d\r\n", i, i % 100, i, i, i);
		snprintf(path, sizeof(path), "%s/mail/guard.test/alice/Maildir/cur/1700000000.m%d.host,S=%d,W=%d,U=%u.%d:2,%s",
			 folder, i, len, len, uidvalidity, i, i % 2 ? "S" : "");
		int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 || write(fd, text, (size_t)len) != len || close(fd))
			BUG("cannot write %s", path);
	}
}

/* --- deliveries ------------------------------------------------------------------------------------------------------- */

static void deliver(void)
{
	struct delivery place = { .mailbox = SV("INBOX") };
	struct incoming *in;
	struct sv rest = buf_sv(&letter);

	must(maildir_drop_open(store, SV("bob@guard.test"), NULL, &place.drop), "drop");
	must(incoming_new(NULL, place.drop, BODY * 2, &in), "incoming_new");
	for (; rest.len; sv_skip(&rest, sv_sub(rest, 0, PIECE).len))
		must(incoming_write(in, sv_sub(rest, 0, PIECE)), "write");
	must(incoming_finish(in), "finish");
	must(incoming_deliver(in, &place, 1), "deliver");
	incoming_free(&in);
	maildir_drop_close(&place.drop);
}

/* --- IMAP ------------------------------------------------------------------------------------------------------------- */

static struct room room;
static struct grammar grammar;
static const struct log_ctx silent;

/* Steps of a command, as the session runs them: its output is sent, here dropped, when a chunk is full. */
static enum step run(struct command *c, enum command_wake wake)
{
	enum step step;

	c->wake = wake;
	while ((step = command_step(c)) == STEP_MORE) {
		buf_clear(&c->out.buf);
		c->wake = WAKE_RUN;
	}
	return step;
}

/* command_new - what the tokens name, behind their tag. */
static struct command *command_new(void)
{
	struct command *c = xmalloc(sizeof(*c));
	struct args args = args_from(&grammar, 1);
	struct sv word;

	if (!args_atom(&args, &word))
		BUG("no command");
	command_init(c, command_find(word), grammar_tag(&grammar), args, &room, &silent);
	return c;
}

/* imap - one command, with its literal behind it. It must be answered by OK. */
static void imap(const char *line, struct sv literal)
{
	struct command *c = NULL;
	char whole[256];
	struct sv in = sv_from(whole, (size_t)snprintf(whole, sizeof(whole), "a %s\r\n", line));

	for (;;) {
		enum grammar_event event = grammar_feed(&grammar, &in);
		if (event == GRAMMAR_LITERAL) {
			c = command_new();
			c->literal = grammar.literal;
			if (run(c, WAKE_LITERAL) != STEP_WAIT || !c->is_literal_taken)
				BUG("%s: the literal is not taken", line);
			grammar_stream(&grammar);
			in = sv_sub(literal, 0, PIECE);
			sv_skip(&literal, in.len);
		} else if (event == GRAMMAR_OCTETS) {
			c->octets = grammar.octets;
			if (run(c, WAKE_OCTETS) != STEP_WAIT)
				BUG("%s: an end within the literal", line);
			if (!in.len) {
				in = literal.len ? sv_sub(literal, 0, PIECE) : SV("\r\n");
				sv_skip(&literal, literal.len ? in.len : 0);
			}
		} else if (event == GRAMMAR_COMMAND) {
			if (c)
				c->args = args_from(&grammar, c->args.at);
			else
				c = command_new();
			if (run(c, WAKE_RUN) != STEP_DONE || strcmp(c->answer.word, "OK"))
				BUG("%s: %s %s", line, c->answer.word ? c->answer.word : "?", c->answer.text ? c->answer.text : "");
			break;
		} else if (event != GRAMMAR_LITERAL_END) {
			BUG("%s: event %d", line, (int)event);
		}
	}
	command_done(c);
	free(c);
	grammar_next(&grammar);
}

/* imap_steps - `#` in a command is a message number that differs each time. before: another one in front of each, not counted. */
static void imap_step(const char *step, const char *before, const char *command, struct sv literal)
{
	char line[2][128];

	for (unsigned i = 0; i <= OPS; i++) {
		const char *from[] = { before, command };
		for (unsigned k = 0; k < 2; k++) {
			size_t len = 0;
			for (const char *p = from[k]; *p && len < sizeof(line[k]) - 12; p++)
				len += (size_t)snprintf(line[k] + len, sizeof(line[k]) - len, *p == '#' ? "%u" : "%c",
							*p == '#' ? 100 + 10 * i : (unsigned)*p);
			line[k][len] = '\0';
		}
		if (i == 1 && !*before)         /* the first one warms up */
			cost_begin();
		if (*before)
			imap(line[0], SV_NONE);
		if (*before && i == OPS)
			cost_begin();
		imap(line[1], literal);
	}
	cost_end(step, *before ? 1 : OPS);
}

static void imap_steps(void)
{
	static const struct grammar_limits limits = {
		.line = 65536, .literal = 65536, .literal_nonsync = 4096, .literals = 1 << 20, .depth = 20, .tokens = 1000,
	};
	char append[64];

	room.conf = conf_default("/nonexistent");
	room.account = SV("alice@guard.test");
	room.on = capability_settle(CAPABILITIES_ALL);
	room.user = open_user("alice@guard.test");
	grammar_init(&grammar, &limits);
	imap_step("SELECT", "", "SELECT INBOX", SV_NONE);
	imap_step("FETCH flags of 1,000", "", "FETCH 1:1000 (UID FLAGS)", SV_NONE);
	imap_step("FETCH envelopes of 1,000", "", "FETCH 1:1000 (ENVELOPE BODYSTRUCTURE)", SV_NONE);
	imap_step("SEARCH FROM in 1,000", "", "SEARCH FROM \"sender 77\"", SV_NONE);
	imap_step("STORE one of 1,000", "", "STORE # +FLAGS (\\Flagged)", SV_NONE);
	imap_step("EXPUNGE one of 1,000", "STORE # +FLAGS.SILENT (\\Deleted)", "EXPUNGE", SV_NONE);
	snprintf(append, sizeof(append), "APPEND Drafts {%zu}", letter.len);
	imap_step("APPEND", "", append, buf_sv(&letter));
	imap("SELECT Drafts", SV_NONE);
	imap_step("FETCH a body", "", "FETCH 1 (BODY.PEEK[])", SV_NONE);
	grammar_done(&grammar);
	room_done(&room);
	conf_unref(&room.conf);
}

/* --- POP3 ------------------------------------------------------------------------------------------------------------- */

static void retrieve(struct maildrop *drop, uint32_t n)
{
	struct retrieval *r;
	struct buf out;
	bool done = false;

	must(retrieval_open(drop, n, UINT32_MAX, &r), "RETR");
	while (!done) {
		buf_init(&out, 1 << 20);
		must(retrieval_next(r, 64 << 10, &out, &done), "RETR");
		buf_done(&out);
	}
	retrieval_close(&r);
}

static void pop3_steps(void)
{
	struct maildrop *drop;

	must(maildrop_open(open_user("bob@guard.test"), &drop), "maildrop");
	retrieve(drop, 1);
	cost_begin();
	for (uint32_t n = 1; n <= OPS; n++)
		retrieve(drop, n);
	cost_end("RETR", OPS);
	maildrop_close(&drop);
}

int main(int argc, char **argv)
{
	char mail[512];
	struct store_conf conf = { .mail_dir = mail, .host = "guard.test", .create_special_use = true };
	struct maildir_user *user;
	struct mailbox_status status;

	if (argc != 2) {
		fprintf(stderr, "usage: store_steps FOLDER\n");
		return 2;
	}
	log_set_level(LOG_LEVEL_ERROR);
	snprintf(mail, sizeof(mail), "%s/mail", argv[1]);
	must(store_open(&conf, &store), "store_open");
	make_letter();
	user = open_user("alice@guard.test");
	must(mailbox_status(user, SV("INBOX"), &status), "status");
	maildir_user_close(&user);
	fill(argv[1], status.uidvalidity);
	must(store_index_rebuild(store, SV("alice@guard.test"), NULL, NULL), "rebuild");
	store_job_begin();
	deliver();
	cost_begin();
	for (int i = 0; i < OPS; i++)
		deliver();
	cost_end("delivery", OPS);
	store_job_end();
	store_job_begin();
	imap_steps();
	store_job_end();
	store_job_begin();
	pop3_steps();
	store_job_end();
	store_close(&store);
	buf_done(&letter);
	return 0;
}
