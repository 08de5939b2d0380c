/* imapd/use.c - see use.h. */
#include "imapd/use.h"

#include "maildir/mailbox.h"

#include "common/banned.h"

static const struct {
	uint32_t bit;
	const char *name;
} uses[] = {
	{ USE_DRAFTS, "\\Drafts" }, { USE_SENT, "\\Sent" },           { USE_JUNK, "\\Junk" },
	{ USE_TRASH, "\\Trash" },   { USE_ARCHIVE, "\\Archive" },     { USE_FLAGGED, "\\Flagged" },
	{ USE_ALL, "\\All" },       { USE_IMPORTANT, "\\Important" },
};

uint32_t use_find(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(uses); i++)
		if (sv_eq_nocase(name, sv_z(uses[i].name)))
			return uses[i].bit;
	return 0;
}

void use_write(struct writer *w, uint32_t set)
{
	for (size_t i = 0; i < ARRAY_LEN(uses); i++) {
		if (!(set & uses[i].bit))
			continue;
		writer_c(w, ' ');
		writer_z(w, uses[i].name);
	}
}
