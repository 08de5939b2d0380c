/* admin/dovecot.h - what Dovecot's and Postfix's settings say, as far as moving mail here needs it: texts in the form of `doveconf -n`
 * and `postconf -n` to values, and templates such as "/var/vmail/%d/%n" to paths. Pure: no I/O, one thread. */
#ifndef ADMIN_DOVECOT_H
#define ADMIN_DOVECOT_H

#include <limits.h>

#include "common/bytes.h"
#include "common/fault.h"

#define DOVECOT_FILES_MAX 16

/* Views into the text; empty: not said. */
struct dovecot_settings {
	struct sv users[DOVECOT_FILES_MAX];     /* passwd-files of passwords */
	struct sv homes[DOVECOT_FILES_MAX];     /* passwd-files of user data; often the same */
	size_t user_count, home_count;
	struct sv other_passdb;                 /* a driver that is no passwd-file: "sql" */
	struct sv mail_location;                /* "maildir:~/Maildir" */
	struct sv mail_home;                    /* a template */
	struct sv static_home, static_mail;     /* likewise: home= and mail= of a userdb's arguments or fields */
	struct sv realm;                        /* auth_default_realm */
	struct sv uidl_format;                  /* pop3_uidl_format */
	struct sv sieve, sieve_dir;             /* of plugin { } */
};

/** dovecot_read - the text has to outlive *out. FAULT_INVALID: it is no such text. */
MUST_CHECK struct fault dovecot_read(struct sv text, struct dovecot_settings *out);

/* One line of a passwd-file (user:password:uid:gid:gecos:home:shell:extra). */
struct dovecot_user {
	struct sv name;                 /* as it stands there, with or without domain */
	struct sv home, mail;           /* mail: userdb_mail of the extra fields */
};
/** dovecot_read_user - false: an empty line or a comment. */
bool dovecot_read_user(struct sv line, struct dovecot_user *out);

/** dovecot_expand - a template for one user: %u %n %d %h, %{user} %{username} %{domain} %{home}, %L before a letter (lower case), a "~/"
 *  in front. False: it has something else, the home that it needs is not known, or it gets too long. */
bool dovecot_expand(struct sv template, struct sv address, struct sv home, char out[PATH_MAX]);
/** dovecot_maildir - the folder of a mail location, "maildir:~/Maildir:LAYOUT=fs". False: of another format. */
bool dovecot_maildir(struct sv location, struct sv *template);
/** dovecot_sieve - where scripts lie, and which link names the active one: "file:~/sieve;active=~/.dovecot.sieve", or the settings of old,
 *  which name the link alone. */
void dovecot_sieve(const struct dovecot_settings *settings, struct sv *folder, struct sv *active);

/** postfix_value - one setting of `postconf -n` or main.cf, whose continued lines begin with a space. Appended to out with single
 *  spaces. False: it is not there. */
bool postfix_value(struct sv text, const char *name, struct buf *out);
/** postfix_map - "hash:/etc/postfix/virtual": the text file that this kind of map is made from. False: another kind. */
bool postfix_map(struct sv map, struct sv *path);

#endif
