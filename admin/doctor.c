/* postroom doctor: everything that is looked at, and what to do about what is wrong. The same by mail, for the postmaster. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "admin/checks.h"
#include "admin/lmtp.h"
#include "admin/print.h"
#include "admin/rounds.h"
#include "admin/verbs.h"
#include "common/date.h"
#include "common/instance.h"
#include "common/textfile.h"

#include "common/banned.h"

/* ---- by mail ---- */

static size_t count_to_do(const struct findings *fs)
{
	size_t count = 0;

	for (size_t i = 0; i < fs->count; i++)
		count += fs->items[i].state >= CHECK_WARNING;
	return count;
}

/* CRLF throughout: lines are copied from what the terminal would show. */
static void copy_lines(FILE *from, FILE *to)
{
	int c;

	rewind(from);
	while ((c = getc(from)) != EOF) {
		if (c == '\n')
			putc('\r', to);
		putc(c, to);
	}
}

static void write_head(FILE *to, const struct facts *facts, size_t to_do)
{
	const char *host = facts->conf->host.hostname, *domain = facts->domains[0];
	struct buf date;

	buf_init(&date, 64);
	date_append_5322(&date, date_now());
	fprintf(to,
		"From: Postroom <postmaster@%s>\r\nTo: postmaster@%s\r\nSubject: %s: %zu thing%s to do\r\nDate: %.*s\r\n"
		"Message-ID: <doctor.%lld.%d@%s>\r\nAuto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n",
		domain, domain, host, to_do, to_do == 1 ? "" : "s", SV_FMT(buf_sv(&date)), (long long)time(NULL), (int)getpid(), host);
	buf_done(&date);
}

static int mail_findings(const struct facts *facts, const struct findings *fs)
{
	FILE *text = tmpfile(), *message = tmpfile();
	struct buf to;
	int code = EXIT_FAILED;

	buf_init(&to, 1024);
	buf_appendf(&to, "postmaster@%s", facts->domains[0]);
	if (text && message) {
		checks_print(fs, false, text);
		write_head(message, facts, count_to_do(fs));
		copy_lines(text, message);
		fputs("\r\nThis is the weekly look of `postroom doctor`. It writes only when something needs doing.\r\n", message);
		if (fflush(message) == 0)
			code = cli_fault("the summary", lmtp_hand_over(facts->cli->instance, SV(""), buf_sv(&to), fileno(message)));
	} else {
		complain(NULL, "no room for a message");
	}
	if (text)
		fclose(text);
	if (message)
		fclose(message);
	buf_done(&to);
	return code;
}

/* `serve` sees by this file when the last look was. */
static void leave_stamp(const struct cli *cli)
{
	char path[4200], text[32];
	int len = snprintf(text, sizeof(text), "%lld\n", (long long)time(NULL));

	snprintf(path, sizeof(path), "%s/" ROUNDS_STAMP, cli->root);
	(void)cli_fault(path, textfile_replace(path, sv_from(text, (size_t)len)));
}

/* ---- the verb ---- */

static void show_progress(const struct check *check)
{
	fprintf(stderr, "\r\033[K%s ...", check->title);
}

static int run_doctor(struct cli *cli)
{
	bool is_for_mail = cli_option(cli, "mail") != NULL, shows = !cli->json && isatty(STDERR_FILENO);
	struct findings findings;
	struct facts facts;
	int code = facts_gather(cli, NULL, &facts);

	if (code == EXIT_DONE) {
		if (cli_option(cli, "time-server"))
			facts.time_server = cli_option(cli, "time-server");
		findings_init(&findings);
		checks_run(&facts, CHECKS_DOCTOR, &findings, shows ? show_progress : NULL);
		if (shows)
			fprintf(stderr, "\r\033[K");
		if (is_for_mail)
			leave_stamp(cli);
		if (is_for_mail)
			code = facts.domain_count && (count_to_do(&findings) || cli_option(cli, "always")) ? mail_findings(&facts, &findings)
													    : EXIT_DONE;
		else if (cli->json)
			checks_print_json(&findings);
		else
			checks_print(&findings, cli_option(cli, "all") != NULL, stdout);
		if (!is_for_mail)
			code = checks_exit_code(&findings);
		findings_done(&findings);
	}
	facts_done(&facts);
	return code;
}

const struct verb doctor_verbs[] = {
	{ .noun = "doctor", .args = "", .needs_root = true,
	  .summary = "Look at everything that mail needs, and say what is wrong and how to mend it",
	  .example = "doctor --json", .run = run_doctor,
	  .options = { { "all", NULL, "show what is good, too" },
		       { "time-server", "HOST", "compare the clock with this one; pool.ntp.org unless given" },
		       { "mail", NULL, "send the result to the postmaster, when something needs doing" },
		       { "always", NULL, "with --mail: also when nothing does" } } },
	{ .noun = NULL },
};
