/* imapd/commands/enable.c - ENABLE (RFC 5161): what a client may switch on, as rows. */
#include "imapd/notify.h"

#include "common/banned.h"

static void enable_condstore(struct room *room)
{
	room->has_condstore = true;
}

static void enable_qresync(struct room *room)
{
	room->has_condstore = room->has_qresync = true;
}

static void enable_metadata(struct room *room)
{
	notify_enable(room, NOTIFY_MAILBOX_METADATA | NOTIFY_SERVER_METADATA);
}

static void enable_metadata_server(struct room *room)
{
	notify_enable(room, NOTIFY_SERVER_METADATA);
}

static void enable_rev2(struct room *room)
{
	room->is_rev2 = room->is_utf8 = true;
}

static void enable_uidonly(struct room *room)
{
	room->has_uidonly = true;
}

static void enable_utf8(struct room *room)
{
	room->is_utf8 = room->has_utf8_accept = true;
}

static const struct row {
	const char *name;
	enum capability capability;
	void (*enable)(struct room *room);
	const char *source;
} rows[] = {
	{ "CONDSTORE", CAP_CONDSTORE, enable_condstore, "RFC 7162 §3.1" },
	{ "QRESYNC", CAP_QRESYNC, enable_qresync, "RFC 7162 §3.2.3" },
	{ "METADATA", CAP_METADATA, enable_metadata, "RFC 5464 §4.1" },
	{ "METADATA-SERVER", CAP_METADATA_SERVER, enable_metadata_server, "RFC 5464 §4.1" },
	{ "IMAP4rev2", CAP_REV2, enable_rev2, "RFC 9051 §6.3.1" },
	{ "UIDONLY", CAP_UIDONLY, enable_uidonly, "RFC 9586 §3.1" },
	{ "UTF8=ACCEPT", CAP_UTF8_ACCEPT, enable_utf8, "RFC 9755 §3" },
};

static const struct row *row_find(const struct room *room, struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (sv_eq_nocase(name, sv_z(rows[i].name)) &&
		    capability_has(room->on, rows[i].capability))
			return &rows[i];
	return NULL;
}

/* RFC 5161 §3.1: what is not known or not offered is ignored; the answer lists what is on now,
 * always (some clients wait for it). */
enum step do_enable(struct command *c)
{
	bool is_wanted[ARRAY_LEN(rows)] = { false };
	bool has_any = false;
	struct sv name;

	while (args_atom(&c->args, &name)) {
		const struct row *row = row_find(c->room, name);

		has_any = true;
		if (row)
			is_wanted[row - rows] = true;
	}
	if (!has_any || !args_end(&c->args))
		return command_bad(c, "ENABLE takes the names of capabilities");
	writer_z(&c->out, "* ENABLED");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!is_wanted[i])
			continue;
		rows[i].enable(c->room);
		writer_c(&c->out, ' ');
		writer_z(&c->out, rows[i].name);
	}
	writer_crlf(&c->out);
	return command_ok(c, "Enabled");
}
