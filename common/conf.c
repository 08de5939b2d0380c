/* Reading postroom.conf: lines, words, blocks, and every error in one run. */
#include "common/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/conf_private.h"
#include "common/expiry.h"
#include "common/ldapauth.h"
#include "common/memory.h"

#include "common/banned.h"

struct parser {
	struct conf *conf;
	struct conf_report *report;
	const char *file;
	const char *base_dir;
	unsigned line;
	struct buf scratch;             /* the words of this line, without quotes */
	struct sv words[CONF_WORDS_MAX];
	size_t word_count;
	bool opens;                     /* the line ends in { */
	/* the block that is open */
	bool in_block;
	unsigned block_line;
	struct conf_listener row;
	unsigned *row_line;             /* per option of the table: where this row set it */
};

/* ---- the report ---- */

static void report_add(struct conf_report *report, const char *file, unsigned line, struct sv text)
{
	struct conf_error *e;

	if (report->count == CONF_ERRORS_MAX) {
		report->more = true;
		return;
	}
	report->errors = xrealloc(report->errors, (report->count + 1) * sizeof(*report->errors));
	e = &report->errors[report->count++];
	e->file = xstrdup(file);
	e->line = line;
	e->text = sv_copy_z(text);
}

static void complain_at(struct parser *p, unsigned line, const char *format, ...) PRINTF_LIKE(3, 4);

static void complain_at(struct parser *p, unsigned line, const char *format, ...)
{
	struct buf text;
	va_list ap;

	buf_init(&text, 4096);
	va_start(ap, format);
	(void)buf_vappendf(&text, format, ap);
	va_end(ap);
	report_add(p->report, p->file, line, buf_sv(&text));
	buf_done(&text);
}

#define complain(p, ...) complain_at((p), (p)->line, __VA_ARGS__)

void conf_report_done(struct conf_report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->errors[i].file);
		free(report->errors[i].text);
	}
	free(report->errors);
	*report = (struct conf_report){ NULL, 0, false };
}

/* ---- words ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* A quoted word; *line starts behind the opening quote and ends behind the closing one. */
static bool read_quoted(struct parser *p, struct sv *line)
{
	while (line->len) {
		char c = line->p[0];

		sv_skip(line, 1);
		if (c == '"') {
			if (!line->len || is_blank(line->p[0]))
				return true;
			complain(p, "a space is missing behind the closing quote");
			return false;
		}
		if (c == '\\') {
			if (!line->len || (line->p[0] != '"' && line->p[0] != '\\')) {
				complain(p, "\\ in quotes stands before \" or \\ only");
				return false;
			}
			c = line->p[0];
			sv_skip(line, 1);
		}
		(void)buf_append_c(&p->scratch, c);
	}
	complain(p, "the closing quote is missing");
	return false;
}

/* Words of a line into p->words; a { at the end is not one of them. */
static bool read_words(struct parser *p, struct sv line)
{
	size_t room = line.len;

	p->word_count = 0;
	p->opens = false;
	buf_clear(&p->scratch);
	/* The words together are no longer than the line, so the buffer never moves below. */
	(void)buf_reserve(&p->scratch, room + 1);
	for (;;) {
		size_t start = p->scratch.len;

		while (line.len && is_blank(line.p[0]))
			sv_skip(&line, 1);
		if (!line.len || line.p[0] == '#')
			return true;
		if (p->opens) {
			complain(p, "nothing may stand behind { on its line");
			return false;
		}
		if (line.p[0] == '{' && (line.len == 1 || is_blank(line.p[1]))) {
			p->opens = true;
			sv_skip(&line, 1);
			continue;
		}
		if (p->word_count == CONF_WORDS_MAX) {
			complain(p, "more than %d words on one line", CONF_WORDS_MAX);
			return false;
		}
		if (line.p[0] == '"') {
			sv_skip(&line, 1);
			if (!read_quoted(p, &line))
				return false;
		} else {
			while (line.len && !is_blank(line.p[0])) {
				if (line.p[0] == '"') {
					complain(p, "a quote in the middle of a word; quote the "
						    "whole word");
					return false;
				}
				(void)buf_append_c(&p->scratch, line.p[0]);
				sv_skip(&line, 1);
			}
		}
		p->words[p->word_count++] = sv_from(p->scratch.p + start, p->scratch.len - start);
	}
}

static bool line_is_text(struct parser *p, struct sv line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.p[i];

		if ((c < ' ' && c != '\t') || c == 0x7f) {
			complain(p, "octet 0x%02x does not belong into a text file", c);
			return false;
		}
	}
	if (!sv_is_utf8(line)) {
		complain(p, "the line is not UTF-8");
		return false;
	}
	return true;
}

/* ---- options ---- */

static void set_option(struct parser *p, const struct conf_option *option, void *base,
		       unsigned *set_line)
{
	struct buf why;

	if (*set_line) {
		complain(p, "%s is given twice; the first time in line %u", option->name,
			 *set_line);
		return;
	}
	buf_init(&why, 2048);
	*set_line = p->line;
	if (!conf_value_set(option, base, p->words + 1, p->word_count - 1, p->base_dir, &why))
		complain(p, "%s: %.*s", option->name, SV_FMT(buf_sv(&why)));
	buf_done(&why);
}

/* What stands behind "listener." in a name, or NULL. */
static const char *member_of(const char *name)
{
	struct sv prefix = SV(CONF_BLOCK ".");

	return sv_starts(sv_z(name), prefix) ? name + prefix.len : NULL;
}

/* The row of a block's member, by the name it has inside the block. */
static const struct conf_option *find_member(struct sv name)
{
	char memory[sizeof(CONF_BLOCK) + CONF_NAME_MAX];
	struct buf full = { .p = memory, .cap = sizeof(memory), .max = sizeof(memory) };

	if (!buf_append(&full, SV(CONF_BLOCK ".")) || !buf_append(&full, name))
		return NULL;
	return conf_option_find(buf_sv(&full));
}

static void unknown_option(struct parser *p, struct sv name)
{
	struct sv shown = sv_sub(name, 0, 80);
	const char *nearest = conf_option_nearest(name);
	const struct conf_former *former = conf_former_find(name);

	if (former)
		complain(p, "there is no option %s any more: %s; `postroom conf upgrade` makes the line a comment", former->name,
			 former->instead);
	else if (find_member(name))
		complain(p, "%.*s belongs into a %s block", SV_FMT(shown), CONF_BLOCK);
	else if (nearest && !member_of(nearest))
		complain(p, "unknown option \"%.*s\"; did you mean %s?", SV_FMT(shown), nearest);
	else
		complain(p, "unknown option \"%.*s\"; `postroom conf describe` lists all",
			 SV_FMT(shown));
}

static void read_option(struct parser *p)
{
	const struct conf_option *option = conf_option_find(p->words[0]);

	if (!option || member_of(option->name))
		unknown_option(p, p->words[0]);
	else
		set_option(p, option, p->conf,
			   &p->conf->private->set_line[conf_option_index(option)]);
}

static void read_member(struct parser *p)
{
	const struct conf_option *option = find_member(p->words[0]);

	if (option)
		set_option(p, option, &p->row, &p->row_line[conf_option_index(option)]);
	else if (conf_option_find(p->words[0]))
		complain(p,
			 "%.*s does not belong into a %s block (opened in line %u; is its } "
			 "missing?)",
			 SV_FMT(p->words[0]), CONF_BLOCK, p->block_line);
	else
		complain(
			p,
			"unknown member \"%.*s\"; a %s block has kind, address, port, path and tls",
			SV_FMT(sv_sub(p->words[0], 0, 80)), CONF_BLOCK);
}

/* ---- listeners ---- */

static void listener_done(struct conf_listener *row)
{
	free(row->name);
	free(row->address);
	free(row->path);
	*row = (struct conf_listener){ .name = NULL };
}

/* Takes over what *row owns. */
static void listener_add(struct conf *conf, struct conf_listener *row)
{
	conf->listeners =
		xrealloc(conf->listeners, (conf->listener_count + 1) * sizeof(*conf->listeners));
	conf->listeners[conf->listener_count++] = *row;
	*row = (struct conf_listener){ .name = NULL };
}

static const struct conf_kind *kind_row(enum conf_listener_kind kind)
{
	for (size_t i = 0; i < conf_kind_count; i++)
		if (conf_kinds[i].kind == kind)
			return &conf_kinds[i];
	BUG("listener kind %d", kind);
}

static unsigned member_line(const struct parser *p, const char *name)
{
	const struct conf_option *option = conf_option_find(sv_z(name));

	return option ? p->row_line[conf_option_index(option)] : 0;
}

static void block_open(struct parser *p)
{
	struct sv name = p->word_count > 1 ? p->words[1] : SV_NONE;

	if (!sv_eq(p->words[0], SV(CONF_BLOCK)))
		complain(p, "unknown block \"%.*s\"; there is only %s NAME { ... }",
		         SV_FMT(sv_sub(p->words[0], 0, 80)), CONF_BLOCK);
	else if (p->word_count != 2 || !name.len || name.len > CONF_NAME_MAX)
		complain(p, "a %s block has one name: %s NAME {", CONF_BLOCK, CONF_BLOCK);
	for (size_t i = 0; i < p->conf->listener_count; i++)
		if (name.len && sv_eq(name, sv_z(p->conf->listeners[i].name)))
			complain(p, "there is a %s %.*s already", CONF_BLOCK, SV_FMT(name));
	/* The members are read whatever was wrong, so that their errors are told in the same run.
	 */
	listener_done(&p->row);
	p->row.name = sv_copy_z(name);
	size_t count;
	conf_options(&count);
	memset(p->row_line, 0, count * sizeof(*p->row_line));
	p->in_block = true;
	p->block_line = p->line;
}

static bool is_address(const char *text)
{
	struct ipnet net;

	return strcmp(text, "*") == 0 || (!strchr(text, '/') && ipnet_parse(sv_z(text), &net));
}

static void block_close(struct parser *p)
{
	struct conf_listener *row = &p->row;
	const struct conf_kind *kind;
	unsigned line = p->block_line;

	p->in_block = false;
	if (!row->kind) {
		if (!member_line(p, CONF_BLOCK ".kind"))
			complain_at(p, line, "%s %s has no kind", CONF_BLOCK, row->name);
		listener_done(row);
		return;
	}
	kind = kind_row(row->kind);
	if (row->path &&
	    (member_line(p, CONF_BLOCK ".address") || member_line(p, CONF_BLOCK ".port")))
		complain_at(p, line,
			    "%s %s has a path and an address or port; it is one or the other",
			    CONF_BLOCK, row->name);
	if (row->path && row->kind != LISTENER_LMTP && !kind->is_path_only)
		complain_at(p, line, "%s %s: only lmtp and local listen on a path", CONF_BLOCK, row->name);
	if (!row->path && kind->is_path_only)
		complain_at(p, line, "%s %s: kind %s needs a path", CONF_BLOCK, row->name, kind->name);
	if (row->address && !is_address(row->address))
		complain_at(p, member_line(p, CONF_BLOCK ".address"),
			    "\"%s\" is not a numeric address, nor *", row->address);
	if (!member_line(p, CONF_BLOCK ".tls"))
		row->tls = kind->tls;
	else if ((row->tls == CONF_TLS_IMPLICIT) != (kind->tls == CONF_TLS_IMPLICIT))
		complain_at(p, member_line(p, CONF_BLOCK ".tls"),
			    "tls %s does not fit kind %s; with implicit the kind is %s",
			    conf_tls_mode_name(row->tls), kind->name,
			    "submissions, imaps, pop3s or https");
	if (row->path) {
		row->port = 0;
	} else {
		if (!row->address)
			row->address = xstrdup(kind->loopback_only ? "127.0.0.1" : "*");
		/* The offset may stand further down in the file: added at the end. */
		if (!member_line(p, CONF_BLOCK ".port"))
			row->port = UINT64_MAX;
	}
	listener_add(p->conf, row);
}

static void default_listener(struct conf *conf, const struct conf_kind *kind, const char *address,
			     size_t nth)
{
	struct conf_listener row = { .kind = kind->kind, .port = UINT64_MAX, .tls = kind->tls };
	struct buf name;
	size_t len;

	buf_init(&name, CONF_NAME_MAX);
	(void)buf_appendf(&name, nth ? "%s-%zu" : "%s", kind->name, nth + 1);
	(void)buf_append_c(&name, '\0');
	row.name = buf_take(&name, &len);
	row.address = xstrdup(address);
	listener_add(conf, &row);
}

static void default_socket(struct conf *conf, enum conf_listener_kind kind, const char *name, const char *folder,
			   const char *file)
{
	struct conf_listener socket = { .kind = kind };
	struct buf path;
	size_t len;

	buf_init(&path, 4096);
	(void)buf_appendf(&path, "%s/%s", folder, file);
	(void)buf_append_c(&path, '\0');
	socket.path = buf_take(&path, &len);
	socket.name = xstrdup(name);
	listener_add(conf, &socket);
}

static bool is_none(const struct conf_list *list)
{
	return list->count == 1 && !strcmp(list->items[0], "none");
}

static void default_listeners(struct conf *conf, const char *base_dir)
{
	for (size_t i = 0; i < conf->legacy.bind.count && !is_none(&conf->legacy.bind); i++)
		default_listener(conf, kind_row(LISTENER_LEGACY), conf->legacy.bind.items[i], i);
	for (size_t k = 0; k < conf_kind_count; k++) {
		if (conf_kinds[k].is_path_only || conf_kinds[k].is_asked_for || (!conf->web.enabled && (conf_kinds[k].kind & LISTENERS_WEBD)))
			continue;
		if (conf_kinds[k].loopback_only) {
			default_listener(conf, &conf_kinds[k], "127.0.0.1", 0);
			continue;
		}
		for (size_t i = 0; i < conf->host.bind.count; i++)
			default_listener(conf, &conf_kinds[k], conf->host.bind.items[i], i);
	}
	default_socket(conf, LISTENER_LMTP, "lmtp-socket", base_dir, "run/lmtp.sock");
	/* Programs of any user reach the instance of the host; nobody else's folder is open to them. */
	if (strcmp(base_dir, "/var/lib/postroom") == 0)
		default_socket(conf, LISTENER_LOCAL, "local-socket", POSTROOM_RUNDIR, "submit.sock");
	else
		default_socket(conf, LISTENER_LOCAL, "local-socket", base_dir, "run/submit.sock");
}

/* ---- the whole ---- */

static void read_line(struct parser *p, struct sv line)
{
	if (!line_is_text(p, line) || !read_words(p, line))
		return;
	if (p->opens && !p->word_count) {
		complain(p, "{ without a block's name before it");
	} else if (p->opens && p->in_block) {
		complain(p, "a block inside a block; the } of line %u's is missing", p->block_line);
	} else if (p->opens) {
		block_open(p);
	} else if (!p->word_count) {
		return;
	} else if (sv_eq(p->words[0], SV("}"))) {
		if (!p->in_block)
			complain(p, "} without a block");
		else if (p->word_count > 1)
			complain(p, "nothing may stand behind } on its line");
		if (p->in_block)
			block_close(p);
	} else if (p->in_block) {
		read_member(p);
	} else {
		read_option(p);
	}
}

static unsigned line_of(const struct conf *conf, const char *name)
{
	const struct conf_option *option = conf_option_find(sv_z(name));

	return option ? conf->private->set_line[conf_option_index(option)] : 0;
}

/* Letters, digits and hyphens in labels of 1 to 63 octets (RFC 5321 §4.1.2, RFC 1123 §2.1). */
static bool is_hostname(struct sv name)
{
	struct sv label;
	bool any = false;

	if (name.len > 253)
		return false;
	while (sv_split(&name, '.', &label)) {
		any = true;
		if (!label.len || label.len > 63 || label.p[0] == '-' ||
		    label.p[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!ascii_is_alpha(label.p[i]) && !ascii_is_digit(label.p[i]) &&
			    label.p[i] != '-')
				return false;
	}
	return any;
}

static void default_hostname(struct conf *conf)
{
	char name[256] = "";

	if (gethostname(name, sizeof(name) - 1) != 0 || !is_hostname(sv_z(name)))
		name[0] = '\0';
	conf->host.hostname = xstrdup(name[0] ? name : "localhost");
}

/* Pairs of which the first may not be larger than the second. */
static void check_pairs(struct parser *p)
{
	static const char *const pairs[][2] = {
		{ "failure-delay", "failure-delay-max" },
		{ "strangers-per-address", "strangers-per-network" },
		{ "smtp-bad-commands", "smtp-bad-commands-max" },
		{ "smtp-unknown-recipients", "smtp-unknown-recipients-max" },
		{ "header-field-size", "header-size" },
		{ "imap-line-prelogin", "imap-line" },
		{ "imap-literal", "imap-command" },
		{ "imap-literal-prelogin", "imap-literal" },
		{ "queue-retry", "queue-retry-max" },
		{ "relay-connections-per-destination", "relay-connections" },
	};

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++) {
		const struct conf_option *small = conf_option_find(sv_z(pairs[i][0]));
		const struct conf_option *large = conf_option_find(sv_z(pairs[i][1]));
		const char *base = (const char *)p->conf;
		uint64_t a, b;

		memcpy(&a, base + small->offset, sizeof(a));
		memcpy(&b, base + large->offset, sizeof(b));
		if (a > b) {
			unsigned line = line_of(p->conf, pairs[i][0]),
				 other = line_of(p->conf, pairs[i][1]);

			complain_at(p, line > other ? line : other, "%s is larger than %s",
				    pairs[i][0], pairs[i][1]);
		}
	}
}

static void check_store(struct parser *p)
{
	const struct conf_store *store = &p->conf->store;
	struct expiry_rule rule;
	uint64_t percent;

	for (size_t i = 0; i < store->expire.count && !is_none(&store->expire); i++)
		if (!expiry_parse(sv_z(store->expire.items[i]), &rule))
			complain_at(p, line_of(p->conf, "expire"),
				    "expire: \"%s\" is no rule; expected one such as trash=30d or "
				    "Lists/News=12w, at least 1h",
				    store->expire.items[i]);
	for (size_t i = 0; i < store->quota_warnings.count && !is_none(&store->quota_warnings); i++)
		if (!sv_to_u64(sv_z(store->quota_warnings.items[i]), &percent) || percent < 1 || percent > 100)
			complain_at(p, line_of(p->conf, "quota-warnings"),
				    "quota-warnings: \"%s\" is not a number from 1 to 100",
				    store->quota_warnings.items[i]);
}

static void check_issuer(struct parser *p)
{
	const struct conf_auth *auth = &p->conf->auth;

	if (!*auth->oauth_issuer)
		return;
	if (!sv_starts(sv_z(auth->oauth_issuer), SV("https://")) || auth->oauth_issuer[8] == '\0')
		complain_at(p, line_of(p->conf, "oauth-issuer"),
			    "oauth-issuer: \"%s\" is no such URL; expected one such as https://login.example.org/realms/staff",
			    auth->oauth_issuer);
	if (!*auth->oauth_audience)
		complain_at(p, line_of(p->conf, "oauth-issuer"),
			    "oauth-issuer needs oauth-audience: the name under which the issuer knows this mail server");
}

static void check_template(struct parser *p, const char *option, const char *template)
{
	struct buf text;

	buf_init(&text, LDAPAUTH_TEXT_MAX);
	if (*template && !ldapauth_expand(template, SV("a@b"), &text))
		complain_at(p, line_of(p->conf, option), "%s: \"%s\" has a %% that is none of %%u, %%n, %%d and %%%%", option, template);
	buf_done(&text);
}

static void check_ldap(struct parser *p)
{
	const struct conf_auth *auth = &p->conf->auth;
	struct ldapauth_place place;

	check_template(p, "ldap-dn", auth->ldap_dn);
	check_template(p, "ldap-filter", auth->ldap_filter);
	if (*auth->ldap_url && !ldapauth_parse(sv_z(auth->ldap_url), &place))
		complain_at(p, line_of(p->conf, "ldap-url"),
			    "ldap-url: \"%s\" is no such URL; expected one such as ldaps://ldap.example.org", auth->ldap_url);
	if (!*auth->ldap_url && !is_none(&auth->ldap_domains))
		complain_at(p, line_of(p->conf, "ldap-domains"), "ldap-domains needs ldap-url: which directory knows their passwords");
	if (*auth->ldap_url && !*auth->ldap_dn && !*auth->ldap_base)
		complain_at(p, line_of(p->conf, "ldap-url"), "ldap-url needs ldap-dn, or ldap-base to search below");
}

#define SOCKET_PATH_MAX 107             /* of sockaddr_un, without its end */

static bool is_in(const struct conf_list *list, const char *word)
{
	for (size_t i = 0; i < list->count; i++)
		if (sv_eq_nocase(sv_z(list->items[i]), sv_z(word)))
			return true;
	return false;
}

/* check_saslauthd - a password is in one place. */
static void check_saslauthd(struct parser *p)
{
	const struct conf_list *ldap = &p->conf->auth.ldap_domains, *domains = &p->conf->auth.saslauthd_domains;

	if (strlen(p->conf->auth.saslauthd_socket) > SOCKET_PATH_MAX)
		complain_at(p, line_of(p->conf, "saslauthd-socket"), "saslauthd-socket: the path of a socket has at most %d octets", SOCKET_PATH_MAX);
	if (is_none(ldap) || is_none(domains))
		return;
	for (size_t i = 0; i < domains->count; i++)
		if (is_in(ldap, domains->items[i]) || is_in(ldap, "all") || is_in(domains, "all"))
			complain_at(p, line_of(p->conf, "saslauthd-domains"),
				    "saslauthd-domains: \"%s\" is in ldap-domains, too: a password is asked for in one place", domains->items[i]);
}

static void check_addresses(struct parser *p, const char *option, const struct conf_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (!is_address(list->items[i]))
			complain_at(p, line_of(p->conf, option), "%s: \"%s\" is not a numeric address, nor *", option, list->items[i]);
}

/* check_legacy - a listener that lets nobody in, or whose devices can reach nobody, is not what was meant. */
static void check_legacy(struct parser *p)
{
	const struct conf_legacy *legacy = &p->conf->legacy;
	const struct conf_list *to = &legacy->recipients;
	bool is_there = !is_none(&legacy->bind);

	if (is_there)
		check_addresses(p, "legacy-bind", &legacy->bind);
	for (size_t i = 0; i < p->conf->listener_count; i++)
		is_there |= p->conf->listeners[i].kind == LISTENER_LEGACY;
	if (is_there && !legacy->networks.count)
		complain_at(p, line_of(p->conf, "legacy-bind"), "a legacy listener needs legacy-networks: which devices may use it");
	if (*legacy->sender && !strchr(legacy->sender, '@'))
		complain_at(p, line_of(p->conf, "legacy-sender"), "legacy-sender: \"%s\" is not an address", legacy->sender);
	for (size_t i = 0; i < to->count && !is_none(to); i++)
		if (!strchr(to->items[i], '@') && !is_hostname(sv_z(to->items[i])))
			complain_at(p, line_of(p->conf, "legacy-recipients"), "legacy-recipients: \"%s\" is neither an address nor a domain",
				    to->items[i]);
}

static void check_whole(struct parser *p)
{
	struct conf *conf = p->conf;
	const struct conf_host *host = &conf->host;

	if (p->in_block) {
		complain_at(p, p->block_line, "the } of this block is missing");
		listener_done(&p->row);
	}
	if (!conf->host.hostname)
		default_hostname(conf);
	else if (!is_hostname(sv_z(host->hostname)))
		complain_at(p, line_of(conf, "hostname"),
			    "hostname: \"%s\" is not a host name; expected one such as "
			    "mail.example.org",
			    host->hostname);
	check_addresses(p, "bind", &host->bind);
	check_legacy(p);
	check_pairs(p);
	check_store(p);
	check_issuer(p);
	check_ldap(p);
	check_saslauthd(p);
	if (conf->listener_count)
		conf->private
			->set_line[conf_option_index(conf_option_find(SV(CONF_BLOCK ".kind")))] = 1;
	else
		default_listeners(conf, p->base_dir);
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].port == UINT64_MAX)
			conf->listeners[i].port =
				kind_row(conf->listeners[i].kind)->port + host->port_offset;
}

static struct conf *conf_new(const char *base_dir)
{
	struct conf *conf = xcalloc(1, sizeof(*conf));
	size_t count;
	const struct conf_option *options = conf_options(&count);

	conf->private = xcalloc(1, sizeof(*conf->private));
	conf->private->set_line = xcalloc(count, sizeof(*conf->private->set_line));
	atomic_init(&conf->private->refs, 1);
	for (size_t i = 0; i < count; i++)
		if (!member_of(options[i].name))
			conf_value_default(&options[i], conf, base_dir);
	return conf;
}

struct fault conf_parse(struct sv text, const char *file, const char *base_dir,
			struct conf_report *report, struct conf **out)
{
	size_t errors_before = report->count, option_count;
	struct parser *p = xcalloc(1, sizeof(*p));
	struct sv line;

	conf_options(&option_count);
	p->conf = conf_new(base_dir);
	p->report = report;
	p->file = file;
	p->base_dir = base_dir;
	p->row_line = xcalloc(option_count, sizeof(*p->row_line));
	buf_init(&p->scratch, CONF_FILE_MAX + 1);
	if (text.len > CONF_FILE_MAX) {
		complain(p, "the file is larger than %u octets", CONF_FILE_MAX);
		text.len = 0;
	}
	while (sv_split(&text, '\n', &line)) {
		p->line++;
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		read_line(p, line);
	}
	check_whole(p);
	buf_done(&p->scratch);
	listener_done(&p->row);
	free(p->row_line);
	if (report->count == errors_before && !report->more)
		*out = p->conf;
	else
		conf_unref(&p->conf);
	free(p);
	return report->count == errors_before ? FAULT_OK
					      : fault(FAULT_INVALID, "configuration has errors");
}

static struct fault read_file(const char *path, struct buf *text)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;
	ssize_t n = 0;
	struct fault f = FAULT_OK;

	if (fd < 0)
		return fault_errno("open", path);
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
		f = fault_detail(FAULT_INVALID, "%s: not a regular file", path);
	/* When the buffer is full, conf_parse says that the file is too large. */
	while (!f.kind && buf_reserve(text, 4096)) {
		do
			n = read(fd, text->p + text->len, 4096);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			f = fault_errno("read", path);
		if (n <= 0)
			break;
		text->len += (size_t)n;
	}
	close(fd);
	return f;
}

struct fault conf_load(const char *path, const char *base_dir, struct conf_report *report,
		       struct conf **out)
{
	struct buf text;
	struct fault f;

	buf_init(&text, CONF_FILE_MAX + 8192);
	f = read_file(path, &text);
	if (f.kind)
		report_add(report, path, 0, sv_z(f.detail));
	else
		f = conf_parse(buf_sv(&text), path, base_dir, report, out);
	buf_done(&text);
	return f;
}

struct conf *conf_default(const char *base_dir)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct fault f = conf_parse(SV_NONE, "-", base_dir, &report, &conf);

	if (f.kind)
		BUG("the default configuration: %s", report.errors[0].text);
	return conf;
}

struct conf *conf_ref(struct conf *conf)
{
	atomic_fetch_add(&conf->private->refs, 1);
	return conf;
}

void conf_unref(struct conf **conf)
{
	struct conf *c = *conf;
	size_t count;
	const struct conf_option *options = conf_options(&count);

	*conf = NULL;
	if (!c || atomic_fetch_sub(&c->private->refs, 1) != 1)
		return;
	for (size_t i = 0; i < count; i++)
		if (!member_of(options[i].name))
			conf_value_done(&options[i], c);
	for (size_t i = 0; i < c->listener_count; i++)
		listener_done(&c->listeners[i]);
	free(c->listeners);
	free(c->private->set_line);
	free(c->private);
	free(c);
}

bool conf_is_set(const struct conf *conf, const struct conf_option *option)
{
	return conf->private->set_line[conf_option_index(option)] != 0;
}

static bool same_text(const char *a, const char *b)
{
	return sv_eq(sv_z(a), sv_z(b));
}

static bool same_listeners(const struct conf *a, const struct conf *b)
{
	if (a->listener_count != b->listener_count)
		return false;
	for (size_t i = 0; i < a->listener_count; i++) {
		const struct conf_listener *x = &a->listeners[i], *y = &b->listeners[i];

		if (x->kind != y->kind || x->port != y->port || x->tls != y->tls ||
		    !same_text(x->name, y->name) || !same_text(x->address, y->address) ||
		    !same_text(x->path, y->path))
			return false;
	}
	return true;
}

void conf_diff(const struct conf *was, const struct conf *is,
               void (*f)(void *arg, const char *option, bool need_restart), void *arg)
{
	size_t count;
	const struct conf_option *options = conf_options(&count);

	for (size_t i = 0; i < count; i++)
		if (!member_of(options[i].name) && !conf_value_eq(&options[i], was, is))
			f(arg, options[i].name, options[i].need_restart);
	if (!same_listeners(was, is))
		f(arg, CONF_BLOCK, true);
}
