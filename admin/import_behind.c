#include "admin/import_behind.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>

#include "admin/open.h"
#include "admin/print.h"
#include "common/conf.h"
#include "common/directory.h"

#include "common/banned.h"

#define VALUE_MAX ((size_t)64 << 10)
#define NAMES_TOLD 10

/* A setting of Postfix, "" when it is not set. */
static struct sv value_of(const struct import_behind *b, const char *name, struct buf *out)
{
	buf_init(out, VALUE_MAX);
	return postfix_value(b->postfix, name, out) ? buf_sv(out) : SV_NONE;
}

/* ---- Postfix ---- */

/* "[smtp.provider.example]:587" as HOST:PORT. */
static void smarthost_of(struct sv relayhost, char *out, size_t size)
{
	bool is_bare = sv_starts(relayhost, SV("["));
	size_t end = sv_find(relayhost, ']'), colon;
	struct sv host = is_bare ? sv_sub(relayhost, 1, end == SIZE_MAX ? SIZE_MAX : end - 1) : relayhost;
	struct sv port = is_bare ? sv_sub(relayhost, end == SIZE_MAX ? relayhost.len : end + 1, SIZE_MAX) : relayhost;

	colon = sv_rfind(port, ':');
	port = colon == SIZE_MAX ? SV("25") : sv_sub(port, colon + 1, SIZE_MAX);
	if (!is_bare)
		host = sv_sub(host, 0, sv_rfind(host, ':'));
	snprintf(out, size, "%.*s:%.*s", SV_FMT(host), SV_FMT(port));
}

static uint64_t tell_relayhost(const struct import_behind *b, const struct conf *conf)
{
	const struct conf_list *list = &conf->relay.smarthosts;
	bool has_one = list->count && strcmp(list->items[0], "none") != 0;
	char host[300], next[600];
	struct buf value;
	struct sv relayhost = value_of(b, "relayhost", &value);
	bool is_told = relayhost.len && !has_one;

	if (is_told) {
		smarthost_of(relayhost, host, sizeof(host));
		snprintf(next, sizeof(next), "postroom setup %s --yes --no-start --smarthost %s", b->domain_count ? b->domains[0].p : "DOMAIN", host);
		complain(next, "relayhost = %.*s: Postfix sends everything through it, Postroom would send by itself", SV_FMT(relayhost));
	}
	buf_done(&value);
	return is_told;
}

static uint64_t tell_delimiter(const struct import_behind *b, struct directory *dir)
{
	struct buf value;
	struct sv delimiters = value_of(b, "recipient_delimiter", &value);
	uint64_t told = 0;

	for (size_t i = 0; delimiters.len && i < b->domain_count; i++) {
		struct directory_domain domain = { .separator = '+' };  /* of one that is made */
		char next[ADDRESS_DOMAIN_MAX + 64];

		if (directory_domain_get(dir, b->domains[i], &domain).kind == FAULT_NOT_FOUND)
			domain.separator = '+';
		if (domain.separator && sv_find(delimiters, domain.separator) != SIZE_MAX)
			continue;
		snprintf(next, sizeof(next), "postroom domain set %.*s --separator %c", SV_FMT(b->domains[i]), delimiters.p[0]);
		complain(next, "recipient_delimiter = %.*s: another character than here stands before a tag in an address", SV_FMT(delimiters));
		told++;
	}
	buf_done(&value);
	return told;
}

static uint64_t tell_size(const struct import_behind *b, const struct conf *conf)
{
	struct buf value;
	struct sv text = value_of(b, "message_size_limit", &value);
	char next[80];
	uint64_t octets;
	bool is_told = text.len && sv_to_u64(text, &octets) && octets > conf->smtp.message_size;

	if (is_told) {
		snprintf(next, sizeof(next), "the line \"message-size %lluM\" in postroom.conf", (unsigned long long)((octets + (1 << 20) - 1) >> 20));
		complain(next, "message_size_limit = %.*s: Postfix takes larger messages than message-size allows here (%llu octets)", SV_FMT(text),
			 (unsigned long long)conf->smtp.message_size);
	}
	buf_done(&value);
	return is_told;
}

static void tell_others(const struct import_behind *b)
{
	static const struct { const char *name, *next; } settings[] = {
		{ "relay_domains", "postroom domain add, then postroom domain set DOMAIN --relay listed" },
		{ "transport_maps", "smarthosts (postroom conf describe smarthosts) has other servers for single domains" },
		{ "always_bcc", "a Sieve script for everybody (doc/sieve.md)" },
		{ "sender_bcc_maps", "a Sieve script of the account (doc/sieve.md)" },
		{ "recipient_bcc_maps", "an alias, or postroom rule add ACCOUNT --forward ADDRESS --copy INBOX" },
		{ "smtpd_sender_login_maps", "postroom send-as add ACCOUNT ADDRESS, for each that is no alias of the account" },
		{ "virtual_alias_regexp_maps", "postroom alias add" },
		{ "canonical_maps", NULL },
		{ "sender_canonical_maps", NULL },
		{ "recipient_canonical_maps", "postroom alias add" },
		{ "relocated_maps", NULL },
		{ "smtp_generic_maps", NULL },
		{ "smtpd_milters", "milters and submission-milters (postroom conf describe milters); DKIM needs none" },
	};

	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		struct buf value;
		struct sv text = value_of(b, settings[i].name, &value);

		if (text.len)
			complain(settings[i].next, "%s = %.*s: not taken over", settings[i].name, SV_FMT(text));
		buf_done(&value);
	}
}

/* Messages in a folder of the queue, and in the folders that it is divided into. */
static uint64_t count_queue(const char *path, unsigned depth)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	uint64_t count = 0;

	while (dir && (entry = readdir(dir))) {
		char below[PATH_MAX];

		if (entry->d_type == DT_REG)
			count++;
		else if (entry->d_type == DT_DIR && entry->d_name[0] != '.' && depth < 4 &&
			 snprintf(below, sizeof(below), "%.3800s/%s", path, entry->d_name) < (int)sizeof(below))
			count += count_queue(below, depth + 1);
	}
	if (dir)
		closedir(dir);
	return count;
}

uint64_t import_behind_queue(const char *dir)
{
	static const char *const folders[] = { "maildrop", "incoming", "active", "deferred", "hold" };
	uint64_t count = 0;

	for (size_t i = 0; i < ARRAY_LEN(folders); i++) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%.4000s/%s", dir, folders[i]);
		count += count_queue(path, 0);
	}
	return count;
}

static uint64_t tell_queue(const struct import_behind *b)
{
	if (b->queued)
		complain("have it deliver them before it goes: postqueue -p lists them, postqueue -f tries again",
			 "Postfix still holds %llu message%s, which only Postfix can deliver", (unsigned long long)b->queued, b->queued == 1 ? "" : "s");
	return b->queued > 0;
}

/* Whoever has a mailbox in Postfix's map and is no account gets no mail here. */
static uint64_t tell_mailboxes(const struct import_behind *b, struct directory *dir)
{
	uint64_t missing = 0;

	for (size_t i = 0; i < b->mailbox_count; i++) {
		struct sv lines = b->mailboxes[i], line, name;

		while (sv_split(&lines, '\n', &line)) {
			struct directory_account account;
			bool is_there = false;

			if (!line.len || line.p[0] == '#' || line.p[0] == ' ' || line.p[0] == '\t' || !postfix_word(&line, &name) ||
			    sv_find(name, '@') == SIZE_MAX)
				continue;
			for (size_t k = 0; k < b->account_count && !is_there; k++)
				is_there = sv_eq_nocase(b->accounts[k], name);
			if (is_there || !directory_account_get(dir, name, &account).kind)
				continue;
			if (missing++ < NAMES_TOLD)
				complain(name.p[0] == '@' ? "postroom domain set DOMAIN --catch-all ADDRESS" :
							   "postroom account add, or postroom alias add",
					 "virtual_mailbox_maps has %.*s, which is no account of Dovecot's list", SV_FMT(name));
		}
	}
	if (missing > NAMES_TOLD)
		complain(NULL, "virtual_mailbox_maps has %llu more such names", (unsigned long long)(missing - NAMES_TOLD));
	return missing;
}

/* ---- Dovecot ---- */

static void tell_dovecot(const struct dovecot_settings *set)
{
	const struct { struct sv value; const char *what, *next; } settings[] = {
		{ set->public, "public mailboxes", "postroom import maildir FOLDER --account ADDRESS of an account made for them, then "
		  "postroom mailbox acl set" },
		{ set->shared, "who shares mailboxes with whom", "postroom mailbox acl set OWNER MAILBOX PERSON RIGHTS" },
		{ set->sieve_for_all, "a script that runs for everybody", "copy it to sieve/before.sieve in the instance (doc/sieve.md)" },
		{ set->quota, "a quota for everybody", "postroom quota set ADDRESS SIZE, for each account" },
		{ set->masters.count ? set->masters.list[0].path : SV_NONE, "people who log in as others (master = yes)", NULL },
	};

	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (settings[i].value.len)
			complain(settings[i].next, "%.*s: %s: not taken over", SV_FMT(settings[i].value), settings[i].what);
}

uint64_t import_behind_tell(const struct import_behind *b)
{
	struct directory *dir = NULL;
	struct conf *conf = NULL;
	uint64_t told = 0;

	if (open_conf(b->cli, &conf) == EXIT_DONE && open_directory(b->cli, &dir) == EXIT_DONE) {
		told = tell_queue(b) + tell_relayhost(b, conf) + tell_size(b, conf) + tell_delimiter(b, dir) + tell_mailboxes(b, dir);
		tell_others(b);
		tell_dovecot(b->dovecot);
	}
	directory_close(&dir);
	conf_unref(&conf);
	return told;
}
