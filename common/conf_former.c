/* Options that postroom.conf had once: whoever has one in an old file is told what is there instead. */
#include "common/conf.h"

#include "common/banned.h"

/* A name stays here for good: it is never given to another option. */
static const struct conf_former formers[] = {
	{ "account-busy-time", "a delivery that finds an account busy is put off by itself" },
	{ "alias-depth", "aliases may lead through 10 others, always" },
	{ "alias-recipients", "how many targets an alias has is bounded by the account directory" },
	{ "flag-flush-time", "changed flags are safe from a power cut after 2 s, always" },
	{ "header-addresses", "5000 addresses of a header field are read, always" },
	{ "imap-commands-ahead", "commands are not read ahead of the one that runs" },
	{ "keyword-size", "the length of keywords has a fixed bound" },
	{ "keywords", "the number of keywords in a mailbox has a fixed bound" },
	{ "known-address-days", "an address that has logged in is known for 30 days, always; logins-keep is for the lists of logins and devices" },
	{ "mailbox-depth", "mailboxes may lie 20 levels deep, always" },
	{ "mailboxes", "the number of mailboxes has no bound; `postroom quota set` bounds what an account stores" },
	{ "mime-depth", "100 levels of parts are read, always" },
	{ "mime-parameters", "the number of parameters has a fixed bound" },
	{ "mime-parts", "10000 parts of a message are read, always" },
	{ "quota", "quotas are set by `postroom quota set`" },
	{ "recipient-delimiter", "the separator of tags is a domain's: `postroom domain set DOMAIN --separator`" },
	{ "session-memory", "the memory of a session follows from imap-command, imap-literal and smtp-line" },
	{ "session-memory-prelogin", "the memory of a session before its login follows from imap-line-prelogin and imap-literal-prelogin" },
	{ "sweep-time", "indexes that nobody uses are marked clean every 10 minutes, always" },
};

const struct conf_former *conf_former_find(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(formers); i++)
		if (sv_eq(name, sv_z(formers[i].name)))
			return &formers[i];
	return NULL;
}

/* The first word of a line. Former names need no quotes. */
static struct sv first_word(struct sv line)
{
	size_t len = 0;

	line = sv_trim(line);
	while (len < line.len && line.p[len] != ' ' && line.p[len] != '\t')
		len++;
	return sv_sub(line, 0, len);
}

bool conf_upgrade(struct sv text, struct buf *out, void (*f)(void *arg, unsigned line, const struct conf_former *former), void *arg)
{
	unsigned number = 0;

	while (text.len) {
		size_t end = sv_find(text, '\n');
		struct sv line = sv_sub(text, 0, end == SIZE_MAX ? text.len : end + 1);
		const struct conf_former *former = conf_former_find(first_word(line));

		sv_skip(&text, line.len);
		number++;
		if (former && !buf_appendf(out, "# `postroom conf upgrade`: there is no %s any more; %s.\n# ", former->name, former->instead))
			return false;
		if (former)
			f(arg, number, former);
		if (!buf_append(out, line))
			return false;
	}
	return true;
}
