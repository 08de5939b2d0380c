#include "imapd/training.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/crypt.h"
#include "common/memory.h"
#include "imapd/training_send.h"
#include "maildir/files.h"
#include "maildir/message.h"

#include "common/banned.h"

#define FOLDER ".lessons"       /* in mail/, where no domain begins with a dot */
#define MESSAGES_PER_STEP 16
#define PIECE ((size_t)64 << 10)
#define ACCOUNT_MAX 400
#define SEND_MS 2000            /* of one run of the chore */
#define LOOK_MS 60000           /* another worker's lessons, or those of before */
#define WAIT_MIN_MS 1000        /* after a failure, doubling */
#define WAIT_MAX_MS 300000
#define KEEP_S 259200           /* a lesson that nobody took for three days is worth nothing */
#define REMEMBER_S 86400
#define NAME_SIZE 40

/* A lesson is a file "spam-ID" or "ham-ID": the account's address and a line feed, then the message. The ID is of both. Whoever sends
 * one holds a lock on it; an empty one was sent, and remembers that; a name with a dot in front is being written. */
struct training {
	struct netaddr place;
	int dir;
	atomic_bool has_news;
	uint64_t look_ms, wait_ms;      /* the chore's: when to look next, how long to wait after a failure */
};

/* What a command taught, until it is written. */
struct lessons {
	struct training *training;
	enum lesson kind;
	struct mailbox *box;
	struct sv name;
	struct uidset uids;
	uint32_t next;                  /* UID */
	size_t waiting;                 /* files in the folder, and their octets */
	uint64_t waiting_size;
};

struct fault training_new(const char *mail, const struct netaddr *place, struct training **out)
{
	struct training *t;
	int at = open(mail, O_RDONLY | O_DIRECTORY | O_CLOEXEC), dir = -1;
	struct fault f;

	if (at < 0)
		return fault_errno("open", mail);
	f = files_mkdir(at, FOLDER, 0700, NULL);
	if (!f.kind && (dir = openat(at, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) < 0)
		f = fault_errno("open", FOLDER);
	close(at);
	if (f.kind)
		return f;
	t = xcalloc(1, sizeof(*t));
	t->place = *place;
	t->dir = dir;
	t->wait_ms = WAIT_MIN_MS;
	*out = t;
	return FAULT_OK;
}

void training_free(struct training **training)
{
	if (!*training)
		return;
	close((*training)->dir);
	free(*training);
	*training = NULL;
}

enum lesson training_lesson(uint32_t from_use, uint32_t to_use)
{
	if (to_use & USE_JUNK)
		return from_use & USE_JUNK ? LESSON_NONE : LESSON_SPAM;
	return from_use & USE_JUNK && !(to_use & USE_TRASH) ? LESSON_HAM : LESSON_NONE;
}

/* ---- behind a command ---- */

struct two_uses {
	struct sv from, to;
	uint32_t from_use, to_use;
};

static bool note_use(void *arg, const struct mailbox_info *info)
{
	struct two_uses *u = arg;

	if (sv_eq(info->name, u->from))
		u->from_use = info->special_use;
	if (sv_eq(info->name, u->to))
		u->to_use = info->special_use;
	return true;
}

static bool count_one(void *arg, const char *name, unsigned char type)
{
	struct lessons *l = arg;
	struct stat st;

	if (type == DT_REG && !fstatat(l->training->dir, name, &st, AT_SYMLINK_NOFOLLOW) && st.st_size) {
		l->waiting++;
		l->waiting_size += (uint64_t)st.st_size;
	}
	return l->waiting < LESSONS_MAX;
}

static void note(struct command *c, enum lesson kind, struct sv name, const struct uidset *uids)
{
	struct lessons *l;

	if (!kind)
		return;
	l = xcalloc(1, sizeof(*l));
	*l = (struct lessons){ .training = c->room->training, .kind = kind };
	l->name = (struct sv){ sv_copy_z(name), name.len };
	uidset_copy(&l->uids, uids);
	c->lessons = l;
}

/* uses_of - of the selected mailbox, and of another one. False: nothing is to be noted. */
static bool uses_of(struct command *c, struct sv to, const struct uidset *uids, struct two_uses *out)
{
	*out = (struct two_uses){ .from = c->room->box_name, .to = to };
	return c->room->training && uids->count && !c->lessons && !mailbox_list(c->room->user, note_use, out).kind;
}

void training_note(struct command *c, struct sv to, const struct uidset *made)
{
	struct two_uses uses;

	if (uses_of(c, to, made, &uses))
		note(c, training_lesson(uses.from_use, uses.to_use), to, made);
}

void training_note_marked(struct command *c, enum lesson kind, const struct uidset *marked)
{
	struct two_uses uses;

	if (uses_of(c, SV_NONE, marked, &uses) && !(kind == LESSON_SPAM && uses.from_use & USE_JUNK))
		note(c, kind, c->room->box_name, marked);
}

static struct fault copy_message(int fd, struct message_reader *reader)
{
	char *piece = xmalloc(PIECE);
	struct fault f = FAULT_OK;
	uint64_t at = 0;
	size_t got = 1;

	while (!f.kind && got) {
		f = message_read(reader, at, piece, PIECE, &got);
		if (!f.kind && got)
			f = files_write_all(fd, sv_from(piece, got));
		at += got;
	}
	free(piece);
	return f;
}

static void write_name(enum lesson kind, const char *id, char out[NAME_SIZE])
{
	snprintf(out, NAME_SIZE, "%s-%s", kind == LESSON_SPAM ? "spam" : "ham", id);
}

/* write_id - of what is taught, and by whom. */
static void write_id(struct sv account, const struct message_row *row, char out[33])
{
	struct crypt_digest *d = crypt_digest_new(CRYPT_SHA256);
	uint8_t digest[CRYPT_HASH_MAX];

	crypt_digest_add(d, sv_from((const char *)row->email, sizeof(row->email)));
	crypt_digest_add(d, account);
	(void)crypt_digest_get(d, digest);
	crypt_digest_free(&d);
	for (size_t i = 0; i < 16; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* Not flushed: a lesson that a power cut takes is no loss. */
static struct fault write_lesson(struct lessons *l, struct sv account, const char *name, struct message_reader *reader)
{
	char id[27], temp[NAME_SIZE];
	struct buf line;
	struct fault f;
	int fd;

	crypt_random_text(id, 26);
	snprintf(temp, sizeof(temp), ".%s", id);
	fd = openat(l->training->dir, temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return fault_errno("create", "lesson");
	buf_init(&line, ACCOUNT_MAX);
	f = buf_append(&line, account) && buf_append_c(&line, '\n') ? files_write_all(fd, buf_sv(&line)) :
	    fault(FAULT_LIMIT, "address too long");
	if (!f.kind)
		f = copy_message(fd, reader);
	if (close(fd) && !f.kind)
		f = fault_errno("write", "lesson");
	if (!f.kind && renameat(l->training->dir, temp, l->training->dir, name))
		f = fault_errno("rename", "lesson");
	if (f.kind)
		unlinkat(l->training->dir, temp, 0);
	buf_done(&line);
	return f;
}

/* give - the lesson of one message, unless it was given before. The opposite one is over, whether it was sent or not. */
static struct fault give(struct command *c, struct lessons *l, uint32_t uid)
{
	char id[33], name[NAME_SIZE], opposite[NAME_SIZE];
	struct message_reader *reader = NULL;
	struct message_row row;
	struct stat st;
	struct fault f = mailbox_row(l->box, uid, &row);

	if (f.kind)
		return f;
	write_id(c->room->account, &row, id);
	write_name(l->kind, id, name);
	write_name(l->kind == LESSON_SPAM ? LESSON_HAM : LESSON_SPAM, id, opposite);
	if (!fstatat(l->training->dir, name, &st, AT_SYMLINK_NOFOLLOW))
		return FAULT_OK;
	f = message_open(l->box, uid, &reader);
	if (!f.kind && message_size(reader) <= LESSON_SIZE_MAX) {
		f = write_lesson(l, c->room->account, name, reader);
		if (!f.kind)
			unlinkat(l->training->dir, opposite, 0);
		l->waiting++;
		l->waiting_size += message_size(reader);
	}
	message_close(&reader);
	return f;
}

static struct fault teach(struct command *c, struct lessons *l, uint32_t uid)
{
	struct fault f = FAULT_OK;

	if (!l->box) {
		f = mailbox_open(c->room->user, l->name, &l->box);
		if (!f.kind)
			f = files_each(l->training->dir, ".", count_one, l);
	}
	if (!f.kind && (l->waiting >= LESSONS_MAX || l->waiting_size >= LESSONS_SIZE_MAX))
		f = fault(FAULT_LIMIT, "too many lessons wait for the spam filter");
	if (!f.kind)
		f = give(c, l, uid);
	return f.kind == FAULT_GONE ? FAULT_OK : f;
}

enum step training_step(struct command *c)
{
	struct lessons *l = c->lessons;

	for (int n = 0; l && n < MESSAGES_PER_STEP; n++) {
		uint32_t uid = uidset_next(&l->uids, l->next);
		struct fault f = uid ? teach(c, l, uid) : FAULT_OK;

		if (f.kind)             /* the client's command is done all the same */
			log_warn(c->log, "training.left-out", KV_SV("account", c->room->account), KV_FAULT("fault", f));
		if (!uid || f.kind || uid == UINT32_MAX) {
			atomic_store(&l->training->has_news, true);
			training_done(c);
			return STEP_DONE;
		}
		l->next = uid + 1;
	}
	return l ? STEP_MORE : STEP_DONE;
}

void training_done(struct command *c)
{
	struct lessons *l = c->lessons;

	if (!l)
		return;
	mailbox_close(&l->box);
	uidset_done(&l->uids);
	free((char *)l->name.p);
	free(l);
	c->lessons = NULL;
}

/* ---- the chore ---- */

bool training_is_due(struct training *t)
{
	uint64_t now = clock_ms();

	/* After a failure look_ms lies ahead, whatever is new. */
	return now >= t->look_ms || (atomic_load(&t->has_news) && t->wait_ms == WAIT_MIN_MS);
}

struct sending {
	struct training *training;
	uint64_t end_ms;
	size_t remembered;
	bool is_cut, is_unreachable, has_failed;
};

/* Was it taken, or is it hopeless? Else it is kept for later. */
static bool is_over(struct sending *s, const char *name, struct sv account, struct fault f, const struct training_answer *a)
{
	const char *kind = *name == 's' ? "spam" : "ham";

	if (f.kind || a->status >= 500 || a->status == 401 || a->status == 403 || a->status == 408 || a->status == 429) {
		s->has_failed = true;
		s->is_unreachable = f.kind != FAULT_NONE;
		if (f.kind)
			log_warn(NULL, "training.waiting", KV_FAULT("fault", f));
		else
			log_warn(NULL, "training.waiting", KV_U64("status", a->status), KV_Z("answer", a->text));
		return false;
	}
	if (a->status < 300)
		log_info(NULL, "training.learned", KV_SV("account", account), KV_Z("as", kind));
	else                            /* too short, or known already */
		log_info(NULL, "training.refused", KV_SV("account", account), KV_Z("as", kind), KV_U64("status", a->status),
			 KV_Z("answer", a->text));
	return true;
}

static bool is_old(int fd)
{
	struct stat st;

	return fstat(fd, &st) || st.st_mtime + KEEP_S < time(NULL);
}

/* remember - that it was given: its name stays. When it cannot, it may be given again. */
static void remember(struct sending *s, const char *name, int fd)
{
	if (s->remembered++ >= LESSONS_REMEMBERED_MAX || ftruncate(fd, 0))
		unlinkat(s->training->dir, name, 0);
}

/* is_remembered - does it stand for a lesson that was given? */
static bool is_remembered(struct sending *s, const char *name)
{
	struct stat st;

	if (*name == '.' || fstatat(s->training->dir, name, &st, AT_SYMLINK_NOFOLLOW) || st.st_size)
		return false;
	if (st.st_mtime + REMEMBER_S < time(NULL))
		unlinkat(s->training->dir, name, 0);
	else
		s->remembered++;
	return true;
}

static void send_lesson(struct sending *s, const char *name, int fd)
{
	struct training_answer answer = { 0 };
	char line[ACCOUNT_MAX];
	ssize_t n = pread(fd, line, sizeof(line), 0);
	struct sv account = sv_from(line, n > 0 ? (size_t)n : 0);
	size_t end = sv_find(account, '\n');

	if (end == SIZE_MAX || is_old(fd)) {
		unlinkat(s->training->dir, name, 0);
		return;
	}
	account = sv_sub(account, 0, end);
	if (is_over(s, name, account, training_post(&s->training->place, *name == 's', account, fd, end + 1, &answer), &answer))
		remember(s, name, fd);
}

static bool send_one(void *arg, const char *name, unsigned char type)
{
	struct sending *s = arg;
	struct stat here, there;
	int fd;

	if (type != DT_REG || is_remembered(s, name))
		return true;
	s->is_cut = clock_ms() >= s->end_ms;
	fd = s->is_cut ? -1 : openat(s->training->dir, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return !s->is_cut;
	if (*name == '.') {             /* left behind by a process that died */
		if (is_old(fd))
			unlinkat(s->training->dir, name, 0);
	} else if (!flock(fd, LOCK_EX | LOCK_NB) && !fstat(fd, &here) && !fstatat(s->training->dir, name, &there, AT_SYMLINK_NOFOLLOW) &&
		   here.st_ino == there.st_ino && here.st_size) {
		send_lesson(s, name, fd);
	}
	close(fd);
	return !s->is_unreachable;
}

void training_send(struct training *t)
{
	struct sending s = { .training = t, .end_ms = clock_ms() + SEND_MS };
	struct fault f;

	atomic_store(&t->has_news, false);
	f = files_each(t->dir, ".", send_one, &s);
	if (f.kind)
		log_warn(NULL, "training.folder", KV_FAULT("fault", f));
	if (f.kind || s.has_failed) {
		t->look_ms = clock_ms() + t->wait_ms;
		t->wait_ms = t->wait_ms * 2 < WAIT_MAX_MS ? t->wait_ms * 2 : WAIT_MAX_MS;
		return;
	}
	t->wait_ms = WAIT_MIN_MS;
	t->look_ms = clock_ms() + (s.is_cut ? 0 : LOOK_MS);
}
