/* postroom setup: from a bare system to a server that runs, in one command that may be given again. What needs root is done by
 * this process (user, instance, service); what works inside the instance, by a child that becomes its owner. */
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/checks.h"
#include "admin/init.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/verbs.h"
#include "common/dkimkey.h"
#include "common/idna.h"
#include "common/instance.h"
#include "common/textfile.h"

#include "common/banned.h"

#define DEFAULT_ROOT "/var/lib/postroom"
#define UNIT "postroom.service"
#define PROTOCOL "setup.txt"            /* in the instance: what was said */
#define ANSWER_MAX 300
#define LETS_ENCRYPT "https://acme-v02.api.letsencrypt.org/directory"
#define CONF_MAX ((size_t)1 << 20)

struct setup {
	struct cli *cli;
	const char *domain, *hostname, *account, *smarthost, *authority;
	char made_hostname[ADDRESS_DOMAIN_MAX + 8];
	char answers[3][ANSWER_MAX];
	uint64_t port_offset;
	bool asks;                      /* somebody is there to answer */
	bool had_instance;
	bool is_ready;                  /* nothing stops it from being started */
	FILE *protocol;
	struct arena arena;
};

/* ---- saying, asking ---- */

/* say - to the terminal and to the file. */
static void say(struct setup *s, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct setup *s, const char *format, ...)
{
	FILE *const files[] = { stdout, s->protocol };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		va_list ap;

		if (!files[i])
			continue;
		va_start(ap, format);
		vfprintf(files[i], format, ap);
		va_end(ap);
	}
	fflush(stdout);
}

static void said(struct setup *s, const char *what, const char *is)
{
	say(s, "%-14s %s\n", what, is);
}

/* ask - what was typed, or the proposal when that is nothing, or nobody is there. */
static const char *ask(const struct setup *s, const char *question, const char *proposal, char answer[ANSWER_MAX])
{
	if (!s->asks)
		return proposal;
	printf("%s [%s]: ", question, *proposal ? proposal : "none");
	fflush(stdout);
	if (!fgets(answer, ANSWER_MAX, stdin))
		return proposal;
	struct sv text = sv_trim(sv_z(answer));

	memmove(answer, text.p, text.len);
	answer[text.len] = '\0';
	return text.len ? answer : proposal;
}

/* ---- other programs ---- */

/* run_program - without its output unless shown; its exit code, -1 when it cannot be run. */
static int run_program(const char *const argv[], bool shown)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		int null = shown ? -1 : open("/dev/null", O_RDWR | O_CLOEXEC);

		if (null >= 0) {
			dup2(null, STDIN_FILENO);
			dup2(null, STDOUT_FILENO);
			dup2(null, STDERR_FILENO);
		}
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static bool has_systemd(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

/* ---- as whoever called: user, instance ---- */

static int make_user(struct setup *s, const char **user)
{
	*user = cli_option(s->cli, "user");
	if (geteuid() != 0 || (!*user && strcmp(s->cli->root, DEFAULT_ROOT) != 0))
		return *user ? cli_usage(s->cli, "--user needs root") : EXIT_DONE;
	if (!*user)
		*user = INIT_SERVICE_USER;
	if (getpwnam(*user))
		return EXIT_DONE;
	const char *const argv[] = { "useradd", "--system", "--user-group", "--home-dir", s->cli->root, "--no-create-home",
				     "--shell", "/usr/sbin/nologin", *user, NULL };

	if (run_program(argv, true) != 0) {
		complain("make it by hand, then give the same command again", "the system user %s could not be made", *user);
		return EXIT_FAILED;
	}
	return EXIT_DONE;
}

/* The name of this system in the DNS, when it has one in the domain; else mail.DOMAIN. */
static const char *propose_hostname(struct setup *s)
{
	char name[ADDRESS_DOMAIN_MAX + 1] = "";
	struct sv own, domain = sv_z(s->domain);

	if (gethostname(name, sizeof(name) - 1) != 0)
		name[0] = '\0';
	own = sv_z(name);
	if (own.len > domain.len + 1 && sv_ends(own, domain) && own.p[own.len - domain.len - 1] == '.')
		snprintf(s->made_hostname, sizeof(s->made_hostname), "%s", name);
	else
		snprintf(s->made_hostname, sizeof(s->made_hostname), "mail.%s", s->domain);
	return s->made_hostname;
}

static int make_instance(struct setup *s)
{
	struct init_plan plan = { .domain = s->domain, .bind = cli_option(s->cli, "bind"), .port_offset = s->port_offset };
	struct instance *instance = NULL;
	int code = make_user(s, &plan.user);

	if (code != EXIT_DONE)
		return code;
	plan.hostname = s->hostname;
	code = cli_fault(s->cli->root, init_instance(s->cli->root, &plan, &instance));
	instance_close(&instance);
	return code;
}

/* An instance that is there already; looked at by its format file alone, since opening it makes us its owner. */
static bool is_instance(const char *root)
{
	char path[4200];

	return snprintf(path, sizeof(path), "%s/format", root) < (int)sizeof(path) && access(path, F_OK) == 0;
}

/* ---- as the owner: domain, account, roles ---- */

/* Fine when somebody did it before. */
static int done_before(const char *what, struct fault f, bool *is_new)
{
	*is_new = !f.kind;
	return f.kind == FAULT_EXISTS ? EXIT_DONE : cli_fault(what, f);
}

static int make_domain(struct setup *s, struct directory *dir)
{
	bool is_new;
	int code = done_before(s->domain, directory_domain_add(dir, sv_z(s->domain)), &is_new);

	if (code == EXIT_DONE)
		code = cli_fault(s->domain, dkimkey_make(instance_path(s->cli->instance, INSTANCE_KEYS), s->domain));
	if (code == EXIT_DONE)
		said(s, "domain", s->domain);
	return code;
}

static int make_account(struct setup *s, struct directory *dir, const struct conf *conf, const char *address)
{
	char *password = cli_generate_secret();
	struct sv secret = sv_z(password);
	bool is_new;
	int code = done_before(address, directory_account_add(dir, sv_z(address), &secret, (uint32_t)conf->auth.scram_iterations, NULL),
			       &is_new);

	if (code == EXIT_DONE && is_new) {
		/* The file would keep it for whoever reads it later. */
		printf("%-14s %s, password %s\n", "account", address, password);
		if (s->protocol)
			fprintf(s->protocol, "%-14s %s (its password was shown on the terminal)\n", "account", address);
	} else if (code == EXIT_DONE) {
		say(s, "%-14s %s was there; postroom account password %s --generate makes a new password\n", "account", address, address);
	}
	secret_free(&password);
	return code;
}

/* choose_account - nobody was named: one of the domain's, if it has any. */
static int choose_account(const struct setup *s, struct directory *dir, char *address, size_t size)
{
	char **addresses = NULL;
	size_t count = 0;
	int code = cli_fault("accounts", directory_account_addresses(dir, sv_z(s->domain), &addresses, &count));

	if (code == EXIT_DONE && count)
		snprintf(address, size, "%s", addresses[0]);
	else
		snprintf(address, size, "postmaster@%s", s->domain);
	directory_addresses_free(&addresses, &count);
	return code;
}

static int make_roles(struct setup *s, struct directory *dir, const char *account)
{
	static const char *const roles[] = { "postmaster", "abuse" };
	struct sv target = sv_z(account);

	for (size_t i = 0; i < ARRAY_LEN(roles); i++) {
		char name[ADDRESS_DOMAIN_MAX + 16];
		bool is_new;

		snprintf(name, sizeof(name), "%s@%s", roles[i], s->domain);
		int code = sv_eq(sv_z(name), target) ? EXIT_DONE :
			   done_before(name, directory_alias_add(dir, sv_z(name), &target, 1), &is_new);

		if (code != EXIT_DONE)
			return code;
	}
	say(s, "%-14s postmaster@%s and abuse@%s are read by somebody\n", "roles", s->domain, s->domain);
	return EXIT_DONE;
}

static int fill_directory(struct setup *s, const struct conf *conf)
{
	struct directory *dir = NULL;
	char address[2 * ADDRESS_DOMAIN_MAX];
	int code = open_directory(s->cli, &dir);

	if (code != EXIT_DONE)
		return code;
	snprintf(address, sizeof(address), "%s%s%s", s->account, strchr(s->account, '@') ? "" : "@",
		 strchr(s->account, '@') ? "" : s->domain);
	code = make_domain(s, dir);
	if (strcmp(s->account, "none") == 0) {
		said(s, "account", "none: they come by postroom import; then give the same command again");
		directory_close(&dir);
		return code;
	}
	if (code == EXIT_DONE && !*s->account)
		code = choose_account(s, dir, address, sizeof(address));
	if (code == EXIT_DONE)
		code = make_account(s, dir, conf, address);
	if (code == EXIT_DONE)
		code = make_roles(s, dir, address);
	directory_close(&dir);
	return code;
}

/* ---- as the owner: a smarthost ---- */

static bool is_smarthost(struct sv text)
{
	size_t colon = sv_rfind(text, ':');
	uint32_t port;

	return colon != SIZE_MAX && colon && sv_to_u32(sv_sub(text, colon + 1, SIZE_MAX), &port) && port && port <= UINT16_MAX &&
	       sv_find(text, ' ') == SIZE_MAX && sv_find(text, '"') == SIZE_MAX;
}

/* arena_text - "" when it does not fit, which the names and addresses of a mail server do. */
static const char *arena_text(struct arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);
static const char *arena_text(struct arena *arena, const char *format, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	struct sv copy = arena_copy(arena, sv_z(text));

	return copy.p ? copy.p : "";
}

/* add_to_conf - lines more in postroom.conf; what is there already stays. */
static int add_to_conf(struct setup *s, const char *lines)
{
	char *path = realpath(instance_path(s->cli->instance, INSTANCE_CONF), NULL);    /* may be a link into /etc */
	struct buf text;
	int code;

	if (!path)
		return cli_fault("postroom.conf", fault_errno("find", instance_path(s->cli->instance, INSTANCE_CONF)));
	buf_init(&text, CONF_MAX);
	struct fault f = textfile_read(path, &text);

	if (!f.kind && !buf_appendf(&text, "\n%s", lines))
		f = fault(FAULT_LIMIT, "the file is too long");
	code = cli_fault(path, f.kind ? f : textfile_rewrite(path, buf_sv(&text)));
	free(path);
	buf_done(&text);
	return code;
}

static int add_smarthost(struct setup *s, const struct conf *conf, const char *smarthost)
{
	const struct conf_list *list = &conf->relay.smarthosts;
	struct buf line;
	int code = EXIT_DONE;

	buf_init(&line, 1024);
	buf_appendf(&line, "*=%s", smarthost);
	if (list->count && !conf_list_is_none(list)) {
		bool is_same = list->count == 1 && sv_eq(sv_z(list->items[0]), buf_sv(&line));

		if (!is_same) {
			complain("change the line smarthosts in postroom.conf", "smarthosts are set already, starting with %s", list->items[0]);
			code = EXIT_FAILED;
		}
	} else {
		code = add_to_conf(s, arena_text(&s->arena, "# All mail that leaves goes through this host (setup).\nsmarthosts *=%s\n", smarthost));
	}
	if (code == EXIT_DONE)
		say(s, "%-14s %s; when it wants a login, put \"HOST USER PASSWORD\" into %s (mode 0600)\n", "smarthost", smarthost,
		    conf->relay.passwords);
	buf_done(&line);
	return code;
}

static int add_authority(struct setup *s, const struct conf *conf)
{
	const char *url = strcmp(s->authority, "letsencrypt") == 0 ? LETS_ENCRYPT : s->authority;

	if (strcmp(conf->acme.directory, url) == 0)
		return EXIT_DONE;
	if (conf->acme.directory[0]) {
		complain("change the line acme-directory in postroom.conf", "acme-directory is set already, to %s", conf->acme.directory);
		return EXIT_FAILED;
	}
	int code = add_to_conf(s, arena_text(&s->arena, "# Certificates come from this authority, to whose terms this agrees (setup).\n"
							"acme-directory %s\nacme-contact postmaster@%s\n", url, s->domain));

	if (code == EXIT_DONE)
		said(s, "certificate", arena_text(&s->arena, "from %s, a minute after the host name leads here; port 80 must be open", url));
	return code;
}

/* ---- as the owner: checks ---- */

static void show_findings(struct setup *s, const struct findings *fs)
{
	checks_print(fs, true, stdout);
	if (s->protocol)
		checks_print(fs, true, s->protocol);
}

static int look(struct setup *s)
{
	struct findings findings;
	struct facts facts;
	int code;

	say(s, "\nLooking at what mail needs: found, expected, how to mend it.\n\n");
	findings_init(&findings);
	code = facts_gather(s->cli, s->domain, &facts);
	if (code == EXIT_DONE) {
		if (cli_option(s->cli, "time-server"))
			facts.time_server = cli_option(s->cli, "time-server");
		facts.is_before_start = true;
		checks_run(&facts, CHECKS_SETUP, &findings, NULL);
		show_findings(s, &findings);
		s->is_ready = findings_worst(&findings, "host.ports") < CHECK_FAULT && findings_worst(&findings, "host.disk") < CHECK_FAULT;
		if (findings_worst(&findings, "host.way-out") == CHECK_FAULT && !s->smarthost) {
			const char *answer = ask(s, "\nA smarthost to send through, as HOST:PORT", "", s->answers[2]);

			if (is_smarthost(sv_z(answer)))
				code = add_smarthost(s, facts.conf, answer);
		}
	}
	facts_done(&facts);
	findings_done(&findings);
	return code;
}

static void open_protocol(struct setup *s)
{
	char path[4200];
	int fd;

	snprintf(path, sizeof(path), "%s/" PROTOCOL, s->cli->root);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	s->protocol = fd >= 0 ? fdopen(fd, "w") : NULL;
}

/* configure - inside the instance. */
static int configure(struct setup *s)
{
	struct conf *conf = NULL;
	int code = cli_open_instance(s->cli);

	if (code == EXIT_DONE)
		code = open_conf(s->cli, &conf);
	if (code != EXIT_DONE)
		return code;
	const char *wanted = cli_option(s->cli, "hostname");

	if (s->had_instance && wanted && !sv_eq_nocase(sv_z(wanted), sv_z(conf->host.hostname))) {
		complain("change the line hostname in postroom.conf, or leave --hostname out", "the host name of this instance is %s",
			 conf->host.hostname);
		conf_unref(&conf);
		return EXIT_FAILED;
	}
	open_protocol(s);
	said(s, s->had_instance ? "instance" : "made", s->cli->root);
	said(s, "host name", conf->host.hostname);
	code = fill_directory(s, conf);
	if (code == EXIT_DONE && s->smarthost)
		code = add_smarthost(s, conf, s->smarthost);
	if (code == EXIT_DONE && s->authority)
		code = add_authority(s, conf);
	conf_unref(&conf);
	if (code == EXIT_DONE)
		code = look(s);
	if (code == EXIT_DONE && !s->is_ready && !cli_option(s->cli, "no-start")) {
		say(s, "\nNot started: mend the faults of ports and disk first, then give the same command again.\n");
		code = EXIT_FAILED;
	}
	if (s->protocol)
		fclose(s->protocol);
	s->protocol = NULL;
	return code;
}

/* configure_as_owner - in a child, since the owner cannot start services. */
static int configure_as_owner(struct setup *s)
{
	int status;

	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		int code = configure(s);

		instance_close(&s->cli->instance);
		arena_done(&s->arena);
		fflush(stdout);
		_exit(code);
	}
	if (pid < 0) {
		complain(NULL, "fork: %s", strerrordesc_np(errno));
		return EXIT_FAILED;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED;
}

/* ---- starting ---- */

/* is_for_unit - the unit runs one instance, as one user. */
static bool is_for_unit(const struct setup *s)
{
	struct stat st;
	const struct passwd *owner;

	if (geteuid() != 0 || !has_systemd() || strcmp(s->cli->root, DEFAULT_ROOT) != 0 || stat(s->cli->root, &st) != 0)
		return false;
	owner = getpwuid(st.st_uid);
	return owner && strcmp(owner->pw_name, INIT_SERVICE_USER) == 0;
}

static int start_service(const struct setup *s)
{
	static const char *const cat[] = { "systemctl", "cat", UNIT, NULL };
	static const char *const enable[] = { "systemctl", "enable", "--now", UNIT, NULL };
	const char *const serve[] = { "/proc/self/exe", "--root", s->cli->root, "serve", "--detach", NULL };
	const char *const status[] = { "/proc/self/exe", "--root", s->cli->root, "status", NULL };

	if (run_program(status, false) == EXIT_DONE) {
		printf("\nIt runs already.\n");
		return EXIT_DONE;
	}
	if (is_for_unit(s) && run_program(cat, false) == 0) {
		if (run_program(enable, true) == 0) {
			printf("\nIt runs, and starts with the machine (" UNIT ").\n");
			return EXIT_DONE;
		}
		complain("journalctl -u postroom", UNIT " could not be started");
		return EXIT_FAILED;
	}
	printf("\n");
	fflush(stdout);
	return run_program(serve, true) == EXIT_DONE ? EXIT_DONE : EXIT_FAILED;
}

static void tell_next(const struct setup *s)
{
	bool is_default = strcmp(s->cli->root, DEFAULT_ROOT) == 0;
	const char *option = is_default ? "" : " --root ", *root = is_default ? "" : s->cli->root;

	printf("\nNext:\n");
	if (cli_option(s->cli, "no-start"))
		printf("  postroom%s%s setup %s%*s   starts it\n", option, root, s->domain, 7, "");
	printf("  postroom%s%s dns %s            the DNS records to enter at your provider\n"
	       "  postroom%s%s dns %s --check    are they right?\n"
	       "  postroom%s%s doctor%*s   is everything, some hours later?\n"
	       "What was said here is in %s/" PROTOCOL ".\n",
	       option, root, s->domain, option, root, s->domain, option, root, (int)strlen(s->domain) + 7, "", s->cli->root);
}

/* ---- the verb ---- */

static int parse(struct setup *s)
{
	struct cli *cli = s->cli;
	const char *offset = cli_option(cli, "port-offset"), *hostname = cli_option(cli, "hostname");
	struct sv name = idna_to_ascii(&s->arena, sv_z(cli->args[0]));

	if (!name.p)
		return cli_usage(cli, "\"%s\" is not a domain name", cli->args[0]);
	s->domain = name.p;
	if (offset && (!sv_to_u64(sv_z(offset), &s->port_offset) || s->port_offset > 64000))
		return cli_usage(cli, "--port-offset takes a number from 0 to 64000");
	s->smarthost = cli_option(cli, "smarthost");
	if (s->smarthost && !is_smarthost(sv_z(s->smarthost)))
		return cli_usage(cli, "--smarthost takes HOST:PORT, such as smtp.provider.example:587");
	s->authority = cli_option(cli, "authority");
	if (s->authority && strcmp(s->authority, "letsencrypt") != 0 &&
	    (!sv_starts(sv_z(s->authority), SV("https://")) || strpbrk(s->authority, " \t\r\n\"#") || strlen(s->authority) > 512))
		return cli_usage(cli, "--authority takes letsencrypt, or the https:// URL of an authority's ACME directory");
	s->asks = !cli_option(cli, "yes");
	if (s->asks && !(isatty(STDIN_FILENO) && isatty(STDOUT_FILENO)))
		return cli_usage(cli, "there is no terminal to ask questions on: add --yes to take what is proposed");
	s->had_instance = is_instance(cli->root);
	s->hostname = hostname ? hostname : s->had_instance ? "" : ask(s, "Host name", propose_hostname(s), s->answers[0]);
	if (*s->hostname) {
		name = idna_to_ascii(&s->arena, sv_z(s->hostname));
		if (!name.p)
			return cli_usage(cli, "\"%s\" is not a host name", s->hostname);
		s->hostname = name.p;
	}
	s->account = cli_option(cli, "account");
	if (!s->account && s->had_instance)
		s->account = "";        /* the oldest one that is there */
	else if (!s->account)
		s->account = ask(s, "First account", "postmaster", s->answers[1]);
	return EXIT_DONE;
}

static int run_setup(struct cli *cli)
{
	struct setup s = { .cli = cli };
	int code;

	arena_init(&s.arena, 32768);
	code = parse(&s);
	if (code == EXIT_DONE && !s.had_instance)
		code = make_instance(&s);
	if (code == EXIT_DONE)
		code = configure_as_owner(&s);
	if (code == EXIT_DONE && !cli_option(cli, "no-start"))
		code = start_service(&s);
	if (code == EXIT_DONE)
		tell_next(&s);
	arena_done(&s.arena);
	return code;
}

const struct verb setup_verbs[] = {
	{ .noun = "setup", .args = "DOMAIN", .args_min = 1, .args_max = 1,
	  .summary = "Make a mail server for a domain, look at what it needs, and start it; may be given again",
	  .example = "setup example.org --yes --account alice", .run = run_setup,
	  .options = { { "yes", NULL, "ask nothing, take what is proposed" },
		       { "hostname", "NAME", "name of this host in the DNS; its own, or mail.DOMAIN, unless given" },
		       { "account", "NAME", "the first account; postmaster unless given; none: they come by postroom import" },
		       { "smarthost", "HOST:PORT", "send everything through this host, where port 25 is shut" },
		       { "authority", "URL", "get certificates from it by ACME, and agree to its terms; letsencrypt, or a URL" },
		       { "bind", "ADDR", "listen on this address only; all of them unless given" },
		       { "port-offset", "N", "added to every port: 10000 gives 10025, 10143, ..." },
		       { "user", "NAME", "system user to run as (root only); postroom unless given" },
		       { "time-server", "HOST", "compare the clock with this one; pool.ntp.org unless given" },
		       { "no-start", NULL, "do not start it" } } },
	{ .noun = NULL },
};
