#include "admin/imap_folders.h"

#include <stdlib.h>

#include "common/charset.h"
#include "common/memory.h"
#include "maildir/import_book.h"
#include "maildir/layout.h"

#include "common/banned.h"

#define PREFIX_MAX 256
#define OTHERS_MAX 16

struct reading {
	struct imap_folders *out;
	char prefix[PREFIX_MAX];                        /* of the personal namespace */
	char others[OTHERS_MAX][PREFIX_MAX];            /* of the others */
	size_t other_count;
	bool is_subscriptions;                          /* LSUB is being answered */
	bool is_full;
};

static const struct { const char *attribute; uint32_t use; } uses[] = {
	{ "\\Drafts", USE_DRAFTS },   { "\\Sent", USE_SENT },       { "\\Junk", USE_JUNK },
	{ "\\Trash", USE_TRASH },     { "\\Archive", USE_ARCHIVE }, { "\\Flagged", USE_FLAGGED },
	{ "\\All", USE_ALL },         { "\\Important", USE_IMPORTANT },
};

/* ---- names ---- */

/* One level: what cannot stand in a name of ours becomes "_". */
static void add_level(struct sv level, struct buf *out)
{
	struct buf text;

	buf_init(&text, MAILBOX_NAME_MAX + 1);
	/* Some servers write plain UTF-8, or "&" as it is. */
	if (!mutf7_to_utf8(level, &text) && !(sv_is_utf8(level) && buf_append(&text, level)))
		(void)utf8_clean(level, &text);
	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		(void)buf_append_c(out, c == '/' || (unsigned char)c < ' ' || c == 0x7f ? '_' : c);
	}
	buf_done(&text);
}

struct fault imap_folder_name(struct sv raw, char delimiter, struct sv prefix, struct buf *out)
{
	struct buf name;
	struct sv level;

	/* INBOX is INBOX in any case, also as the beginning of a prefix. */
	if (prefix.len && raw.len > prefix.len &&
	    (sv_starts(raw, prefix) || (sv_starts_nocase(prefix, SV("INBOX")) && sv_starts_nocase(raw, prefix))))
		sv_skip(&raw, prefix.len);
	buf_init(&name, 4 * MAILBOX_NAME_MAX);
	while (delimiter && sv_split(&raw, delimiter, &level)) {
		if (!level.len)
			continue;
		if (name.len)
			(void)buf_append_c(&name, '/');
		add_level(level, &name);
		/* What stands below "Shared/" belongs to others here. */
		if (name.len + 1 == strlen(SHARED_PREFIX) && sv_eq_nocase(buf_sv(&name), sv_sub(SV(SHARED_PREFIX), 0, name.len)))
			(void)buf_append_c(&name, '_');
	}
	if (!delimiter)
		add_level(raw, &name);
	struct fault f = mailbox_name_check(buf_sv(&name), out);

	buf_done(&name);
	return f;
}

/* ---- NAMESPACE, LIST, LSUB ---- */

/* "* NAMESPACE ((prefix delimiter)...) ((...)...) ((...)...)" (RFC 2342 §5): one's own, other users', shared. */
static void take_namespaces(struct reading *r, const struct imap_reply *reply)
{
	size_t at = 2;

	for (int which = 0; which < 3 && at < reply->count; which++, at = imap_reply_after(reply, at)) {
		bool is_first = true;

		if (reply->tokens[at].kind != IMAP_REPLY_OPEN)
			continue;
		for (size_t i = at + 1; i < reply->tokens[at].match; i = imap_reply_after(reply, i), is_first = false) {
			struct sv text = imap_reply_text(reply, i + 1);
			char *to = which == 0 ? r->prefix : r->other_count < OTHERS_MAX ? r->others[r->other_count] : NULL;

			if (reply->tokens[i].kind != IMAP_REPLY_OPEN || text.len >= PREFIX_MAX || !to || !text.len ||
			    (which == 0 && !is_first))
				continue;
			memcpy(to, text.p, text.len);
			to[text.len] = '\0';
			r->other_count += which > 0;
		}
	}
}

static bool is_of_others(const struct reading *r, struct sv raw)
{
	for (size_t i = 0; i < r->other_count; i++)
		if (sv_starts(raw, sv_z(r->others[i])))
			return true;
	return false;
}

static struct imap_folder *find(struct imap_folders *folders, struct sv raw)
{
	for (size_t i = 0; i < folders->count; i++)
		if (sv_eq(sv_z(folders->items[i].raw), raw))
			return &folders->items[i];
	return NULL;
}

static void add_folder(struct reading *r, struct sv raw, char delimiter, uint32_t use)
{
	struct imap_folders *out = r->out;
	struct imap_folder folder = { .use = use };
	struct buf name;

	buf_init(&name, MAILBOX_NAME_MAX + 1);
	struct fault f = imap_folder_name(raw, delimiter, sv_z(r->prefix), &name);

	folder.raw = sv_copy_z(raw);
	if (!f.kind)
		folder.name = sv_copy_z(buf_sv(&name));
	else
		folder.note = f.kind == FAULT_LIMIT ? "its name is too long, or too many levels deep" : "it has a name that cannot be one here";
	/* RFC 6154 §2: these show messages of other mailboxes once more. */
	if (use & (USE_FLAGGED | USE_IMPORTANT))
		folder.note = "shows messages of other mailboxes";
	buf_done(&name);
	if (out->count % 64 == 0)
		out->items = xrealloc(out->items, (out->count + 64) * sizeof(*out->items));
	out->items[out->count++] = folder;
}

/* "* LIST (attributes) delimiter name". */
static void take_mailbox(struct reading *r, const struct imap_reply *reply)
{
	size_t end = imap_reply_after(reply, 2);
	struct sv delimiter = imap_reply_text(reply, end), raw = imap_reply_text(reply, end + 1);
	bool has_levels = end < reply->count && reply->tokens[end].kind == IMAP_REPLY_QUOTED && delimiter.len == 1;
	struct imap_folder *there;
	uint32_t use = 0;

	if (reply->tokens[2].kind != IMAP_REPLY_OPEN || !raw.len || raw.len > IMPORT_BOOK_NAME_MAX || memchr(raw.p, '\0', raw.len))
		return;
	there = find(r->out, raw);
	if (r->is_subscriptions) {
		if (there)
			there->is_subscribed = true;
		return;
	}
	for (size_t i = 3; i + 1 < end; i++) {
		if (imap_reply_is(reply, i, "\\Noselect") || imap_reply_is(reply, i, "\\NonExistent"))
			return;
		for (size_t u = 0; u < ARRAY_LEN(uses); u++)
			if (!use && imap_reply_is(reply, i, uses[u].attribute))
				use = uses[u].use;
	}
	if (there || is_of_others(r, raw))
		return;
	if (r->out->count == MAILBOX_COUNT_MAX)
		r->is_full = true;
	else
		add_folder(r, raw, has_levels ? delimiter.p[0] : '\0', use);
}

static struct fault take(void *arg, const struct imap_reply *reply)
{
	struct reading *r = arg;

	if (imap_reply_is(reply, 1, "NAMESPACE"))
		take_namespaces(r, reply);
	else if (reply->count > 3 && imap_reply_is(reply, 1, r->is_subscriptions ? "LSUB" : "LIST"))
		take_mailbox(r, reply);
	return r->is_full ? fault_detail(FAULT_LIMIT, "the account has more than %d mailboxes", MAILBOX_COUNT_MAX) : FAULT_OK;
}

static int by_name(const void *a, const void *b)
{
	const struct imap_folder *x = a, *y = b;
	bool inbox_x = x->name && !strcmp(x->name, "INBOX"), inbox_y = y->name && !strcmp(y->name, "INBOX");

	return inbox_x != inbox_y ? (inbox_x ? -1 : 1) : strcmp(x->name ? x->name : x->raw, y->name ? y->name : y->raw);
}

struct fault imap_folders_read(struct imap_client *client, struct imap_folders *out)
{
	struct reading *r = xcalloc(1, sizeof(*r));
	const struct imap_client_listener listener = { .response = take, .arg = r };
	unsigned has = imap_client_features(client), wanted = IMAP_HAS_SPECIAL_USE | IMAP_HAS_LIST_EXTENDED;
	struct fault f = FAULT_OK;

	*out = (struct imap_folders){ NULL, 0 };
	r->out = out;
	if (has & IMAP_HAS_NAMESPACE)
		f = imap_client_ask(client, &listener, SV("NAMESPACE"));
	/* RFC 6154 §3: special uses come without being asked for only where the server likes to. */
	if (!f.kind)
		f = imap_client_ask(client, &listener, (has & wanted) == wanted ? SV("LIST \"\" \"*\" RETURN (SPECIAL-USE)") :
										 SV("LIST \"\" \"*\""));
	r->is_subscriptions = true;
	if (!f.kind)
		f = imap_client_ask(client, &listener, SV("LSUB \"\" \"*\""));
	if (f.kind == FAULT_DENIED || f.kind == FAULT_INVALID)
		f = fault_detail(FAULT_UNAVAILABLE, "the mailboxes cannot be listed; %s", f.detail);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), by_name);
	free(r);
	return f;
}

void imap_folders_done(struct imap_folders *folders)
{
	for (size_t i = 0; i < folders->count; i++) {
		free(folders->items[i].raw);
		free(folders->items[i].name);
	}
	free(folders->items);
	*folders = (struct imap_folders){ NULL, 0 };
}
