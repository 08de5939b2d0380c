/* The server's side: a process that accepts, one for each connection that reads a request and looks at its token, and one below that runs
 * the verb. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/delegate.h"
#include "admin/delegate_request.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/directory_delegate.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/sandbox.h"

#include "common/banned.h"

#define REQUEST_S 10            /* from connecting to a whole request; and for each write of the answer */
#define VERB_S 60
#define ANSWER_MAX (64u << 20)
#define CHUNK 16384             /* octets of output in one line */

#define REQUESTS_MAX 16         /* at a time, of all users */
#define REQUESTS_OF_ONE 4
#define WRONG_MAX 5             /* wrong tokens of one user in WRONG_S: then nothing of his is looked at for a while */
#define WRONG_S 60
#define USERS_MAX 64

#define CODE_WRONG 3            /* a connection's process ends so when its token was wrong */

/* ---- what came ---- */

/* read_line - one line, whole in REQUEST_S: the alarm ends who is slower. */
static bool read_line(int fd, struct buf *in)
{
	size_t end;

	for (;;) {
		ssize_t n;

		(void)buf_reserve(in, 4096);
		n = in->cap > in->len ? recv(fd, in->p + in->len, in->cap - in->len, 0) : 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		end = sv_find(sv_from(in->p + in->len, (size_t)n), '\n');
		in->len += end == SIZE_MAX ? (size_t)n : end;
		if (end != SIZE_MAX)
			return true;
	}
}

/* ---- what goes back ---- */

static bool send_text(int fd, struct sv text)
{
	while (text.len) {
		ssize_t n = send(fd, text.p, text.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		sv_skip(&text, (size_t)n);
	}
	return true;
}

static void send_fault(int fd, struct fault f)
{
	struct json_out j;
	struct buf line;

	buf_init(&line, 4096);
	json_out_init(&j, &line);
	json_out_object(&j, NULL);
	json_out_object(&j, "error");
	json_out_z(&j, "kind", fault_name(f.kind));
	json_out_z(&j, "text", f.detail ? f.detail : fault_name(f.kind));
	json_out_object_end(&j);
	json_out_object_end(&j);
	if (buf_append_c(&line, '\n'))
		(void)send_text(fd, buf_sv(&line));
	buf_done(&line);
}

/* chunk_of - the beginning of text that goes into one line, not ending inside a character. */
static struct sv chunk_of(struct sv text)
{
	size_t len = text.len < CHUNK ? text.len : CHUNK;

	while (len < text.len && len > CHUNK - 4 && ((unsigned char)text.p[len] & 0xc0) == 0x80)
		len--;
	return sv_sub(text, 0, len);
}

static bool send_output(int fd, const char *name, int from)
{
	struct buf chunk, line;
	struct json_out j;
	off_t at = 0;
	bool is_fine = true;

	buf_init(&chunk, CHUNK + 4);
	buf_init(&line, 8 * CHUNK);
	(void)buf_reserve(&chunk, CHUNK + 4);
	while (is_fine && at < (off_t)ANSWER_MAX) {
		ssize_t n = pread(from, chunk.p, CHUNK + 4, at);
		struct sv text = chunk_of(sv_from(chunk.p, n > 0 ? (size_t)n : 0));

		if (!text.len)
			break;
		at += (off_t)text.len;
		buf_clear(&line);
		json_out_init(&j, &line);
		json_out_object(&j, NULL);
		json_out_sv(&j, name, text);
		json_out_object_end(&j);
		is_fine = !j.overflow && buf_append_c(&line, '\n') && send_text(fd, buf_sv(&line));
	}
	buf_done(&chunk);
	buf_wipe(&line);
	return is_fine;
}

/* ---- a verb ---- */

/* A file in memory: output of any length waits for nobody, and nothing of it reaches a disk. */
static int memory_file(const char *name, struct sv content)
{
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd >= 0 && content.len && (write(fd, content.p, content.len) != (ssize_t)content.len || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* run_verb - in its own process: no terminal, no descriptor but the three, no way to outlive its time. */
static int run_verb(struct cli *cli, const struct directory_delegate *who, const struct log_ctx *ctx, struct delegate_request *r, int in, int out, int err)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		int log = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

		setsid();
		alarm(VERB_S);
		log_set_fd(log);
		if (log < 0 || dup2(in, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(err, STDERR_FILENO) < 0)
			_exit(EXIT_FAILED);
		int code = cli_run_delegated(all_verbs, cli->program, cli->root, who, ctx, r->argc, r->argv);

		fflush(stdout);
		fflush(stderr);
		_exit(code);
	}
	if (pid < 0)
		return -1;
	alarm(VERB_S + REQUEST_S);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status))
		log_warn(ctx, "delegate.verb.died", KV_Z("name", who->name), KV_I64("signal", WTERMSIG(status)));
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void answer(struct cli *cli, int fd, const struct directory_delegate *who, const struct log_ctx *ctx, struct delegate_request *r)
{
	struct buf input;
	char last[64];
	int in, out, err, code = -1;

	buf_init(&input, DELEGATE_REQUEST_MAX);
	if (r->input.len) {
		(void)buf_append(&input, r->input);
		(void)buf_append_c(&input, '\n');
	}
	in = memory_file("stdin", buf_sv(&input));
	out = memory_file("stdout", SV_NONE);
	err = memory_file("stderr", SV_NONE);
	buf_wipe(&input);
	if (in >= 0 && out >= 0 && err >= 0)
		code = run_verb(cli, who, ctx, r, in, out, err);
	alarm(REQUEST_S);
	if (code < 0) {
		send_fault(fd, fault(FAULT_INTERNAL, "the command did not come to its end"));
		return;
	}
	snprintf(last, sizeof(last), "{\"exit\":%d}\n{\"done\":true}\n", code);
	if (send_output(fd, "out", out) && send_output(fd, "err", err))
		(void)send_text(fd, sv_z(last));
}

/* ---- a connection ---- */

/* find_holder - in an environment that is closed again before anything is forked. */
static struct fault find_holder(struct cli *cli, struct sv token, struct directory_delegate *out)
{
	struct directory *dir = NULL;
	struct fault f = directory_open(instance_path(cli->instance, INSTANCE_DIRECTORY), false, &dir);

	if (!f.kind)
		f = directory_delegate_find(dir, token, (int64_t)time(NULL), out);
	directory_close(&dir);
	return f;
}

/* serve_one - the code with which its process ends. */
static int serve_one(struct cli *cli, int fd, uid_t uid)
{
	struct timeval patience = { .tv_sec = REQUEST_S };
	struct directory_delegate who;
	struct delegate_request r = { .argc = 0 };
	struct log_ctx ctx;
	char peer[32];
	struct buf in;
	struct fault f = FAULT_OK;

	alarm(REQUEST_S);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	snprintf(peer, sizeof(peer), "uid:%u", (unsigned)uid);
	log_ctx_init(&ctx);
	log_ctx_set_peer(&ctx, sv_z(peer));
	buf_init(&in, DELEGATE_REQUEST_MAX);
	if (!read_line(fd, &in))
		f = fault(FAULT_INVALID, "a request is one line");
	if (!f.kind)
		f = delegate_request_parse(buf_sv(&in), &r);
	buf_wipe(&in);
	if (!f.kind)
		f = find_holder(cli, r.token, &who);
	if (f.kind == FAULT_AUTH)
		log_warn(&ctx, "delegate.token.wrong", KV_Z("why", f.detail));
	else if (f.kind && f.kind != FAULT_INVALID && f.kind != FAULT_LIMIT) {
		log_error(&ctx, "delegate.failed", KV_FAULT("fault", f));
		f = fault(FAULT_UNAVAILABLE, "try again later");
	}
	if (f.kind)
		send_fault(fd, f);
	else
		answer(cli, fd, &who, &ctx, &r);
	delegate_request_free(&r);
	return f.kind == FAULT_AUTH ? CODE_WRONG : 0;
}

/* ---- accepting ---- */

struct user {
	uid_t uid;
	unsigned running, wrong;
	time_t since_s;                 /* the first of `wrong` */
};

struct server {
	struct cli *cli;
	int fd;
	struct user users[USERS_MAX];
	size_t user_count;
	struct { pid_t pid; struct user *user; } requests[REQUESTS_MAX];
};

static time_t now_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static bool is_idle(const struct user *u)
{
	return !u->running && (!u->wrong || now_s() - u->since_s >= WRONG_S);
}

/* find_user - NULL: more users than there is room for, none of whom is idle. */
static struct user *find_user(struct server *s, uid_t uid)
{
	struct user *free_one = NULL;

	for (size_t i = 0; i < s->user_count; i++) {
		if (s->users[i].uid == uid)
			return &s->users[i];
		if (is_idle(&s->users[i]))
			free_one = &s->users[i];
	}
	if (!free_one && s->user_count < USERS_MAX)
		free_one = &s->users[s->user_count++];
	if (free_one)
		*free_one = (struct user){ .uid = uid };
	return free_one;
}

static struct fault may_ask(struct server *s, struct user *u, size_t *slot)
{
	if (u && u->wrong && now_s() - u->since_s >= WRONG_S)
		u->wrong = 0;
	if (u && u->wrong >= WRONG_MAX)
		return fault_detail(FAULT_BUSY, "too many wrong tokens: wait %d seconds", WRONG_S);
	for (*slot = 0; *slot < REQUESTS_MAX && s->requests[*slot].pid; ++*slot)
		;
	if (!u || u->running >= REQUESTS_OF_ONE || *slot == REQUESTS_MAX)
		return fault(FAULT_BUSY, "too many requests at a time: try again");
	return FAULT_OK;
}

static void accept_one(struct server *s)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
	struct ucred peer = { .uid = (uid_t)-1 };
	socklen_t len = sizeof(peer);
	size_t slot = 0;
	pid_t pid;

	if (fd < 0)
		return;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
		close(fd);
		return;
	}
	struct user *u = find_user(s, peer.uid);
	struct fault f = may_ask(s, u, &slot);

	if (f.kind) {
		send_fault(fd, f);      /* one line into an empty socket: it does not wait */
		close(fd);
		return;
	}
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		signal(SIGTERM, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(s->fd);
		_exit(serve_one(s->cli, fd, peer.uid));
	}
	close(fd);
	if (pid < 0)
		return;
	s->requests[slot].pid = pid;
	s->requests[slot].user = u;
	u->running++;
}

static void reap(struct server *s)
{
	pid_t pid;
	int status;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (size_t i = 0; i < REQUESTS_MAX; i++) {
			struct user *u = s->requests[i].user;

			if (s->requests[i].pid != pid)
				continue;
			s->requests[i].pid = 0;
			u->running--;
			if (!WIFEXITED(status) || WEXITSTATUS(status) != CODE_WRONG)
				continue;
			if (!u->wrong++)
				u->since_s = now_s();
			if (u->wrong == WRONG_MAX)
				log_warn(NULL, "delegate.blocked", KV_U64("uid", u->uid), KV_U64("seconds", WRONG_S));
		}
}

static volatile sig_atomic_t is_ending;

static void on_signal(int number)
{
	is_ending |= number == SIGTERM || number == SIGINT;
}

/* bind_at - its name is there for any user: the token is what counts. */
static bool bind_at(int fd, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct stat st;
	mode_t mask;
	bool is_bound;

	memcpy(at.sun_path, path, strlen(path) + 1);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
	mask = umask(0111);
	is_bound = bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0;
	umask(mask);
	return is_bound;
}

/* make_folder - the host's folder for what runs, where nothing made it at boot, for the instance's owner; another one is the
 * administrator's. */
static bool make_folder(const char *root, const char *path)
{
	size_t len = strlen(POSTROOM_RUNDIR);
	struct stat st;

	return strncmp(path, POSTROOM_RUNDIR "/", len + 1) == 0 && !strchr(path + len + 1, '/') && stat(root, &st) == 0 &&
	       cli_make_run_folder(st.st_uid, st.st_gid);
}

/* listen_at - EXIT_USAGE: trying again would end alike; what to do was told. */
static int listen_at(const char *root, const char *path, int *out)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), e = 0;
	char folder[DELEGATE_SOCKET_MAX];

	if (fd < 0 || !bind_at(fd, path))
		e = errno;
	if (e == ENOENT && make_folder(root, path))
		e = bind_at(fd, path) ? 0 : errno;
	if (!e && listen(fd, 16) != 0)
		e = errno;
	*out = fd;
	if (!e)
		return EXIT_DONE;
	if (fd >= 0)
		close(fd);
	snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path), path);
	log_error(NULL, "delegate.closed", KV_Z("socket", path), KV_Z("text", strerror(e)));
	if (e == ENOENT)
		complain("mkdir, owned by the server's user and open to all (chmod 755), then a restart",
			 "nobody can use a token: there is no folder %s for delegate-socket", folder[0] ? folder : "/");
	else
		complain("delegate-socket in postroom.conf, and a restart", "nobody can use a token: %s: %s", path, strerror(e));
	return e == ENOENT || e == EACCES || e == ENOTDIR || e == EROFS || e == EADDRINUSE ? EXIT_USAGE : EXIT_FAILED;
}

static void serve(struct server *s)
{
	const int caught[] = { SIGTERM, SIGINT, SIGCHLD };
	struct sigaction act = { .sa_handler = on_signal };
	struct pollfd p = { .fd = s->fd, .events = POLLIN };
	sigset_t blocked, before;

	sigemptyset(&blocked);
	for (size_t i = 0; i < ARRAY_LEN(caught); i++) {
		sigaddset(&blocked, caught[i]);
		sigaction(caught[i], &act, NULL);
	}
	signal(SIGHUP, SIG_IGN);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	while (!is_ending) {
		int n = ppoll(&p, 1, NULL, &before);

		reap(s);
		if (n > 0)
			accept_one(s);
	}
}

int run_delegate_serve(struct cli *cli)
{
	struct server s = { .cli = cli };
	char path[DELEGATE_SOCKET_MAX];
	struct conf *conf = NULL;
	const char *how;
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	prctl(PR_SET_PDEATHSIG, SIGTERM);       /* with `postroom serve`, however that ends */
	log_start("delegate");
	log_set_level(conf->log.level);
	if (!delegate_socket(conf, cli->root, path)) {
		complain("delegate-socket PATH in postroom.conf", "there is no socket for holders of tokens");
		code = EXIT_USAGE;
	} else {
		code = listen_at(cli->root, path, &s.fd);
		if (code == EXIT_DONE)
			code = cli_fault(path, privilege_drop(conf->host.user, cli->root, &how));
	}
	if (code == EXIT_DONE) {
		log_info(NULL, "delegate.ready", KV_Z("socket", path));
		serve(&s);
		unlink(path);
		close(s.fd);
	}
	conf_unref(&conf);
	return code;
}
