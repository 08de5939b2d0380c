/* postroom log: the log, wherever it goes, in a form for people; only what is about an address, a session or a message, with the
 * whole of each session and message that they are part of. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/daemons.h"
#include "admin/logline.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/conf.h"
#include "common/instance.h"
#include "common/memory.h"

#include "common/banned.h"

#define DEFAULT_ROOT "/var/lib/postroom"
#define UNIT "postroom.service"
#define JOURNAL "/run/systemd/journal/socket"
#define DAY_S 86400
#define FOLLOW_POLL_MS 200
#define KEYS_MAX ((size_t)1 << 20)      /* sessions and messages that are followed up; beyond, lines of newer ones are shown alone */
#define TEXT_MAX ((size_t)2 * LOG_LINE_MAX)

/* ---- sessions and messages that matter ---- */

/* A set of their ids, by hash: two of a million that have the same one show some lines too many. */
struct keys {
	uint64_t *slots;                /* 0: free */
	size_t count, size;
};

static uint64_t key_of(struct sv id)
{
	uint64_t h = 0xcbf29ce484222325ull;     /* FNV-1a */

	for (size_t i = 0; i < id.len; i++)
		h = (h ^ (unsigned char)id.p[i]) * 0x100000001b3ull;
	return h ? h : 1;
}

static bool keys_put(uint64_t *slots, size_t size, uint64_t key)
{
	size_t at = (size_t)key & (size - 1);

	while (slots[at] && slots[at] != key)
		at = (at + 1) & (size - 1);
	if (slots[at])
		return false;
	slots[at] = key;
	return true;
}

static void keys_add(struct keys *keys, struct sv id)
{
	if (!id.len || keys->count >= KEYS_MAX)
		return;
	if (2 * keys->count >= keys->size) {
		size_t size = keys->size ? 2 * keys->size : 1024;
		uint64_t *slots = xcalloc(size, sizeof(*slots));

		for (size_t i = 0; i < keys->size; i++)
			if (keys->slots[i])
				keys_put(slots, size, keys->slots[i]);
		free(keys->slots);
		keys->slots = slots;
		keys->size = size;
	}
	keys->count += keys_put(keys->slots, keys->size, key_of(id));
}

static bool keys_have(const struct keys *keys, struct sv id)
{
	uint64_t key = key_of(id);

	if (!id.len || !keys->size)
		return false;
	for (size_t at = (size_t)key & (keys->size - 1); keys->slots[at]; at = (at + 1) & (keys->size - 1))
		if (keys->slots[at] == key)
			return true;
	return false;
}

/* ---- lines ---- */

/* What ties lines together: a session, a message, and the notice that was sent about it. */
static const char *const ties[] = { "sid", "queue_id", "notice_id" };

struct reader {
	struct cli *cli;
	struct sv address, id;          /* without both, everything */
	int64_t since;
	struct keys keys;
	struct logline line;
	bool has_shown;                 /* a line that was asked for */
	bool is_late;                   /* the last line with a time was late enough; others belong to it */
	char text[TEXT_MAX];            /* a line that has not ended yet */
	size_t len;
	bool is_too_long;
};

static bool is_filtered(const struct reader *r)
{
	return r->address.len || r->id.len;
}

/* read_line - false: it is not ours, or too old. The journal puts time, program and process in front. */
static bool read_line(struct reader *r, struct sv text)
{
	int64_t seconds;
	unsigned milliseconds;
	struct sv time = sv_sub(text, 0, sv_find(text, ' ')), rest = text;
	bool has_time = logline_time(time, &seconds, &milliseconds);

	if (has_time) {
		size_t colon = sv_search(text, SV("]: "));

		sv_skip(&rest, colon == SIZE_MAX ? time.len : colon + 3);
	}
	bool is_fine = logline_parse(&r->line, rest);

	if (is_fine && r->line.seconds == INT64_MIN && has_time) {
		r->line.seconds = seconds;
		r->line.milliseconds = milliseconds;
	}
	if (is_fine && r->line.seconds != INT64_MIN)
		seconds = r->line.seconds;
	else if (!has_time)
		return is_fine && r->is_late;
	r->is_late = seconds >= r->since;
	return is_fine && r->is_late;
}

static bool is_direct(const struct reader *r)
{
	return (r->address.len && logline_is_about(&r->line, r->address)) || (r->id.len && logline_has_value(&r->line, r->id));
}

/* learn - note what a line that is asked for is tied to. */
static bool learn(struct reader *r, struct sv text)
{
	if (!read_line(r, text) || !is_direct(r))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(ties); i++)
		keys_add(&r->keys, logline_get(&r->line, ties[i]));
	return true;
}

static void show(struct reader *r, struct sv text)
{
	if (!read_line(r, text)) {
		/* Of libraries, sanitizers, systemd. */
		if (is_filtered(r) || r->cli->json || !r->is_late)
			return;
		for (size_t i = 0; i < text.len; i++)
			putchar((unsigned char)text.p[i] < ' ' || text.p[i] == '\177' ? '?' : text.p[i]);
		putchar('\n');
		return;
	}
	bool is_wanted = !is_filtered(r) || is_direct(r);

	for (size_t i = 0; !is_wanted && i < ARRAY_LEN(ties); i++)
		is_wanted = keys_have(&r->keys, logline_get(&r->line, ties[i]));
	r->has_shown |= is_wanted;
	if (is_wanted && r->cli->json)
		logline_json(&r->line, stdout);
	else if (is_wanted)
		logline_print(&r->line, stdout);
}

typedef void line_fn(struct reader *r, struct sv text);

static void learn_line(struct reader *r, struct sv text)
{
	(void)learn(r, text);
}

/* While it is followed there is one look at each line. */
static void follow_line(struct reader *r, struct sv text)
{
	if (is_filtered(r))
		(void)learn(r, text);
	show(r, text);
}

/* feed - octets of the log, cut anywhere. What is longer than any line of ours is dropped. */
static void feed(struct reader *r, struct sv in, line_fn *fn)
{
	while (in.len) {
		size_t end = sv_find(in, '\n');
		struct sv part = sv_sub(in, 0, end);

		if (part.len > sizeof(r->text) - r->len)
			r->is_too_long = true;
		else if (part.len)
			memcpy(r->text + r->len, part.p, part.len);
		if (!r->is_too_long)
			r->len += part.len;
		if (end == SIZE_MAX)
			return;
		if (!r->is_too_long)
			fn(r, sv_from(r->text, r->len));
		r->len = 0;
		r->is_too_long = false;
		sv_skip(&in, end + 1);
	}
}

static void feed_all(struct reader *r, int fd, line_fn *fn)
{
	static char block[1 << 16];
	ssize_t n;

	r->len = 0;
	r->is_too_long = false;
	r->is_late = false;
	while ((n = read(fd, block, sizeof(block))) > 0 || (n < 0 && errno == EINTR))
		if (n > 0)
			feed(r, sv_from(block, (size_t)n), fn);
}

/* ---- where it goes ---- */

struct place {
	char *file;                     /* NULL: the journal */
	int journal_fd;                 /* what journalctl says, or -1 */
	pid_t journalctl;
};

/* start_journalctl - while this is still whoever called: the owner of the instance need not be allowed to read the journal. */
static void start_journalctl(struct place *place, const struct reader *r, bool follow)
{
	char since[32];
	int fds[2];

	snprintf(since, sizeof(since), "@%lld", (long long)r->since);
	const char *const argv[] = { "journalctl", "--quiet", "--no-pager", "--utc", "--no-hostname", "--output=short-iso-precise", "--unit", UNIT,
				     "--since", since, follow ? "--follow" : NULL, NULL };

	if (pipe2(fds, O_CLOEXEC) != 0)
		return;
	place->journalctl = fork();
	if (place->journalctl == 0) {
		dup2(fds[1], STDOUT_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fds[1]);
	place->journal_fd = fds[0];
}

static void place_done(struct place *place)
{
	free(place->file);
	if (place->journal_fd >= 0)
		close(place->journal_fd);
	if (place->journalctl > 0) {
		kill(place->journalctl, SIGTERM);
		while (waitpid(place->journalctl, NULL, 0) < 0 && errno == EINTR)
			;
	}
}

/* find_place - the file that is set; where the standard error of what runs leads to; the file of `serve --detach`; the journal. */
static int find_place(struct cli *cli, struct place *place)
{
	struct conf *conf = NULL;
	char link[64], target[4096];
	struct stat st;
	int code = open_conf(cli, &conf);

	if (code != EXIT_DONE)
		return code;
	if (conf->log.file[0])
		place->file = xstrdup(conf->log.file);
	conf_unref(&conf);
	if (place->file)
		return EXIT_DONE;
	pid_t pid = pidfile_holder(cli->instance, "postroom");

	snprintf(link, sizeof(link), "/proc/%d/fd/2", (int)pid);
	ssize_t n = pid ? readlink(link, target, sizeof(target) - 1) : -1;

	target[n > 0 ? n : 0] = '\0';
	if (target[0] == '/' && stat(target, &st) == 0 && S_ISREG(st.st_mode)) {
		place->file = xstrdup(target);
		return EXIT_DONE;
	}
	bool is_journal = place->journal_fd >= 0 && strncmp(target, "socket:", 7) == 0;
	char *detached = instance_run_path(cli->instance, "server", ".log");

	if (!is_journal && stat(detached, &st) == 0) {
		place->file = detached;
		return EXIT_DONE;
	}
	free(detached);
	if (is_journal || (place->journal_fd >= 0 && !target[0]))
		return EXIT_DONE;
	complain("postroom serve --detach", "%s", target[0] ? "the server logs to where nobody can read it again (a terminal, a pipe)" :
		 "there is no log yet");
	return EXIT_NOT_FOUND;
}

/* ---- reading it ---- */

/* read_whole - from the beginning; with a filter twice, since what matters may be learned from a session's last line. */
static int read_whole(struct reader *r, struct place *place)
{
	int fd = place->file ? open(place->file, O_RDONLY | O_CLOEXEC) : place->journal_fd;
	FILE *copy = NULL;

	if (fd < 0)
		return cli_fault(place->file, fault_errno("open", place->file));
	if (!place->file && is_filtered(r)) {
		char block[8192];
		ssize_t n;

		copy = tmpfile();
		while (copy && (n = read(fd, block, sizeof(block))) > 0)
			if (fwrite(block, 1, (size_t)n, copy) != (size_t)n)
				break;
		if (!copy || fflush(copy) != 0 || lseek(fileno(copy), 0, SEEK_SET) != 0) {
			complain(NULL, "a temporary file for the journal: %s", strerrordesc_np(errno));
			return EXIT_FAILED;
		}
	}
	int from = copy ? fileno(copy) : fd;

	if (is_filtered(r)) {
		feed_all(r, from, learn_line);
		(void)lseek(from, 0, SEEK_SET);
	}
	feed_all(r, from, show);
	if (copy)
		fclose(copy);
	if (place->file)
		close(fd);
	return EXIT_DONE;
}

/* follow_journal - until journalctl or the person ends it. */
static int follow_journal(struct reader *r, const struct place *place)
{
	char block[8192];
	ssize_t n;

	while ((n = read(place->journal_fd, block, sizeof(block))) > 0) {
		feed(r, sv_from(block, (size_t)n), follow_line);
		fflush(stdout);
	}
	return EXIT_DONE;
}

/* follow_file - until the person ends it. A file that was cut or replaced is read from its beginning. */
static int follow_file(struct reader *r, const struct place *place, bool from_start)
{
	struct stat now, known;
	int fd = open(place->file, O_RDONLY | O_CLOEXEC);
	char block[8192];

	if (fd < 0 || fstat(fd, &known) != 0)
		return cli_fault(place->file, fault_errno("open", place->file));
	off_t at = from_start ? 0 : known.st_size;

	for (;;) {
		ssize_t n = pread(fd, block, sizeof(block), at);

		if (n > 0) {
			feed(r, sv_from(block, (size_t)n), follow_line);
			at += n;
			continue;
		}
		if (fflush(stdout) != 0)
			break;
		(void)poll(NULL, 0, FOLLOW_POLL_MS);
		if (fstat(fd, &now) == 0 && now.st_size < at)
			at = 0;
		if (stat(place->file, &now) == 0 && (now.st_ino != known.st_ino || now.st_dev != known.st_dev)) {
			int fresh = open(place->file, O_RDONLY | O_CLOEXEC);

			if (fresh >= 0) {
				close(fd);
				fd = fresh;
				known = now;
				at = 0;
			}
		}
	}
	close(fd);
	return EXIT_DONE;
}

/* ---- the level ---- */

static int set_level(struct cli *cli, const char *level)
{
	char request[64];
	int code = cli_open_instance(cli);

	snprintf(request, sizeof(request), "{\"verb\":\"log\",\"level\":\"%.8s\"}", level);
	for (size_t i = 0; i < DAEMON_COUNT && code == EXIT_DONE; i++)
		if (i < DAEMON_MAIL_COUNT || daemon_answers(cli->instance, daemon_names[i]))
			code = ask_daemon(cli, daemon_names[i], sv_z(request), NULL, NULL);
	if (code == EXIT_DONE && !cli->json)
		printf("The level is %s until the next reload or restart; log-level in postroom.conf is for good.\n", level);
	return code;
}

/* ---- the verb ---- */

static bool is_level(const char *level)
{
	const struct conf_option *option = conf_option_find(SV("log-level"));

	for (size_t i = 0; option && option->words[i]; i++)
		if (strcmp(option->words[i], level) == 0)
			return true;
	return false;
}

static int run_log(struct cli *cli)
{
	static struct reader r;
	const char *address = cli_option(cli, "for"), *id = cli_option(cli, "id"), *since = cli_option(cli, "since"),
		   *level = cli_option(cli, "level");
	bool follow = cli_option(cli, "follow") != NULL;
	struct place place = { .journal_fd = -1 };
	uint64_t ago = follow ? 0 : DAY_S;

	if (level && !is_level(level))
		return cli_usage(cli, "--level takes error, warn, info or debug");
	if (level)
		return set_level(cli, level);
	if (since && !print_parse_ago(since, &ago))
		return cli_usage(cli, "--since takes a time such as 2h or 3d");
	r.cli = cli;
	r.address = sv_z(address ? address : "");
	r.id = sv_z(id ? id : "");
	if (sv_starts(r.id, SV("<")) && sv_ends(r.id, SV(">")))
		r.id = sv_sub(r.id, 1, r.id.len - 2);
	r.since = (int64_t)time(NULL) - (int64_t)ago;
	if (strcmp(cli->root, DEFAULT_ROOT) == 0 && access(JOURNAL, F_OK) == 0)
		start_journalctl(&place, &r, follow);
	int code = cli_open_instance(cli);

	if (code == EXIT_DONE)
		code = find_place(cli, &place);
	if (code == EXIT_DONE && !follow)
		code = read_whole(&r, &place);
	else if (code == EXIT_DONE)
		code = place.file ? follow_file(&r, &place, since != NULL) : follow_journal(&r, &place);
	if (code == EXIT_DONE && !follow && is_filtered(&r) && !r.has_shown)
		complain("--since 30d looks further back; postroom trace knows what became of messages", "the log of the last %s has nothing about %s",
			 since ? since : "1d", address ? address : id);
	free(r.keys.slots);
	place_done(&place);
	return code;
}

const struct verb log_verbs[] = {
	{ .noun = "log", .args = "", .summary = "Show the log: all of it, or what is about an address, a session or a message",
	  .example = "log --for alice@example.org --since 2h", .run = run_log,
	  .options = { { "for", "ADDRESS", "sessions and messages with this address, or with any of a domain" },
		       { "id", "ID", "those of a session, a queue id (as in the reply to the sender) or a Message-ID" },
		       { "since", "TIME", "not older than this, such as 2h or 3d; 1d unless given" },
		       { "follow", NULL, "what is logged from now on (or since that time), until it is interrupted" },
		       { "level", "error|warn|info|debug", "change how much the running server logs, until its next reload" } } },
	{ .noun = NULL },
};
