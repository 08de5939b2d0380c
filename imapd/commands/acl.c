/* imapd/commands/acl.c - SETACL, DELETEACL, GETACL, LISTRIGHTS, MYRIGHTS (RFC 4314). What may be done is the store's business
 * (maildir/acl.h); here stands how it is asked for and told. */
#include <stdio.h>

#include "common/saslprep.h"
#include "imapd/command.h"
#include "maildir/acl.h"

#include "common/banned.h"

#define IDENTIFIER_MAX (DIRECTORY_ADDRESS_MAX + 2)

/* read_identifier - §3: prepared; BAD when that cannot be done. A bare name means somebody of the own domain, as at login.
 * *as_sent is what LISTRIGHTS repeats (§3.4). */
static bool read_identifier(struct command *c, struct sv *identifier, struct sv *as_sent)
{
	size_t at = sv_rfind(c->room->account, '@');
	struct buf b;

	buf_init(&b, IDENTIFIER_MAX);
	bool is_good = args_astring(&c->args, as_sent) && saslprep(*as_sent, &b) && b.len &&
		       !sv_eq(buf_sv(&b), SV("-"));

	if (is_good && sv_find(buf_sv(&b), '@') == SIZE_MAX && at != SIZE_MAX &&
	    !sv_eq_nocase(buf_sv(&b), SV(ACL_ANYONE)) && !sv_eq_nocase(buf_sv(&b), SV("-" ACL_ANYONE)))
		is_good = buf_append(&b, sv_sub(c->room->account, at, SIZE_MAX));
	if (is_good) {
		*identifier = arena_copy(&c->arena, buf_sv(&b));
		is_good = identifier->p != NULL;
	}
	buf_done(&b);
	if (!is_good)
		command_bad(c, "An identifier was expected: an account, or anyone");
	return is_good;
}

static enum step change(struct command *c, struct sv name, struct sv identifier, enum acl_change how, uint32_t rights)
{
	struct fault f = mailbox_acl_change(c->room->user, name, identifier, how, rights);

	if (f.kind == FAULT_INVALID)
		return command_no(c, "CANNOT", "There is no such account, or it is the owner, whose rights do not change");
	if (f.kind)
		return command_fault(c, f);
	log_info(c->log, "imap.acl.changed", KV_SV("user", c->room->account), KV_SV("mailbox", name),
		 KV_SV("identifier", identifier));
	return command_ok(c, "Access control list changed");
}

enum step do_setacl(struct command *c)
{
	struct sv name, identifier, as_sent, letters;
	enum acl_change how = ACL_REPLACE;
	uint32_t rights;

	if (!command_mailbox(c, &name) || !read_identifier(c, &identifier, &as_sent))
		return STEP_DONE;
	if (!args_astring(&c->args, &letters) || !args_end(&c->args))
		return command_bad(c, "SETACL takes a mailbox, an identifier and rights");
	if (sv_starts(letters, SV("+")) || sv_starts(letters, SV("-"))) {
		how = letters.p[0] == '+' ? ACL_ADD : ACL_REMOVE;
		sv_skip(&letters, 1);
	}
	if (!rights_read(letters, &rights))
		return command_bad(c, "Rights are letters out of lrswipkxtea, with + or - before them");
	return change(c, name, identifier, how, rights);
}

enum step do_deleteacl(struct command *c)
{
	struct sv name, identifier, as_sent;

	if (!command_mailbox(c, &name) || !read_identifier(c, &identifier, &as_sent))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "DELETEACL takes a mailbox and an identifier");
	return change(c, name, identifier, ACL_REMOVE, RIGHTS_ALL);
}

static void write_rights(struct command *c, uint32_t rights)
{
	char text[RIGHTS_TEXT_MAX];

	rights_write(rights, true, text);
	writer_c(&c->out, ' ');
	writer_astring(&c->out, sv_z(text));
}

enum step do_getacl(struct command *c)
{
	char owner[DIRECTORY_ADDRESS_MAX + 1];
	struct acl acl = { 0 };
	struct sv name;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "GETACL takes a mailbox");
	struct fault f = mailbox_acl(c->room->user, name, &acl, owner);

	if (f.kind)
		return command_fault(c, f);
	writer_z(&c->out, "* ACL ");
	command_write_mailbox(c, name);
	writer_c(&c->out, ' ');
	writer_astring(&c->out, sv_z(owner));
	write_rights(c, RIGHTS_ALL);
	for (size_t i = 0; i < acl.count; i++) {
		char identifier[IDENTIFIER_MAX + 1];

		snprintf(identifier, sizeof(identifier), "%s%s", acl.entries[i].is_negative ? "-" : "",
			 acl.entries[i].name);
		writer_c(&c->out, ' ');
		writer_astring(&c->out, sv_z(identifier));
		write_rights(c, acl.entries[i].rights);
	}
	writer_crlf(&c->out);
	acl_done(&acl);
	return command_ok(c, "Access control list told");
}

/* §3.4: the owner has all, always; anybody else can be granted each of them alone. That somebody is asked for says nothing of
 * whether there is such an account. */
enum step do_listrights(struct command *c)
{
	char owner[DIRECTORY_ADDRESS_MAX + 1];
	struct sv name, identifier, as_sent;
	struct acl acl = { 0 };

	if (!command_mailbox(c, &name) || !read_identifier(c, &identifier, &as_sent))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "LISTRIGHTS takes a mailbox and an identifier");
	struct fault f = mailbox_acl(c->room->user, name, &acl, owner);

	acl_done(&acl);
	if (f.kind)
		return command_fault(c, f);
	writer_z(&c->out, "* LISTRIGHTS ");
	command_write_mailbox(c, name);
	writer_c(&c->out, ' ');
	writer_astring(&c->out, as_sent);
	if (sv_eq_nocase(identifier, sv_z(owner)))
		write_rights(c, RIGHTS_ALL);
	else
		writer_z(&c->out, " \"\" l r s w i p k x t e a c d");
	writer_crlf(&c->out);
	return command_ok(c, "Rights told");
}

enum step do_myrights(struct command *c)
{
	struct sv name;
	uint32_t rights;

	if (!command_mailbox(c, &name))
		return STEP_DONE;
	if (!args_end(&c->args))
		return command_bad(c, "MYRIGHTS takes a mailbox");
	struct fault f = mailbox_rights(c->room->user, name, &rights);

	if (f.kind)
		return command_fault(c, f);
	command_write_myrights(c, name, rights);
	return command_ok(c, "Rights told");
}

void command_write_myrights(struct command *c, struct sv name, uint32_t rights)
{
	writer_z(&c->out, "* MYRIGHTS ");
	command_write_mailbox(c, name);
	write_rights(c, rights);
	writer_crlf(&c->out);
}
