/* load - puts load on a mail server on this machine and measures what it answers. One scenario per start, one JSON
 * line per row on standard output; tests/bench/run.py starts it and makes the table. It refuses every host that is
 * not loopback, and ends by itself. */
#include <errno.h>
#include <getopt.h>
#include <openssl/opensslv.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/memory.h"
#include "tests/bench/load/scenarios.h"

#include "common/banned.h"

static const struct scenario {
	const char *name;
	int (*run)(const struct options *opt);
	bool needs_port, needs_users, is_limit;
	const char *what;
} scenarios[] = {
	{ "mail", scenario_mail, true, true, false, "messages by SMTP, submission (--auth) or LMTP (--lmtp)" },
	{ "imap-short", scenario_imap_short, true, true, false, "sessions: login, SELECT, FETCH flags, LOGOUT" },
	{ "imap-mix", scenario_imap_mix, true, true, false, "sessions as of a mail program that is opened" },
	{ "append", scenario_append, true, true, false, "messages by APPEND, --batch in a command" },
	{ "commands", scenario_commands, true, true, false, "IMAP commands NAME|REPEAT|COMMAND, given as arguments" },
	{ "idle", scenario_idle, true, true, false, "--count sessions that IDLE; then 'push N', 'quit' on standard input" },
	{ "pop3", scenario_pop3, true, true, false, "sessions: login, UIDL, RETR of everything" },
	{ "connections", scenario_connections, true, false, false, "connect, greeting, hang up" },
	{ "disk", scenario_disk, false, false, true, "write, fdatasync, rename, fsync of the folder, in --dir" },
	{ "handshakes", scenario_handshakes, false, false, true, "both sides of full TLS handshakes, in memory" },
	{ "fill", scenario_fill, false, false, true, "a Maildir of --count messages, in --dir" },
};

static void usage(FILE *to)
{
	fprintf(to, "Usage: load SCENARIO [OPTION]...\n"
		"  --host ADDR          a loopback address                     [127.0.0.1]\n"
		"  --port N             of the protocol\n"
		"  --smtp-port N        where mail for idle sessions comes in\n"
		"  --tls none|implicit|starttls                                [none]\n"
		"  --users FILE         lines: ADDRESS PASSWORD\n"
		"  --connections N      at the same time, at most %d          [1]\n"
		"  --count N            operations, at most                    [100]\n"
		"  --seconds N          no new operation later, at most %d    [30]\n"
		"  --size N             octets of a message                    [4096]\n"
		"  --recipients N       of each message                        [1]\n"
		"  --per-connection N   messages in one SMTP session           [1]\n"
		"  --batch N            messages in one APPEND                 [1]\n"
		"  --synchronising      APPEND waits for its \"+\"\n"
		"  --mixed              messages of 2, 10 and 75 KB by turns\n"
		"  --auth, --lmtp       log in; speak LMTP\n"
		"  --dir DIR, --cert FILE, --key FILE\n"
		"  --name TEXT          of the row\n"
		"  --about              how this program was built\n\nScenarios:\n", RUN_THREADS_MAX, RUN_SECONDS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(scenarios); i++)
		fprintf(to, "  %-13s %s\n", scenarios[i].name, scenarios[i].what);
}

static void die(const char *what, const char *value)
{
	fprintf(stderr, "load: %s%s%s\n", what, value ? ": " : "", value ? value : "");
	exit(2);
}

/* What the daemons beside us were built with: one make, one set of flags. */
static int about(void)
{
	struct json_out j;
	struct buf b;

	buf_init(&b, 4096);
	json_out_init(&j, &b);
	json_out_object(&j, NULL);
	json_out_z(&j, "compiler", __VERSION__);
#ifdef __OPTIMIZE__
	json_out_bool(&j, "optimised", true);
#else
	json_out_bool(&j, "optimised", false);
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	json_out_bool(&j, "sanitized", true);
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
	json_out_bool(&j, "sanitized", true);
#else
	json_out_bool(&j, "sanitized", false);
#endif
#else
	json_out_bool(&j, "sanitized", false);
#endif
	json_out_z(&j, "openssl", OPENSSL_VERSION_TEXT);
	json_out_z(&j, "tls", client_tls_library());
	json_out_object_end(&j);
	printf("%.*s\n", SV_FMT(buf_sv(&b)));
	buf_done(&b);
	return 0;
}

static void read_users(struct options *opt, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[1024], address[512], password[512];
	size_t cap = 0;

	if (!f)
		die(path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%511s %511s", address, password) != 2)
			die("not ADDRESS PASSWORD", line);
		if (opt->user_count == cap) {
			cap = cap ? cap * 2 : 64;
			opt->users = xrealloc(opt->users, cap * sizeof(*opt->users));
		}
		opt->users[opt->user_count++] = (struct user){ xstrdup(address), xstrdup(password) };
	}
	fclose(f);
}

static uint64_t number(const char *text, uint64_t min, uint64_t max, const char *option)
{
	uint64_t n;

	if (!sv_to_u64(sv_z(text), &n) || n < min || n > max)
		die(option, text);
	return n;
}

static void raise_open_files(void)
{
	struct rlimit r;

	if (getrlimit(RLIMIT_NOFILE, &r) == 0) {
		r.rlim_cur = r.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &r);
	}
}

enum { OPT_HOST = 256, OPT_PORT, OPT_SMTP_PORT, OPT_TLS, OPT_USERS, OPT_CONNECTIONS, OPT_COUNT, OPT_SECONDS, OPT_SIZE,
       OPT_RECIPIENTS, OPT_PER_CONNECTION, OPT_BATCH, OPT_SYNCHRONISING, OPT_MIXED,
       OPT_AUTH, OPT_LMTP, OPT_DIR, OPT_CERT, OPT_KEY, OPT_NAME, OPT_ABOUT, OPT_HELP };

static const struct option long_options[] = {
	{ "host", required_argument, NULL, OPT_HOST },
	{ "port", required_argument, NULL, OPT_PORT },
	{ "smtp-port", required_argument, NULL, OPT_SMTP_PORT },
	{ "tls", required_argument, NULL, OPT_TLS },
	{ "users", required_argument, NULL, OPT_USERS },
	{ "connections", required_argument, NULL, OPT_CONNECTIONS },
	{ "count", required_argument, NULL, OPT_COUNT },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "size", required_argument, NULL, OPT_SIZE },
	{ "recipients", required_argument, NULL, OPT_RECIPIENTS },
	{ "per-connection", required_argument, NULL, OPT_PER_CONNECTION },
	{ "batch", required_argument, NULL, OPT_BATCH },
	{ "synchronising", no_argument, NULL, OPT_SYNCHRONISING },
	{ "mixed", no_argument, NULL, OPT_MIXED },
	{ "auth", no_argument, NULL, OPT_AUTH },
	{ "lmtp", no_argument, NULL, OPT_LMTP },
	{ "dir", required_argument, NULL, OPT_DIR },
	{ "cert", required_argument, NULL, OPT_CERT },
	{ "key", required_argument, NULL, OPT_KEY },
	{ "name", required_argument, NULL, OPT_NAME },
	{ "about", no_argument, NULL, OPT_ABOUT },
	{ "help", no_argument, NULL, OPT_HELP },
	{ NULL, 0, NULL, 0 },
};

static void take_option(struct options *opt, int which, const char *value)
{
	switch (which) {
	case OPT_HOST:
		opt->host = value;
		break;
	case OPT_PORT:
		opt->port = (uint16_t)number(value, 1, 65535, "--port");
		break;
	case OPT_SMTP_PORT:
		opt->smtp_port = (uint16_t)number(value, 1, 65535, "--smtp-port");
		break;
	case OPT_TLS:
		if (strcmp(value, "none") == 0)
			opt->wire = WIRE_PLAIN;
		else if (strcmp(value, "implicit") == 0)
			opt->wire = WIRE_TLS;
		else if (strcmp(value, "starttls") == 0)
			opt->wire = WIRE_STARTTLS;
		else
			die("--tls is none, implicit or starttls", value);
		break;
	case OPT_USERS:
		read_users(opt, value);
		break;
	case OPT_CONNECTIONS:
		opt->connections = (uint32_t)number(value, 1, RUN_THREADS_MAX, "--connections");
		break;
	case OPT_COUNT:
		opt->count = number(value, 1, 10000000, "--count");
		break;
	case OPT_SECONDS:
		opt->seconds = (uint32_t)number(value, 1, RUN_SECONDS_MAX, "--seconds");
		break;
	case OPT_SIZE:
		opt->size = (uint32_t)number(value, 1, 1 << 20, "--size");
		break;
	case OPT_RECIPIENTS:
		opt->recipients = (uint32_t)number(value, 1, 100, "--recipients");
		break;
	case OPT_PER_CONNECTION:
		opt->per_connection = (uint32_t)number(value, 1, 1000000, "--per-connection");
		break;
	case OPT_BATCH:
		opt->batch = (uint32_t)number(value, 1, 1000, "--batch");
		break;
	case OPT_SYNCHRONISING:
		opt->is_synchronising = true;
		break;
	case OPT_MIXED:
		opt->is_mixed = true;
		break;
	case OPT_AUTH:
		opt->auth = true;
		break;
	case OPT_LMTP:
		opt->lmtp = true;
		break;
	case OPT_DIR:
		opt->dir = value;
		break;
	case OPT_CERT:
		opt->cert = value;
		break;
	case OPT_KEY:
		opt->key = value;
		break;
	case OPT_NAME:
		opt->name = value;
		break;
	case OPT_ABOUT:
		exit(about());
	case OPT_HELP:
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options opt = { .host = "127.0.0.1", .connections = 1, .count = 100, .seconds = 30, .size = 4096,
			       .recipients = 1, .per_connection = 1, .batch = 1 };
	const struct scenario *scenario = NULL;
	int which, status;

	signal(SIGPIPE, SIG_IGN);
	while ((which = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		take_option(&opt, which, optarg);
	for (size_t i = 0; optind < argc && i < ARRAY_LEN(scenarios); i++)
		if (strcmp(argv[optind], scenarios[i].name) == 0)
			scenario = &scenarios[i];
	if (!scenario) {
		usage(stderr);
		return 2;
	}
	if (!client_address_is_loopback(opt.host))
		die("only 127.0.0.0/8 is ever put under load", opt.host);
	if (scenario->needs_port && !opt.port)
		die("needs --port", scenario->name);
	if (scenario->needs_users && !opt.user_count)
		die("needs --users", scenario->name);
	if (scenario->run == scenario_pop3 && opt.user_count < opt.connections)
		die("needs as many users as connections", scenario->name);
	if (!scenario->needs_port && scenario->run != scenario_handshakes && !opt.dir)
		die("needs --dir", scenario->name);
	opt.commands = argv + optind + 1;
	opt.command_count = (size_t)(argc - optind - 1);
	opt.is_limit = scenario->is_limit;
	opt.name = opt.name ? opt.name : scenario->name;
	raise_open_files();
	alarm(opt.seconds + 2 * CLIENT_TIMEOUT_S + RUN_SECONDS_MAX);    /* whatever hangs */
	status = scenario->run(&opt);
	for (size_t i = 0; i < opt.user_count; i++) {
		free(opt.users[i].address);
		free(opt.users[i].password);
	}
	free(opt.users);
	return status;
}
