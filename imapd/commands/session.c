/* imapd/commands/session.c - commands that touch no message: CAPABILITY, NOOP, CHECK, COMPRESS, ID,
 * NAMESPACE, LOGOUT. */
#include "imapd/command.h"

#include "common/banned.h"

enum step do_capability(struct command *c)
{
	struct capability_context context = { .on = c->room->on,
					      .is_logged_in = true,
					      .append_limit = c->room->conf->smtp.message_size,
					      .hostname = c->room->conf->host.hostname,
					      .message_limit = c->room->conf->imap.message_limit };

	if (!args_end(&c->args))
		return command_bad(c, "CAPABILITY takes no arguments");
	writer_z(&c->out, "* ");
	capability_write(&c->out, &context);
	writer_crlf(&c->out);
	return command_ok(c, "Capabilities listed");
}

/* The dispatcher tells what is new; nothing else is to do. */
enum step do_noop(struct command *c)
{
	if (!args_end(&c->args))
		return command_bad(c, "NOOP takes no arguments");
	return command_ok(c, "Nothing done");
}

enum step do_check(struct command *c)
{
	if (!args_end(&c->args))
		return command_bad(c, "CHECK takes no arguments");
	return command_ok(c, "Checked");
}

/* RFC 2971 §3.1 */
enum step do_id(struct command *c)
{
	struct room *room = c->room;
	struct id id;

	if (!id_read(&c->args, &c->arena, &id))
		return command_bad(c, "ID takes NIL or a list of strings");
	log_info(c->log, "imap.id", KV_SV("user", room->account), KV_SV("client", id.summary));
	client_introduce(&room->client, &id, &room->conf->imap.workarounds, room->on, c->log);
	room->on &= ~room->client.hidden;
	id_write(&c->out);
	return command_ok(c, "Pleased to meet you");
}

/* RFC 2342 §5: one personal namespace without prefix; what others share stands below their names. */
enum step do_namespace(struct command *c)
{
	if (!args_end(&c->args))
		return command_bad(c, "NAMESPACE takes no arguments");
	writer_z(&c->out, "* NAMESPACE ((\"\" \"/\")) ");
	writer_z(&c->out, capability_has(c->room->on, CAP_ACL) ? "((\"" SHARED_PREFIX "\" \"/\"))" : "NIL");
	writer_z(&c->out, " NIL\r\n");
	return command_ok(c, "Namespaces listed");
}

/* RFC 4978 §3: the session compresses from the end of the answer on. */
enum step do_compress(struct command *c)
{
	if (!args_word(&c->args, "DEFLATE") || !args_end(&c->args))
		return command_bad(c, "COMPRESS takes DEFLATE and nothing else");
	if (c->room->is_compressed)
		return command_no(c, "COMPRESSIONACTIVE", "DEFLATE is active already");
	c->room->is_compressed = true;
	c->is_compress_due = true;
	return command_ok(c, "DEFLATE active");
}

enum step do_logout(struct command *c)
{
	if (!args_end(&c->args))
		return command_bad(c, "LOGOUT takes no arguments");
	writer_z(&c->out, "* BYE Goodbye\r\n");
	c->is_close_due = true;
	return command_ok(c, "Logged out");
}

/* RFC 8437 §3: never NO. A compressed connection would have to change its ways in the middle of what the client may have sent
 * already; it is ended instead, as the RFC lets us. */
enum step do_unauthenticate(struct command *c)
{
	if (!args_end(&c->args))
		return command_bad(c, "UNAUTHENTICATE takes no arguments");
	if (c->room->is_compressed) {
		writer_z(&c->out, "* BYE A compressed connection is not used again; connect anew\r\n");
		return STEP_CLOSE;
	}
	c->is_unauthenticate_due = true;
	return command_ok(c, "Nobody is logged in");
}
