/* postroom upgrade: the running server becomes the programs that lie on the disk now. */
#include "admin/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/daemons.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/rehearsal.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/control.h"
#include "common/instance.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

#define SOCKETS_VARIABLE "POSTROOM_KEPT_SOCKETS"
#define FORMER_VARIABLE "POSTROOM_FORMER"
#define PIDFILE_VARIABLE "POSTROOM_PIDFILE"
#define LIST_SIZE (UPGRADE_FORMER_MAX * 12)
#define ASK_MS 5000
#define WAIT_MS 60000
#define POLL_MS 20

/* ---- from one program to the next, in one process ---- */

static void put_list(const char *variable, const int *numbers, size_t count)
{
	char text[LIST_SIZE];
	size_t len = 0;

	text[0] = '\0';
	for (size_t i = 0; i < count && len + 12 < sizeof(text); i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%d", i ? " " : "", numbers[i]);
	setenv(variable, text, 1);
}

static size_t take_list(const char *variable, int *out, size_t max)
{
	const char *text = getenv(variable);
	struct sv rest = text ? sv_z(text) : SV_NONE, word;
	size_t count = 0;
	uint32_t n;

	while (count < max && sv_split(&rest, ' ', &word))
		if (sv_to_u32(word, &n) && n <= INT_MAX)
			out[count++] = (int)n;
	unsetenv(variable);
	return count;
}

void upgrade_inherit(struct upgrade_inheritance *from)
{
	from->former_count = take_list(FORMER_VARIABLE, from->former, UPGRADE_FORMER_MAX);
	from->socket_count = take_list(SOCKETS_VARIABLE, from->sockets, HANDOVER_MAX);
	if (!take_list(PIDFILE_VARIABLE, &from->pidfile, 1))
		from->pidfile = -1;
	for (size_t i = 0; i < from->socket_count; i++)
		fcntl(from->sockets[i], F_SETFD, FD_CLOEXEC);
}

void upgrade_execute(const char *program, const char *root, const struct upgrade_inheritance *to)
{
	char *argv[] = { xstrdup(program), xstrdup("--root"), xstrdup(root), xstrdup("serve"), NULL };
	sigset_t all;

	for (size_t i = 0; i < to->socket_count; i++)
		fcntl(to->sockets[i], F_SETFD, 0);
	put_list(SOCKETS_VARIABLE, to->sockets, to->socket_count);
	put_list(FORMER_VARIABLE, to->former, to->former_count);
	put_list(PIDFILE_VARIABLE, &to->pidfile, 1);
	fcntl(to->pidfile, F_SETFD, 0);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	execv(program, argv);
	execv("/proc/self/exe", argv);
	upgrade_unblock_signals();
	for (size_t i = 0; i < ARRAY_LEN(argv); i++)
		free(argv[i]);
}

void upgrade_unblock_signals(void)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* ---- the verb ---- */

/* Does the running parent know what SIGUSR2 means? It would end one that does not. One that blocks it is just becoming another program. */
static bool knows_upgrades(pid_t pid)
{
	char path[64], line[256];
	bool is_known = false;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	FILE *file = fopen(path, "re");

	while (file && fgets(line, sizeof(line), file))
		if (sv_starts(sv_z(line), SV("SigCgt:")) || sv_starts(sv_z(line), SV("SigBlk:")))
			is_known |= strtoull(line + 7, NULL, 16) >> (SIGUSR2 - 1) & 1;
	if (file)
		fclose(file);
	return is_known;
}

/* What the server would become: the programs that lie where its own came from, whoever asks for it and from where. */
static int check_programs(const struct conf *conf, const char *program)
{
	if (!rehearsal_can_run(program)) {
		complain("make install, or install the package again", "the new %s cannot be executed; the server runs as it did",
			 program[0] ? program : "postroom");
		return EXIT_FAILED;
	}
	for (size_t i = 0; i < DAEMON_COUNT; i++) {
		char path[4096];

		if (!daemon_is_wanted(conf, i))
			continue;
		if (!daemon_path(program, daemon_names[i], path, sizeof(path)) || !rehearsal_can_run(path)) {
			complain("make install, or install the package again", "the new %s cannot be executed; the server runs as it did",
				 daemon_names[i]);
			return EXIT_FAILED;
		}
	}
	return EXIT_DONE;
}

struct serving {
	uint64_t pid;
	bool is_ready;
};

static bool note_serving(void *arg, const struct json *line)
{
	struct serving *s = arg;

	if (json_get_bool(line, "ready", &s->is_ready)) /* the master's line */
		(void)json_get_u64(line, "pid", &s->pid);
	return true;
}

static struct serving who_serves(const struct instance *instance, const char *daemon)
{
	struct serving s = { .pid = 0 };

	(void)!control_ask(instance, daemon, SV("{\"verb\":\"status\"}"), note_serving, &s, ASK_MS).kind;
	return s;
}

static int wait_for_new(struct cli *cli, const struct conf *conf, pid_t parent, const struct serving before[DAEMON_COUNT])
{
	for (unsigned waited = 0; waited < WAIT_MS; waited += POLL_MS) {
		bool all = true;

		for (size_t i = 0; i < DAEMON_COUNT && all; i++) {
			if (!daemon_is_wanted(conf, i) || (i >= DAEMON_MAIL_COUNT && !before[i].pid))
				continue;
			struct serving now = who_serves(cli->instance, daemon_names[i]);

			all = now.is_ready && now.pid && now.pid != before[i].pid;
		}
		if (all)
			return EXIT_DONE;
		if (kill(parent, 0) != 0 && errno == ESRCH) {
			complain("postroom serve --detach", "the server ended while it changed over; its log says why");
			return EXIT_FAILED;
		}
		usleep(POLL_MS * 1000);
	}
	bool is_told = false;

	for (size_t i = 0; i < DAEMON_COUNT; i++)
		if (daemon_is_wanted(conf, i) && !who_serves(cli->instance, daemon_names[i]).is_ready) {
			is_told = true;
			complain("postroom log", "the new %s does not answer yet, and is started again and again; sessions that were open go on with "
				 "the former one, and who connects waits", daemon_names[i]);
		}
	if (!is_told)
		complain("postroom status", "the server did not change over within %d s; the log says why", WAIT_MS / 1000);
	return EXIT_FAILED;
}

static int run_upgrade(struct cli *cli)
{
	struct serving before[DAEMON_COUNT] = { { .pid = 0 } };
	char program[4096];
	struct conf *conf = NULL;
	uint32_t wait_s;

	if (!rehearsal_wait(cli, &wait_s))
		return EXIT_USAGE;
	/* The server may open ports below 1024. Where its program lies is shown to root alone then (ptrace(2)), which we are no more once the
	 * instance is open; who is not root takes it that his own lies in the same place. */
	if (!program_path(pidfile_holder_at(cli->root, "postroom"), program, sizeof(program)))
		(void)program_path(getpid(), program, sizeof(program));
	int code = cli_open_instance(cli);

	if (code != EXIT_DONE)
		return code;
	pid_t pid = pidfile_holder(cli->instance, "postroom");

	if (!pid) {
		complain("postroom serve --detach", "nothing runs for %s", cli->root);
		return EXIT_UNAVAILABLE;
	}
	if (!knows_upgrades(pid)) {
		complain("postroom stop, then postroom serve --detach; or systemctl restart postroom",
			 "the program that runs is too old to hand its sockets on");
		return EXIT_FAILED;
	}
	code = open_conf(cli, &conf);
	if (code == EXIT_DONE)
		code = check_programs(conf, program);
	/* Whoever fails here leaves everything as it is. */
	if (code == EXIT_DONE)
		code = rehearse_program(cli, program, wait_s);
	for (size_t i = 0; i < DAEMON_COUNT && code == EXIT_DONE; i++)
		before[i] = who_serves(cli->instance, daemon_names[i]);
	if (code == EXIT_DONE && kill(pid, SIGUSR2) != 0) {
		complain(NULL, "process %d: %s", (int)pid, strerrordesc_np(errno));
		code = EXIT_FAILED;
	}
	if (code == EXIT_DONE)
		code = wait_for_new(cli, conf, pid, before);
	if (code == EXIT_DONE && !cli->json)
		printf("the new programs serve, process %d; sessions that were open go on with the former ones for at most %llu minutes\n",
		       (int)pid, (unsigned long long)(conf->host.upgrade_ms / 60000));
	conf_unref(&conf);
	return code;
}

const struct verb upgrade_verbs[] = {
	{ .noun = "upgrade", .args = "",
	  .summary = "Change over to newly installed programs; no session ends",
	  .example = "upgrade", .run = run_upgrade,
	  .options = { { "wait", "SECONDS", "how long each new daemon may take to show that it can start; 60 unless given" } } },
	{ .noun = NULL },
};
