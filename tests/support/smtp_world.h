/* tests/support/smtp_world.h - a whole smtpd in one process, without listeners: real sessions,
 * directory, logins and queue, over socket pairs. Only the store is a fake: it keeps messages in
 * memory, and can be told to fail. Included by exactly one source of a program: it defines the
 * functions of maildir/store.h and maildir/incoming.h that smtpd uses. */
#ifndef TESTS_SUPPORT_SMTP_WORLD_H
#define TESTS_SUPPORT_SMTP_WORLD_H

#include <errno.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/auth.h"
#include "common/memory.h"
#include "common/work.h"
#include "maildir/filter.h"
#include "maildir/incoming.h"
#include "smtpd/session.h"
#include "smtpd/smtpd.h"

/* ---- the store ---- */

struct fake_message {
	struct fake_message *next;
	char *account;
	struct buf text;
};

static struct {
	pthread_mutex_t lock;
	struct fake_message *messages;
	unsigned count;
	unsigned open_incoming, open_drops;     /* must be 0 in the end */
	struct fault fail_new, fail_write, fail_finish, fail_deliver, fail_fits;
	const char *fail_account;               /* deliver fails for this one only */
} fake = { .lock = PTHREAD_MUTEX_INITIALIZER };

struct maildir_drop {
	char *account;
};

struct incoming {
	struct buf text;
	uint64_t max;
	bool is_finished;
	struct fault failed;
};

struct fault maildir_drop_open(struct store *store, struct sv address, const struct quota *quota,
			       struct maildir_drop **out)
{
	(void)store;
	(void)quota;
	*out = xcalloc(1, sizeof(**out));
	(*out)->account = sv_copy_z(address);
	pthread_mutex_lock(&fake.lock);
	fake.open_drops++;
	pthread_mutex_unlock(&fake.lock);
	return FAULT_OK;
}

void maildir_drop_close(struct maildir_drop **drop)
{
	if (!*drop)
		return;
	pthread_mutex_lock(&fake.lock);
	fake.open_drops--;
	pthread_mutex_unlock(&fake.lock);
	free((*drop)->account);
	free(*drop);
	*drop = NULL;
}

struct fault maildir_drop_fits(struct maildir_drop *drop, uint64_t bytes)
{
	(void)drop;
	(void)bytes;
	return fake.fail_fits;
}

struct fault incoming_new(struct maildir_user *user, struct maildir_drop *drop, uint64_t max_size,
			  struct incoming **out)
{
	(void)user;
	(void)drop;
	if (fake.fail_new.kind)
		return fake.fail_new;
	*out = xcalloc(1, sizeof(**out));
	buf_init(&(*out)->text, 64u << 20);
	(*out)->max = max_size;
	pthread_mutex_lock(&fake.lock);
	fake.open_incoming++;
	pthread_mutex_unlock(&fake.lock);
	return FAULT_OK;
}

struct fault incoming_write(struct incoming *in, struct sv octets)
{
	if (fake.fail_write.kind)
		in->failed = fake.fail_write;
	else if (in->text.len + octets.len > in->max || !buf_append(&in->text, octets))
		in->failed = fault(FAULT_LIMIT, "fake: too long");
	return in->failed;
}

struct fault incoming_finish(struct incoming *in)
{
	in->is_finished = true;
	return in->failed.kind ? in->failed : fake.fail_finish;
}

uint64_t incoming_size(const struct incoming *in)
{
	return in->text.len;
}

void incoming_free(struct incoming **in)
{
	if (!*in)
		return;
	pthread_mutex_lock(&fake.lock);
	fake.open_incoming--;
	pthread_mutex_unlock(&fake.lock);
	buf_done(&(*in)->text);
	free(*in);
	*in = NULL;
}

int incoming_file(const struct incoming *in)
{
	(void)in;
	return -1;
}

const struct mime_message *incoming_message(const struct incoming *in)
{
	(void)in;
	return NULL;
}

void store_job_begin(void)
{
}

void store_job_end(void)
{
}

/* Nobody here has a script. */
struct fault filter_run(const struct filter_request *request, struct filter_result *out)
{
	(void)request;
	*out = (struct filter_result){ .is_filtered = false };
	return FAULT_OK;
}

void filter_done(struct filter_result *result)
{
	(void)result;
}

bool filter_remember_answer(struct filter_result *result, const struct sieve_action *vacation)
{
	(void)result;
	(void)vacation;
	return false;
}

void filter_remember_seen(struct filter_result *result)
{
	(void)result;
}

void filter_tell(struct filter_result *result)
{
	(void)result;
}

uint32_t filter_flag(struct sv word)
{
	(void)word;
	return 0;
}

static struct fault fake_verdict(const struct delivery *d)
{
	if (fake.fail_account && strcmp(fake.fail_account, d->drop->account))
		return FAULT_OK;
	return fake.fail_deliver;
}

struct fault incoming_deliver(struct incoming *in, struct delivery *places, size_t count)
{
	struct fault f = FAULT_OK;

	if (!in->is_finished)
		abort();
	for (size_t i = 0; i < count; i++) {
		places[i].result = fake_verdict(&places[i]);
		if (!f.kind)
			f = places[i].result;
	}
	pthread_mutex_lock(&fake.lock);
	for (size_t i = 0; i < count && !f.kind; i++) {
		struct fake_message *m = xcalloc(1, sizeof(*m));

		m->account = xstrdup(places[i].drop->account);
		buf_init(&m->text, in->text.len + 1);
		buf_append(&m->text, buf_sv(&in->text));
		m->next = fake.messages;
		fake.messages = m;
		places[i].uid = ++fake.count;
	}
	pthread_mutex_unlock(&fake.lock);
	return f;
}

static void fake_forget(void)
{
	while (fake.messages) {
		struct fake_message *m = fake.messages;

		fake.messages = m->next;
		buf_done(&m->text);
		free(m->account);
		free(m);
	}
	fake.count = 0;
}

/* ---- the daemon ---- */

static const struct listener_kind world_kinds[] = {
	{ LISTENER_MX, { .name = "mx", .alpn = "smtp" }, NULL },
	{ LISTENER_SUBMISSION, { .name = "submission", .alpn = "smtp" }, NULL },
	{ LISTENER_LMTP, { .name = "lmtp", .alpn = "lmtp" }, NULL },
	{ LISTENER_LEGACY, { .name = "legacy", .alpn = "smtp" }, NULL },
};

struct world {
	char folder[64];
	struct worker worker;
	struct smtpd server;
	struct listener listeners[ARRAY_LEN(world_kinds)];
};

void worker_stopped(struct worker *w)
{
	(void)w;
}

#define WORLD_PASSWORD "sesame"

static void must(struct fault f)
{
	if (!f.kind)
		return;
	fprintf(stderr, "%s: %s\n", fault_name(f.kind), f.detail ? f.detail : "");
	abort();
}

static void world_folder(struct world *w, const char *name, char out[128])
{
	snprintf(out, 128, "%s/%s", w->folder, name);
}

/* example.test has alice, bob, an alias "team" for both, "away" for a remote address, "mixed" for
 * bob and a remote one. */
static void world_people(struct world *w)
{
	static const struct { const char *name, *targets[2]; } aliases[] = {
		{ "team@example.test", { "alice@example.test", "bob@example.test" } },
		{ "away@example.test", { "someone@elsewhere.test", NULL } },
		{ "mixed@example.test", { "bob@example.test", "someone@elsewhere.test" } },
	};
	static const char *const people[] = { "alice@example.test", "bob@example.test" };
	struct sv password = SV(WORLD_PASSWORD);

	must(directory_domain_add(w->server.directory, SV("example.test")));
	for (size_t i = 0; i < ARRAY_LEN(people); i++)
		must(directory_account_add(w->server.directory, sv_z(people[i]), &password,
					   DIRECTORY_ITERATIONS_MIN, NULL));
	for (size_t i = 0; i < ARRAY_LEN(aliases); i++) {
		struct sv targets[2] = { sv_z(aliases[i].targets[0]), sv_z(aliases[i].targets[1]) };

		must(directory_alias_add(w->server.directory, sv_z(aliases[i].name), targets,
					 aliases[i].targets[1] ? 2 : 1));
	}
}

/* world_open - conf_text: lines of postroom.conf. */
static void world_open(struct world *w, const char *conf_text)
{
	struct conf_report report = { 0 };
	char path[128];
	struct buf text;

	*w = (struct world){ .folder = "/tmp/smtp_world.XXXXXX" };
	if (!mkdtemp(w->folder))
		abort();
	must(instance_create(w->folder, &w->worker.instance));
	buf_init(&text, 65536);
	buf_appendf(&text, "hostname mail.example.test\nplaintext-auth loopback\n%s", conf_text);
	must(conf_parse(buf_sv(&text), "test", w->folder, &report, &w->worker.conf));
	buf_done(&text);
	must(loop_new(&w->worker.loop));
	w->worker.listeners = listener_set_new(w->worker.conf, world_kinds, ARRAY_LEN(world_kinds));
	w->worker.state = &w->server;
	w->server.worker = &w->worker;
	w->server.loop = w->worker.loop;
	world_folder(w, "directory", path);
	must(directory_open(path, true, &w->server.directory));
	world_people(w);
	must(auth_open(w->server.directory, &w->server.auth));
	must(roster_open(NULL, w->worker.loop, &w->server.roster));
	world_folder(w, "queue", path);
	must(queue_open(path, &w->server.queue));
	for (size_t i = 0; i < ARRAY_LEN(world_kinds); i++)
		w->listeners[i] = (struct listener){
			.kind = &world_kinds[i], .name = world_kinds[i].role.name, .fd = -1,
		};
}

static int world_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void world_close(struct world *w)
{
	loop_free(&w->worker.loop);
	while (w->server.sessions) {
		struct session *s = w->server.sessions;

		session_free(&s);
	}
	listener_set_free(&w->worker.listeners, true);
	queue_close(&w->server.queue);
	auth_close(&w->server.auth);
	roster_close(&w->server.roster);
	directory_close(&w->server.directory);
	conf_unref(&w->worker.conf);
	instance_close(&w->worker.instance);
	fake_forget();
	nftw(w->folder, world_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* world_connect - a new session; the answer is the client's end. */
static int world_connect(struct world *w, enum conf_listener_kind kind)
{
	struct stream *stream = NULL;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds))
		abort();
	must(stream_new(w->worker.loop, fds[0], NULL, NULL, NULL, &stream));
	for (size_t i = 0; i < ARRAY_LEN(world_kinds); i++)
		if (world_kinds[i].kind == kind)
			session_start(stream, &w->listeners[i], &w->server);
	return fds[1];
}

static void world_read(int fd, struct buf *out)
{
	char octets[4096];
	ssize_t n;

	while ((n = recv(fd, octets, sizeof(octets), MSG_DONTWAIT)) > 0)
		buf_append(out, sv_from(octets, (size_t)n));
}

/* world_wait - run until the output ends with what is expected, or the session is gone. */
static bool world_wait(struct world *w, int fd, struct buf *out, const char *end)
{
	for (int turn = 0; turn < 3000; turn++) {
		world_read(fd, out);
		if (*end && sv_search(buf_sv(out), sv_z(end)) != SIZE_MAX)
			return true;
		if (!w->server.sessions)
			return !*end;
		loop_run_once(w->worker.loop, 10);
	}
	return false;
}

/* world_say - the client sends. False: nobody takes it. */
static bool world_say(int fd, struct sv octets)
{
	return send(fd, octets.p, octets.len, MSG_NOSIGNAL) == (ssize_t)octets.len;
}

static bool world_is_working(const struct world *w)
{
	struct work_stats mail = work_stats(w->worker.loop, WORK_MAIL),
			  auth = work_stats(w->worker.loop, WORK_AUTH);

	return mail.running || mail.waiting || auth.running || auth.waiting;
}

/* world_finish - the client sends no more; everything that was asked is done, and what was left is
 * cleaned up. */
static void world_finish(struct world *w, int fd, struct buf *out)
{
	shutdown(fd, SHUT_WR);
	(void)world_wait(w, fd, out, "");
	while (world_is_working(w))
		loop_run_once(w->worker.loop, 10);
	world_read(fd, out);
	close(fd);
}

#endif
