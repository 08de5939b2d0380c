/* postroom import dovecot: settings and lists are read as whoever called, then everything is done as the instance's owner: domains,
 * accounts, aliases, mail, scripts. Each step takes what is missing, so the whole can be run again. */
#include "admin/import_dovecot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/account_import.h"
#include "admin/alias_import.h"
#include "admin/dovecot.h"
#include "admin/import.h"
#include "admin/import_behind.h"
#include "admin/input.h"
#include "admin/open.h"
#include "admin/print.h"
#include "admin/sieve.h"
#include "common/address.h"
#include "common/dkimkey.h"
#include "common/instance.h"
#include "common/memory.h"
#include "common/sieve/sieve.h"

#include "common/banned.h"

#define TEXT_MAX ((size_t)64 << 20)
#define LISTS_MAX 64
#define DOMAINS_MAX 4096

/* A file that was read while it could be. */
struct list {
	char *path;
	struct buf text;
	struct sv scheme;
};

struct person {
	char *address;
	char *mail;                     /* folder; NULL: see why */
	char *lists;                    /* folder of its UIDs; NULL: the same */
	char *scripts, *active;         /* NULL: unknown */
	const char *why;
	const char *note;               /* to be known all the same; NULL: nothing */
};

struct server {
	struct cli *cli;
	bool is_dry;
	const char *domain;             /* of names without one; NULL: not said */
	char *realm;
	struct buf dovecot, postfix;    /* settings */
	struct dovecot_settings settings;
	struct list users[LISTS_MAX], homes[LISTS_MAX], aliases[LISTS_MAX], mailboxes[LISTS_MAX];
	size_t user_count, home_count, alias_count, mailbox_count;
	struct sv domains[DOMAINS_MAX];
	size_t domain_count;
	struct sv *barred;              /* addresses */
	size_t barred_count;
	struct person *people;
	struct sv *addresses;           /* theirs */
	size_t person_count;
	uint64_t queued;                /* messages that Postfix has still to deliver */
	size_t unreadable;              /* folders of mail */
	char *unreadable_below;         /* the folder that all of them lie in */
	struct arena names;
	struct table *table;
	uint64_t left_out;
};

/* ---- reading ---- */

/* What a program prints. False: it is not there, or fails. */
static bool run_program(const char *const argv[], struct buf *out)
{
	int ends[2], status = -1;
	ssize_t n = 1;

	if (pipe2(ends, O_CLOEXEC))
		return false;
	fflush(stdout);
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(ends[1], STDOUT_FILENO);
		if (null >= 0)
			dup2(null, STDERR_FILENO);      /* what it warns of is known to whoever runs it */
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(ends[1]);
	while (pid > 0 && n && buf_reserve(out, 4096)) {
		n = read(ends[0], out->p + out->len, 4096);
		if (n < 0 && errno != EINTR)
			break;
		out->len += n > 0 ? (size_t)n : 0;
	}
	close(ends[0]);
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int read_settings(struct server *s)
{
	const char *path = cli_option(s->cli, "config");
	struct fault f;

	path = path ? path : "/etc/dovecot/dovecot.conf";
	const char *const argv[] = { "doveconf", "-n", "-c", path, NULL };

	buf_init(&s->dovecot, TEXT_MAX);
	/* As it stands when it is what doveconf printed; else doveconf knows what it includes. */
	if (!read_input(path, &s->dovecot))
		return tell_unreadable(path);
	f = dovecot_read(buf_sv(&s->dovecot), &s->settings);
	if (!sv_starts(buf_sv(&s->dovecot), SV("# 2."))) {
		struct buf printed;

		buf_init(&printed, TEXT_MAX);
		if (run_program(argv, &printed)) {
			buf_done(&s->dovecot);
			s->dovecot = printed;
			f = dovecot_read(buf_sv(&s->dovecot), &s->settings);
		} else {
			buf_done(&printed);
		}
	}
	if (!f.kind)
		return EXIT_DONE;
	complain("doveconf -n > FILE, where Dovecot is, and --config FILE", "%s: %s", path, f.detail);
	return EXIT_FAILED;
}

static bool read_list(struct list *list, struct sv path)
{
	list->path = sv_copy_z(path);
	buf_init(&list->text, TEXT_MAX);
	if (read_input(list->path, &list->text))
		return true;
	tell_unreadable(list->path);
	return false;
}

/* complete - a name of a list as an address. False: it has no domain and none was said, or is too long. */
static bool complete(const struct server *s, struct sv name, char address[DIRECTORY_ADDRESS_MAX + 1])
{
	bool has_domain = sv_find(name, '@') != SIZE_MAX;

	if (!has_domain && !s->domain)
		return false;
	int n = snprintf(address, DIRECTORY_ADDRESS_MAX + 1, "%.*s%s%s", SV_FMT(name), has_domain ? "" : "@", has_domain ? "" : s->domain);

	return n > 0 && n <= DIRECTORY_ADDRESS_MAX;
}

/* Who may not log in: names, with or without fields behind them. */
static bool read_barred(struct server *s, struct sv path)
{
	struct list list = { .path = NULL };
	bool is_good = read_list(&list, path);
	struct sv lines = buf_sv(&list.text), line, name;
	char address[DIRECTORY_ADDRESS_MAX + 1];

	while (is_good && sv_split(&lines, '\n', &line)) {
		line = sv_trim(line);
		if (!line.len || line.p[0] == '#' || !sv_split(&line, ':', &name) || !complete(s, name, address))
			continue;
		if (s->barred_count % 64 == 0)
			s->barred = xrealloc(s->barred, (s->barred_count + 64) * sizeof(*s->barred));
		s->barred[s->barred_count++] = arena_copy(&s->names, sv_z(address));
	}
	free(list.path);
	buf_wipe(&list.text);
	return is_good;
}

static int read_users(struct server *s)
{
	const struct dovecot_settings *set = &s->settings;

	if (set->other_passdb.len)
		complain(NULL, "accounts of the passdb \"%.*s\" cannot be read: put them into a passwd-file, or make them by postroom account add",
			 SV_FMT(set->other_passdb));
	for (size_t i = 0; i < set->barred.count; i++)
		if (!read_barred(s, set->barred.list[i].path))
			return EXIT_FAILED;
	for (size_t i = 0; i < set->users.count; i++) {
		const struct dovecot_file *file = &set->users.list[i];

		if (sv_find(file->path, '%') != SIZE_MAX) {
			complain("postroom account import, for each of these files", "%.*s is another file for each user or domain",
				 SV_FMT(file->path));
			s->left_out++;
			continue;
		}
		s->users[s->user_count].scheme = file->scheme;
		if (!read_list(&s->users[s->user_count++], file->path))
			return EXIT_FAILED;
	}
	for (size_t i = 0; i < set->homes.count; i++)
		if (sv_find(set->homes.list[i].path, '%') == SIZE_MAX && !read_list(&s->homes[s->home_count++], set->homes.list[i].path))
			return EXIT_FAILED;
	return EXIT_DONE;
}

static void add_domain(struct server *s, struct sv name)
{
	struct sv clean;

	if (!name.len || s->domain_count == DOMAINS_MAX || address_domain(&s->names, name, &clean).kind)
		return;
	for (size_t i = 0; i < s->domain_count; i++)
		if (sv_eq(s->domains[i], clean))
			return;
	s->domains[s->domain_count++] = clean;
}

/* The first words of a file's lines. */
static void add_domains_of(struct server *s, struct sv path)
{
	struct list list = { .path = NULL };
	struct sv lines, line;

	s->left_out += !read_list(&list, path);
	lines = buf_sv(&list.text);
	while (sv_split(&lines, '\n', &line)) {
		size_t len = 0;

		while (len < line.len && !memchr(" \t\r", line.p[len], 3))
			len++;
		if (len && line.p[0] != '#')
			add_domain(s, sv_sub(line, 0, len));
	}
	free(list.path);
	buf_done(&list.text);
}

/* Domains as they stand, of a file, or of a map. */
static void add_domains(struct server *s, const char *setting, const char *instead)
{
	struct sv rest, word, path;
	struct buf value;

	buf_init(&value, TEXT_MAX);
	if (!postfix_value(buf_sv(&s->postfix), setting, &value) && instead)
		(void)postfix_value(buf_sv(&s->postfix), instead, &value);
	rest = buf_sv(&value);
	while (postfix_word(&rest, &word)) {
		if (postfix_map(word, &path) || (word.p[0] == '/' && (path = word).len)) {
			add_domains_of(s, path);
		} else if (sv_find(word, ':') == SIZE_MAX && sv_find(word, '$') == SIZE_MAX && sv_find(word, '/') == SIZE_MAX) {
			add_domain(s, word);
		} else if (!instead) {
			complain("postroom domain add, for each of its domains, and the same again", "%s: %.*s is no list that can be read",
				 setting, SV_FMT(word));
			s->left_out++;
		}
	}
	buf_done(&value);
}

static void add_aliases(struct server *s, const char *setting)
{
	struct sv rest, word, path;
	struct buf value;

	buf_init(&value, TEXT_MAX);
	if (postfix_value(buf_sv(&s->postfix), setting, &value)) {
		rest = buf_sv(&value);
		while (postfix_word(&rest, &word)) {
			if (!postfix_map(word, &path)) {
				complain(NULL, "%s: %.*s is no list that can be read; make its aliases by hand", setting, SV_FMT(word));
				s->left_out++;
			} else if (s->alias_count < LISTS_MAX) {
				s->left_out += !read_list(&s->aliases[s->alias_count++], path);
			}
		}
	}
	buf_done(&value);
}

/* Who has a mailbox for Postfix: only looked through. */
static void add_mailboxes(struct server *s)
{
	struct sv rest, word, path;
	struct buf value;

	buf_init(&value, TEXT_MAX);
	(void)postfix_value(buf_sv(&s->postfix), "virtual_mailbox_maps", &value);
	rest = buf_sv(&value);
	while (postfix_word(&rest, &word))
		if (postfix_map(word, &path) && s->mailbox_count < LISTS_MAX)
			s->left_out += !read_list(&s->mailboxes[s->mailbox_count++], path);
	buf_done(&value);
}

/* Settings from elsewhere tell nothing of a queue here. */
static void count_queue(struct server *s, bool is_elsewhere)
{
	struct buf value;
	bool is_set;

	buf_init(&value, PATH_MAX - 1);
	is_set = postfix_value(buf_sv(&s->postfix), "queue_directory", &value);
	if (is_set && value.len) {
		char *dir = sv_copy_z(buf_sv(&value));

		s->queued = import_behind_queue(dir);
		free(dir);
	} else if (!is_elsewhere) {
		s->queued = import_behind_queue("/var/spool/postfix");
	}
	buf_done(&value);
}

/* Postfix is optional: without it there are no aliases to be had. */
static void read_postfix(struct server *s)
{
	const char *given = cli_option(s->cli, "postfix"), *dir = given ? given : "/etc/postfix";
	const char *const argv[] = { "postconf", "-n", "-x", "-c", dir, NULL };        /* -x: what stands for $NAME */
	char path[PATH_MAX];

	buf_init(&s->postfix, TEXT_MAX);
	if (strcmp(dir, "none") == 0 || (!given && access(dir, X_OK)))
		return;
	snprintf(path, sizeof(path), "%.4000s/main.cf", dir);
	if (!run_program(argv, &s->postfix)) {
		/* Postfix was taken away, and what it would say by itself with it. */
		buf_clear(&s->postfix);
		(void)buf_appendf(&s->postfix, "default_database_type = hash\nconfig_directory = %s\n", dir);
		if (!read_input(path, &s->postfix)) {
			tell_unreadable(path);
			buf_clear(&s->postfix);
			s->left_out++;
			return;
		}
	}
	add_domains(s, "virtual_mailbox_domains", NULL);
	add_domains(s, "virtual_alias_domains", "virtual_alias_maps");  /* which is its default */
	add_aliases(s, "virtual_alias_maps");
	add_mailboxes(s);
	count_queue(s, given != NULL);
}

/* ---- people ---- */

static bool read_person(const struct server *s, struct sv line, struct dovecot_user *user, char address[DIRECTORY_ADDRESS_MAX + 1])
{
	return dovecot_read_user(line, user) && complete(s, user->name, address);
}

/* What the other passwd-file says of somebody. */
static void find_home(const struct server *s, const char *address, struct dovecot_user *found)
{
	for (size_t i = 0; i < s->home_count; i++) {
		struct sv lines = buf_sv(&s->homes[i].text), line;

		while (sv_split(&lines, '\n', &line)) {
			char other[DIRECTORY_ADDRESS_MAX + 1];
			struct dovecot_user user;

			if (!read_person(s, line, &user, other) || !sv_eq_nocase(sv_z(other), sv_z(address)))
				continue;
			found->home = found->home.len ? found->home : user.home;
			found->mail = found->mail.len ? found->mail : user.mail;
			found->path = found->path.len ? found->path : user.path;
			return;
		}
	}
}

/* Where somebody's mail lies, as templates. */
struct place {
	struct sv folder, lists, inbox; /* empty: not said */
	bool is_known, is_maildir;
};

static struct place find_place(const struct dovecot_settings *set, const struct dovecot_user *user)
{
	struct sv mail = user->mail.len ? user->mail : set->static_mail.len ? set->static_mail : set->mail_location;
	struct place at = { .lists = dovecot_part(mail, "CONTROL"), .inbox = dovecot_part(mail, "INBOX") };

	if (mail.len) {
		at.is_known = true;
		at.is_maildir = dovecot_maildir(mail, &at.folder);
	} else if (user->path.len || set->mail_path.len) {
		at = (struct place){ .folder = user->path.len ? user->path : set->mail_path, .lists = set->mail_control,
				     .inbox = set->mail_inbox, .is_known = true, .is_maildir = sv_eq(set->mail_driver, SV("maildir")) };
	}
	return at;
}

static void place_person(const struct server *s, struct person *p, struct dovecot_user user)
{
	const struct dovecot_settings *set = &s->settings;
	struct sv address = sv_z(p->address), home, folder, active;
	char home_path[PATH_MAX], path[PATH_MAX];
	struct place at;

	find_home(s, p->address, &user);
	at = find_place(set, &user);
	home = user.home.len ? user.home : set->static_home.len ? set->static_home : set->mail_home;
	if (!dovecot_expand(home, address, SV_NONE, home_path))
		home_path[0] = '\0';
	if (!at.is_known)
		p->why = "Dovecot's settings do not say where mail lies (mail_location, or mail_path)";
	else if (!at.is_maildir)
		p->why = "its mail is no Maildir: see doveadm-sync(1), or postroom import mbox or imap";
	else if (!dovecot_expand(at.folder, address, sv_z(home_path), path))
		p->why = "where its mail lies is not understood: postroom import maildir";
	else
		p->mail = xstrdup(path);
	if (at.lists.len && dovecot_expand(at.lists, address, sv_z(home_path), path))
		p->lists = xstrdup(path);
	if (p->mail && at.inbox.len && (!dovecot_expand(at.inbox, address, sv_z(home_path), path) || strcmp(path, p->mail) != 0))
		p->note = "INBOX lies elsewhere (INBOX=, or mail_inbox_path) and is not taken: postroom import maildir or mbox";
	dovecot_sieve(set, &folder, &active);
	if (dovecot_expand(folder, address, sv_z(home_path), path))
		p->scripts = xstrdup(path);
	if (dovecot_expand(active, address, sv_z(home_path), path))
		p->active = xstrdup(path);
}

static void find_people(struct server *s)
{
	for (size_t i = 0; i < s->user_count; i++) {
		struct sv lines = buf_sv(&s->users[i].text), line;

		while (sv_split(&lines, '\n', &line)) {
			char address[DIRECTORY_ADDRESS_MAX + 1];
			struct dovecot_user user;

			if (!read_person(s, line, &user, address))
				continue;
			add_domain(s, sv_sub(sv_z(address), sv_rfind(sv_z(address), '@') + 1, SIZE_MAX));
			if (s->person_count % 64 == 0)
				s->people = xrealloc(s->people, (s->person_count + 64) * sizeof(*s->people));
			struct person *p = &s->people[s->person_count++];

			*p = (struct person){ .address = xstrdup(address) };
			s->addresses = xrealloc(s->addresses, s->person_count * sizeof(*s->addresses));
			s->addresses[s->person_count - 1] = sv_z(p->address);
			place_person(s, p, user);
		}
	}
}

/* ---- doing ---- */

static void tell(struct server *s, const char *what, const char *whose, const char *from, const struct bulk_counts *counts,
		 struct sv notes)
{
	table_sv(s->table, sv_z(what));
	table_sv(s->table, sv_z(whose));
	table_sv(s->table, sv_z(from));
	table_u64(s->table, counts->taken);
	table_u64(s->table, counts->known);
	table_u64(s->table, counts->refused);
	table_sv(s->table, notes);
	s->left_out += counts->refused;
}

static int make_domains(struct server *s, struct directory *dir)
{
	int code = EXIT_DONE;

	for (size_t i = 0; i < s->domain_count && code == EXIT_DONE; i++) {
		struct bulk_counts counts = { 1, 0, 0 };
		struct directory_domain there;
		const char *name = s->domains[i].p;
		struct fault f = directory_domain_get(dir, s->domains[i], &there);

		if (!f.kind)
			counts = (struct bulk_counts){ 0, 1, 0 };
		else if (f.kind == FAULT_NOT_FOUND && !s->is_dry)
			f = dkimkey_make(instance_path(s->cli->instance, INSTANCE_KEYS), name);
		else if (f.kind == FAULT_NOT_FOUND)
			f = FAULT_OK;
		if (!f.kind && counts.taken && !s->is_dry)
			f = directory_domain_add(dir, s->domains[i]);
		code = cli_fault(name, f);
		tell(s, "domain", name, "", &counts, SV_NONE);
	}
	return code;
}

static int take_list(struct server *s, const struct list *list, bool is_users)
{
	struct bulk_source source = { .path = list->path, .domain = s->domain, .is_dry = s->is_dry,
				      .planned = s->domains, .planned_count = s->domain_count,
				      .accounts = s->addresses, .account_count = s->person_count,
				      .barred = s->barred, .barred_count = s->barred_count };
	struct bulk_counts counts = { 0, 0, 0 };
	int code = EXIT_DONE;

	if (list->text.len) {
		source.file = fmemopen(list->text.p, list->text.len, "r");
		if (!source.file)
			return cli_fault(list->path, fault_errno("open", list->path));
		code = is_users ? account_import_from(s->cli, &source, list->scheme, &counts) :
				  alias_import_from(s->cli, &source, &counts);
		fclose(source.file);
	}
	tell(s, is_users ? "accounts" : "aliases", "", list->path, &counts, SV_NONE);
	return code == EXIT_FAILED && counts.refused ? EXIT_DONE : code;        /* told by line, and counted */
}

struct mail_sum {
	struct bulk_counts counts;
	struct buf notes;
	struct progress progress;
};

static void show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct mail_sum *sum = arg;

	progress_update(&sum->progress, done, total);
}

static void sum_mailbox(void *arg, const struct import_result *r)
{
	struct mail_sum *sum = arg;

	sum->counts.taken += r->imported;
	sum->counts.known += r->present;
	sum->counts.refused += r->left_out;
	if (r->notes.len)
		(void)buf_appendf(&sum->notes, "%s%.*s: %.*s", sum->notes.len ? "; " : "", SV_FMT(r->mailbox), SV_FMT(r->notes));
}

/* Remember it, and where all of them lie. */
static void note_unreadable(struct server *s, const char *path)
{
	size_t len = 0;

	if (!s->unreadable++)
		s->unreadable_below = xstrdup(path);
	while (path[len] && path[len] == s->unreadable_below[len])
		len++;
	if (s->unreadable_below[len])           /* up to the last slash that both have */
		while (len && s->unreadable_below[len] != '/')
			len--;
	s->unreadable_below[len] = '\0';
}

static void tell_unreadable_mail(const struct server *s)
{
	const struct passwd *owner = getpwuid(geteuid());
	char next[PATH_MAX + 100];

	if (!s->unreadable)
		return;
	snprintf(next, sizeof(next), "chown -R %s: %s, once Dovecot is stopped, and the same again", owner ? owner->pw_name : "USER",
		 s->unreadable_below);
	complain(next, "%zu folder%s can only be moved by somebody who may read them: Postroom runs as the user %s", s->unreadable,
		 s->unreadable == 1 ? "" : "s", owner ? owner->pw_name : "USER");
}

static void take_mail(struct server *s, const struct person *p, bool has_account)
{
	struct mail_sum sum = { .counts = { 0, 0, 0 } };
	const struct import_events events = { show_progress, sum_mailbox, &sum };
	char format[256];
	struct import_options options = { .path = p->mail, .adopt = cli_option(s->cli, "adopt") != NULL, .dry_run = s->is_dry,
					  .skip_compressed = true };

	options.lists = p->lists;
	buf_init(&sum.notes, 4096);
	if (p->note) {
		sum.counts.refused++;
		(void)buf_append(&sum.notes, sv_z(p->note));
	}
	if (s->settings.uidl_format.len && s->settings.uidl_format.len < sizeof(format)) {
		snprintf(format, sizeof(format), "%.*s", SV_FMT(s->settings.uidl_format));
		options.uidl_format = format;
	}
	if (!p->mail) {
		sum.counts.refused = 1;
		(void)buf_append(&sum.notes, sv_z(p->why));
	} else if (access(p->mail, F_OK) && errno == ENOENT) {
		(void)buf_append(&sum.notes, SV("never had mail"));
	} else if (access(p->mail, R_OK | X_OK)) {
		sum.counts.refused = 1;
		(void)buf_appendf(&sum.notes, "not readable for us: %s", strerrordesc_np(errno));
		note_unreadable(s, p->mail);
	} else if (!has_account) {
		(void)buf_append(&sum.notes, SV("is looked at once the account is there"));
	} else {
		progress_start(&sum.progress, p->address, "messages");
		if (import_maildir(s->cli, p->address, &options, &events) != EXIT_DONE)
			sum.counts.refused++;
		progress_end(&sum.progress);
	}
	tell(s, "mail", p->address, p->mail, &sum.counts, buf_sv(&sum.notes));
	buf_done(&sum.notes);
}

/* One script: kept as it is, also when it asks for what we do not have. */
static void take_script(struct server *s, struct open_scripts *open, struct sv name, const char *path, struct bulk_counts *counts,
			struct buf *notes)
{
	struct buf text, there;
	struct fault f = FAULT_OK;

	buf_init(&text, SIEVE_SCRIPT_MAX + 1);
	buf_init(&there, SIEVE_SCRIPT_MAX + 1);
	if (!script_name_is_good(name) || !read_input(path, &text)) {
		counts->refused++;
		(void)buf_appendf(notes, "%s%.*s cannot be read", notes->len ? "; " : "", SV_FMT(name));
	} else if (open && scripts_get(open->scripts, name, &there).kind != FAULT_NOT_FOUND) {
		counts->known++;
	} else {
		if (open && !s->is_dry)
			f = scripts_put(open->scripts, name, buf_sv(&text), &open->quota);
		counts->taken += !f.kind;
		counts->refused += f.kind != FAULT_NONE;
		if (f.kind)
			(void)buf_appendf(notes, "%s%.*s: %s", notes->len ? "; " : "", SV_FMT(name), f.detail ? f.detail : fault_name(f.kind));
	}
	buf_done(&text);
	buf_done(&there);
}

/* The one that Dovecot's link names is active here too, if nothing is yet and it can run. */
static void activate(struct server *s, struct open_scripts *open, struct sv name, struct buf *notes)
{
	struct sieve_errors errors;
	struct buf was, text;

	buf_init(&was, SCRIPT_NAME_MAX + 1);
	buf_init(&text, SIEVE_SCRIPT_MAX + 1);
	if (open && (scripts_active_name(open->scripts, &was).kind || was.len)) {
		(void)buf_appendf(notes, "%s%.*s is active", notes->len ? "; " : "", SV_FMT(buf_sv(&was)));
	} else if (!open || s->is_dry) {
		(void)buf_appendf(notes, "%s%.*s would be active", notes->len ? "; " : "", SV_FMT(name));
	} else if (scripts_get(open->scripts, name, &text).kind) {
		(void)buf_appendf(notes, "%sthe active one, %.*s, is not there", notes->len ? "; " : "", SV_FMT(name));
		s->left_out++;
	} else if (filter_check(open->filters, open->scripts, buf_sv(&text), &errors).kind) {
		(void)buf_appendf(notes, "%s%.*s is kept and not active: line %u: %s", notes->len ? "; " : "", SV_FMT(name),
				  errors.list[0].line, errors.list[0].text);
		s->left_out++;
	} else if (!scripts_activate(open->scripts, name).kind) {
		(void)buf_appendf(notes, "%s%.*s is active", notes->len ? "; " : "", SV_FMT(name));
	}
	buf_done(&was);
	buf_done(&text);
}

static void take_scripts(struct server *s, const struct person *p, bool has_account)
{
	struct bulk_counts counts = { 0, 0, 0 };
	struct open_scripts open;
	char path[PATH_MAX], target[PATH_MAX];
	const struct dirent *entry;
	struct buf notes;

	errno = 0;
	DIR *dir = p->scripts ? opendir(p->scripts) : NULL;
	bool is_shut = p->scripts && !dir && errno == EACCES;
	ssize_t len = p->active ? readlink(p->active, target, sizeof(target)) : -1;
	struct stat st;
	bool is_file = p->active && !lstat(p->active, &st) && S_ISREG(st.st_mode);

	if (is_shut && p->mail && !access(p->mail, R_OK | X_OK)) {        /* else that was told for the mail */
		counts.refused = 1;
		tell(s, "scripts", p->address, p->scripts, &counts, SV("not readable for us"));
		note_unreadable(s, p->scripts);
	}
	if (!dir && !is_file)
		return;
	if (has_account && open_scripts(s->cli, p->address, &open) != EXIT_DONE) {
		s->left_out++;
		has_account = false;
	}
	buf_init(&notes, 4096);
	while (dir && (entry = readdir(dir))) {
		struct sv name = sv_z(entry->d_name);

		if (!sv_ends(name, SV(".sieve")) || name.p[0] == '.' ||
		    snprintf(path, sizeof(path), "%.3800s/%s", p->scripts, entry->d_name) >= (int)sizeof(path))
			continue;
		name.len -= 6;
		take_script(s, has_account ? &open : NULL, name, path, &counts, &notes);
	}
	struct sv active = sv_from(target, len > 0 ? (size_t)len : 0);

	active = sv_sub(active, sv_rfind(active, '/') + 1, SIZE_MAX);
	if (sv_ends(active, SV(".sieve")))
		active.len -= 6;
	if (is_file) {          /* as maildir/scripts.h calls it */
		active = SV("dovecot.orig");
		take_script(s, has_account ? &open : NULL, active, p->active, &counts, &notes);
	}
	if (active.len)
		activate(s, has_account ? &open : NULL, active, &notes);
	tell(s, "scripts", p->address, p->scripts ? p->scripts : p->active, &counts, buf_sv(&notes));
	buf_done(&notes);
	if (has_account)
		close_scripts(&open);
	if (dir)
		closedir(dir);
}

static int do_all(struct server *s)
{
	struct directory *dir = NULL;
	int code = open_directory(s->cli, &dir);

	if (code != EXIT_DONE)
		return code;
	code = make_domains(s, dir);
	for (size_t i = 0; i < s->user_count && code == EXIT_DONE; i++)
		code = take_list(s, &s->users[i], true);
	for (size_t i = 0; i < s->alias_count && code == EXIT_DONE; i++)
		code = take_list(s, &s->aliases[i], false);
	for (size_t i = 0; i < s->person_count && code == EXIT_DONE; i++) {
		struct directory_account account;
		bool has_account = !directory_account_get(dir, sv_z(s->people[i].address), &account).kind;

		if (!has_account && !s->is_dry)
			continue;       /* refused above, with its line */
		take_mail(s, &s->people[i], has_account);
		take_scripts(s, &s->people[i], has_account);
	}
	directory_close(&dir);
	return code;
}

static void lists_done(struct list *lists, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		free(lists[i].path);
		buf_wipe(&lists[i].text);
	}
}

static void server_done(struct server *s)
{
	lists_done(s->users, s->user_count);
	lists_done(s->homes, s->home_count);
	lists_done(s->aliases, s->alias_count);
	lists_done(s->mailboxes, s->mailbox_count);
	for (size_t i = 0; i < s->person_count; i++) {
		free(s->people[i].address);
		free(s->people[i].mail);
		free(s->people[i].lists);
		free(s->people[i].scripts);
		free(s->people[i].active);
	}
	free(s->people);
	free(s->addresses);
	free(s->unreadable_below);
	free(s->barred);
	free(s->realm);
	buf_done(&s->dovecot);
	buf_done(&s->postfix);
	arena_done(&s->names);
	free(s);
}

/* What both servers' settings say, and no table above has. */
static void tell_behind(struct server *s)
{
	struct sv mailboxes[LISTS_MAX];
	struct import_behind behind = { .cli = s->cli, .dovecot = &s->settings, .postfix = buf_sv(&s->postfix), .domains = s->domains,
					.domain_count = s->domain_count, .accounts = s->addresses, .account_count = s->person_count,
					.queued = s->queued, .mailboxes = mailboxes, .mailbox_count = s->mailbox_count };

	for (size_t i = 0; i < s->mailbox_count; i++)
		mailboxes[i] = buf_sv(&s->mailboxes[i].text);
	s->left_out += import_behind_tell(&behind);
}

int import_dovecot(struct cli *cli)
{
	static const struct column columns[] = {
		{ "WHAT", "what", COLUMN_TEXT, NULL },
		{ "FOR", "for", COLUMN_TEXT, NULL },
		{ "FROM", "from", COLUMN_TEXT, NULL },
		{ "TAKEN", "taken", COLUMN_NUMBER, NULL },
		{ "THERE", "already_there", COLUMN_NUMBER, NULL },
		{ "LEFT OUT", "left_out", COLUMN_NUMBER, NULL },
		{ "NOTES", "notes", COLUMN_TEXT, NULL },
	};
	struct server *s = xcalloc(1, sizeof(*s));
	int code;

	s->cli = cli;
	s->is_dry = cli_option(cli, "dry-run") != NULL;
	arena_init(&s->names, (size_t)4 << 20);
	code = read_settings(s);
	if (code == EXIT_DONE) {
		s->realm = s->settings.realm.len ? sv_copy_z(s->settings.realm) : NULL;
		s->domain = cli_option(cli, "domain") ? cli_option(cli, "domain") : s->realm;
		code = read_users(s);
	}
	if (code == EXIT_DONE) {
		read_postfix(s);
		find_people(s);
		code = cli_open_instance(cli);
	}
	if (code == EXIT_DONE) {
		s->table = table_new(columns, ARRAY_LEN(columns), cli->json);
		code = do_all(s);
		table_end(&s->table, "Nothing was found to be moved.");
		tell_unreadable_mail(s);
		tell_behind(s);
	}
	if (code == EXIT_DONE && s->is_dry && !cli->json)
		printf("Nothing was changed: this was a dry run.\n");
	if (code == EXIT_DONE && s->left_out) {
		complain("look at NOTES and at the lines above", "%llu things were left out", (unsigned long long)s->left_out);
		code = EXIT_FAILED;
	}
	server_done(s);
	return code;
}
