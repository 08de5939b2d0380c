#include "admin/rehearsal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/daemons.h"
#include "admin/print.h"
#include "common/clock.h"
#include "common/conf.h"
#include "common/control.h"

#include "common/banned.h"

#define SAID_MAX 65536
#define SAID_LINES 5            /* of what a daemon said last */
#define PROGRAM_EXTRA_S 30      /* for a `postroom`, beyond what its daemons may take */
#define POLL_MS 20

/* A program under trial: its process group, so that nothing of it outlives us, and what it says. */
struct trial {
	pid_t pid;
	int said_fd;                    /* -1: it says it to the person at the keyboard */
	struct buf said;
	int status;
	bool is_late;
};

static __attribute__((noreturn)) void become(const char *path, const char *const *argv, int said)
{
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	dup2(null, STDIN_FILENO);
	dup2(said >= 0 ? said : null, STDOUT_FILENO);
	if (said >= 0)
		dup2(said, STDERR_FILENO);
	execv(path, (char *const *)(uintptr_t)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", path, strerrordesc_np(errno));
	_exit(127);
}

static bool begin(struct trial *t, const char *path, const char *const *argv, bool is_heard)
{
	int ends[2] = { -1, -1 };

	buf_init(&t->said, SAID_MAX);
	t->said_fd = -1;
	if (is_heard && pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
		return false;
	t->pid = fork();
	if (t->pid == 0)
		become(path, argv, ends[1]);
	if (t->pid > 0)
		setpgid(t->pid, t->pid);        /* whoever of us is first */
	if (ends[1] >= 0)
		close(ends[1]);
	t->said_fd = ends[0];
	return t->pid > 0;
}

/* What is there now. The first part of very much is as good as all of it. */
static void listen_to(struct trial *t)
{
	char octets[4096];
	ssize_t n;

	while (t->said_fd >= 0 && (n = read(t->said_fd, octets, sizeof(octets))) > 0)
		(void)buf_append(&t->said, sv_from(octets, (size_t)n));
}

static void await(struct trial *t, uint32_t wait_s)
{
	uint64_t until = clock_ms() + (uint64_t)wait_s * 1000;
	pid_t ended;

	while ((ended = waitpid(t->pid, &t->status, WNOHANG)) == 0 && clock_ms() < until) {
		struct pollfd p = { .fd = t->said_fd, .events = POLLIN };

		poll(&p, 1, POLL_MS);
		listen_to(t);
		if (p.revents & POLLHUP)
			usleep(POLL_MS * 1000);
	}
	t->is_late = ended == 0;
	kill(-t->pid, SIGKILL);         /* of one that has ended, whatever it left */
	while (t->is_late && waitpid(t->pid, &t->status, 0) < 0 && errno == EINTR)
		continue;
	listen_to(t);
	if (t->said_fd >= 0)
		close(t->said_fd);
}

static void show_last_lines(struct sv said)
{
	size_t lines = 0, from;

	said = sv_trim(said);
	for (from = said.len; from; from--)
		if (said.p[from - 1] == '\n' && ++lines == SAID_LINES)
			break;
	for (struct sv rest = sv_sub(said, from, SIZE_MAX), line; sv_split(&rest, '\n', &line);)
		fprintf(stderr, "  %.*s\n", SV_FMT(line));
}

bool rehearsal_can_run(const char *program)
{
	const char *const argv[] = { program, "--version", NULL };
	struct trial t = { .pid = 0 };
	bool is_begun = begin(&t, program, argv, false);

	if (is_begun)
		await(&t, REHEARSAL_S);
	return is_begun && !t.is_late && WIFEXITED(t.status) && WEXITSTATUS(t.status) == 0;
}

#define NEXT "mend that, then postroom upgrade; until then the programs that run go on serving"

static int rehearse(const struct cli *cli, const char *name, const char *path, uint32_t wait_s)
{
	const char *const argv[] = { path, "--root", cli->root, "--rehearse", NULL };
	struct trial t = { .pid = 0 };
	bool is_begun = begin(&t, path, argv, true);
	int code = EXIT_FAILED;

	if (is_begun)
		await(&t, wait_s);
	if (!is_begun)
		complain(NULL, "%s could not be tried: %s", name, strerrordesc_np(errno));
	else if (t.is_late)
		complain(NEXT, "the new %s was not ready within %u s", name, wait_s);
	else if (WIFSIGNALED(t.status))
		complain(NEXT, "the new %s cannot start: it was ended by signal %d", name, WTERMSIG(t.status));
	else if (WEXITSTATUS(t.status) != 0)
		complain(NEXT, "the new %s cannot start: it ended with exit code %d", name, WEXITSTATUS(t.status));
	else
		code = EXIT_DONE;
	if (code != EXIT_DONE)
		show_last_lines(buf_sv(&t.said));
	buf_done(&t.said);
	return code;
}

int rehearse_daemons(const struct cli *cli, const struct conf *conf, const char *program, uint32_t wait_s)
{
	int code = EXIT_DONE;

	for (size_t i = 0; i < DAEMON_COUNT && code == EXIT_DONE; i++) {
		char path[4096];

		if (!daemon_is_wanted(conf, i))
			continue;
		if (daemon_path(program, daemon_names[i], path, sizeof(path))) {
			code = rehearse(cli, daemon_names[i], path, wait_s);
		} else {
			complain(NEXT, "the program %s is neither beside postroom nor in %s", daemon_names[i], POSTROOM_LIBEXECDIR);
			code = EXIT_FAILED;
		}
	}
	return code;
}

int rehearse_program(const struct cli *cli, const char *program, uint32_t wait_s)
{
	char seconds[16];
	const char *const argv[] = { program, "--root", cli->root, "serve", "--rehearse", "--wait", seconds, NULL };
	struct trial t = { .pid = 0 };

	snprintf(seconds, sizeof(seconds), "%u", wait_s);
	if (!begin(&t, program, argv, false)) {
		complain(NULL, "%s could not be tried: %s", program, strerrordesc_np(errno));
		return EXIT_FAILED;
	}
	await(&t, DAEMON_COUNT * wait_s + PROGRAM_EXTRA_S);
	if (t.is_late)
		complain(NEXT, "the new postroom did not end its rehearsal");
	else if (WIFSIGNALED(t.status))
		complain(NEXT, "the new postroom cannot start: it was ended by signal %d", WTERMSIG(t.status));
	else if (WEXITSTATUS(t.status) == EXIT_DONE || WEXITSTATUS(t.status) == EXIT_USAGE)
		return EXIT_DONE;
	return EXIT_FAILED;     /* it has said why, if it could */
}

bool rehearsal_wait(const struct cli *cli, uint32_t *wait_s)
{
	const char *text = cli_option(cli, "wait");

	*wait_s = REHEARSAL_S;
	if (text && (!sv_to_u32(sv_z(text), wait_s) || !*wait_s || *wait_s > REHEARSAL_S_MAX)) {
		(void)cli_usage(cli, "--wait takes seconds, 1 to %d", REHEARSAL_S_MAX);
		return false;
	}
	return true;
}
