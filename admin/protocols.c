#include "admin/protocols.h"

#include "common/identity.h"

#include "common/banned.h"

static const struct {
	const char *name;
	unsigned bit;
} protocols[] = {
	{ "imap", SCOPE_IMAP }, { "pop3", SCOPE_POP3 }, { "submission", SCOPE_SUBMISSION }, { "managesieve", SCOPE_MANAGESIEVE },
};

static unsigned bit_of(struct sv word)
{
	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		if (sv_eq(word, sv_z(protocols[i].name)))
			return protocols[i].bit;
	return 0;
}

bool protocols_parse(struct sv text, unsigned *scope)
{
	struct sv word;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++)
		*scope &= ~protocols[i].bit;
	while (text.len && sv_split(&text, ',', &word)) {
		unsigned bit = bit_of(word);

		if (!bit && !sv_eq(word, SV("none")))
			return false;
		*scope |= bit;
	}
	return true;
}

bool protocols_option(struct cli *cli, const char *option, unsigned *scope)
{
	const char *text = cli_option(cli, option);

	if (!text || protocols_parse(sv_z(text), scope))
		return true;
	cli_usage(cli, "--%s takes " PROTOCOL_WORDS ", separated by commas, or none", option);
	return false;
}

void protocols_append(struct buf *out, unsigned scope)
{
	bool is_first = true;

	for (size_t i = 0; i < ARRAY_LEN(protocols); i++) {
		if (!(scope & protocols[i].bit))
			continue;
		buf_appendf(out, "%s%s", is_first ? "" : " ", protocols[i].name);
		is_first = false;
	}
}
