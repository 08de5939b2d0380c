/* admin/dovecot.h - what Dovecot's and Postfix's settings say, as far as moving mail here needs it: texts in the form of `doveconf -n`
 * and `postconf -n` to values, and templates such as "/var/vmail/%d/%n" to paths. Pure: no I/O, one thread. */
#ifndef ADMIN_DOVECOT_H
#define ADMIN_DOVECOT_H

#include <limits.h>

#include "common/bytes.h"
#include "common/fault.h"

#define DOVECOT_FILES_MAX 16

struct dovecot_file {
	struct sv path;
	struct sv scheme;                       /* of passwords that name none; empty: CRYPT */
};

struct dovecot_files {
	struct dovecot_file list[DOVECOT_FILES_MAX];
	size_t count;
};

/* Views into the text; empty: not said. */
struct dovecot_settings {
	struct dovecot_files users;             /* passwd-files of passwords */
	struct dovecot_files homes;             /* passwd-files of user data; often the same */
	struct dovecot_files barred;            /* passwd-files of people who may not log in (deny = yes) */
	struct dovecot_files masters;           /* passwd-files of people who may log in as others: no accounts */
	struct sv other_passdb;                 /* a driver that is no passwd-file: "sql" */
	struct sv mail_location;                /* "maildir:~/Maildir" */
	struct sv mail_driver, mail_path;       /* the same, as Dovecot 2.4 says it */
	struct sv mail_control, mail_inbox;     /* likewise: where lists lie, where INBOX lies */
	struct sv mail_home;                    /* a template */
	struct sv static_home, static_mail;     /* likewise: home= and mail= of a userdb's arguments or fields */
	struct sv public, shared;               /* locations of namespaces of these types */
	struct sv realm;                        /* auth_default_realm */
	struct sv uidl_format;                  /* pop3_uidl_format */
	struct sv quota;                        /* the quota_rule that holds for everybody */
	struct sv sieve, sieve_dir;             /* of plugin { }, or of sieve_script personal { } */
	struct sv sieve_for_all;                /* a script that runs for everybody */
	struct sv certificate;                  /* a file */
};

/** dovecot_read - what `doveconf -n` of 2.2, 2.3 or 2.4 printed; it has to outlive *out. FAULT_INVALID: it is no such text. */
MUST_CHECK struct fault dovecot_read(struct sv text, struct dovecot_settings *out);

/* One line of a passwd-file (user:password:uid:gid:gecos:home:shell:extra). */
struct dovecot_user {
	struct sv name;                 /* as it stands there, with or without domain */
	struct sv home, mail, path;     /* mail: userdb_mail of the extra fields; path: userdb_mail_path */
};
/** dovecot_read_user - false: an empty line or a comment. */
bool dovecot_read_user(struct sv line, struct dovecot_user *out);

/** dovecot_expand - a template for one user: %u %n %d %h, %{user} %{username} %{domain} %{home}, %L before a letter (lower case),
 *  %{user | username | lower} as 2.4 writes it, a "~/" in front. False: it has something else, the home that it needs is not known, or it gets too long. */
bool dovecot_expand(struct sv template, struct sv address, struct sv home, char out[PATH_MAX]);
/** dovecot_maildir - the folder of a mail location, "maildir:~/Maildir:LAYOUT=fs". False: of another format. */
bool dovecot_maildir(struct sv location, struct sv *template);
/** dovecot_part - one of the parts behind the folder of a mail location, "CONTROL" of "maildir:~/Maildir:CONTROL=/var/control/%u". Empty:
 *  it is not there. */
struct sv dovecot_part(struct sv location, const char *name);
/** dovecot_sieve - where scripts lie, and which link names the active one: "file:~/sieve;active=~/.dovecot.sieve", or the settings of old,
 *  which name the link alone. */
void dovecot_sieve(const struct dovecot_settings *settings, struct sv *folder, struct sv *active);

/** postfix_value - one setting of `postconf -n` or main.cf, whose continued lines begin with a space. Appended to out with single
 *  spaces, and with the values of other settings in place of their names ($NAME, ${NAME}); a name that is not set stays. The last of
 *  several holds. False: it is not there. */
bool postfix_value(struct sv text, const char *name, struct buf *out);
/** postfix_word - the next word of a list, whose words are separated by commas, spaces or both. */
bool postfix_word(struct sv *list, struct sv *word);
/** postfix_map - "hash:/etc/postfix/virtual": the text file that this kind of map is made from. False: another kind. */
bool postfix_map(struct sv map, struct sv *path);

#endif
