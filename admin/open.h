/* admin/open.h - the parts of an instance that verbs work on, opened with one line. Each function tells its
 * error and returns an exit code. */
#ifndef ADMIN_OPEN_H
#define ADMIN_OPEN_H

#include "admin/cli.h"

struct auth_identity;
struct conf;
struct conf_report;
struct directory;
struct json;
struct maildir_drop;
struct maildir_user;
struct store;

/** check_domain - tell it when this is none of the instance's domains; NULL is fine. Returns an exit code. */
int check_domain(struct directory *dir, const char *name);
/** open_conf - the instance's configuration; every error in it is told. conf_unref() ends it. */
int open_conf(struct cli *cli, struct conf **out);
/** open_conf_file - the same from another file. */
int open_conf_file(struct cli *cli, const char *path, struct conf **out);
int open_directory(struct cli *cli, struct directory **out);
/** list_accounts - canonical addresses of what a verb is to work on: one account, or all (of a domain, when not NULL).
 *  directory_addresses_free() ends the list, also after an error. */
int list_accounts(struct cli *cli, const char *only, const char *domain, char ***out, size_t *count);

/* An account's mail, for the person who owns the instance. */
struct open_user {
	struct store *store;
	struct auth_identity *identity;
	struct maildir_user *user;
};
int open_user(struct cli *cli, const char *address, struct open_user *out);
/** open_user_beyond_quota - for mail that was theirs already, before it came here. */
int open_user_beyond_quota(struct cli *cli, const char *address, struct open_user *out);
void close_user(struct open_user *user);
/** open_store - the store alone (index check, delivery). store_close() ends it. */
int open_store(struct cli *cli, struct store **out);

/* Where the next page of a long answer begins, and where the last one ends. Empty: at the first message, and not yet known. */
struct paging {
	char more[40], until[40];
};
struct json_out;
/** paging_take - is this the line, or one with the members, that says that there is more? */
bool paging_take(struct paging *place, const struct json *line);
/** paging_put - into a request for the next page; empty afterwards. */
void paging_put(struct paging *place, struct json_out *request);

/** ask_daemon - send a request to a daemon's control socket; fn gets each answer. EXIT_UNAVAILABLE when nothing runs. */
int ask_daemon(struct cli *cli, const char *daemon, struct sv request,
	       bool (*fn)(void *arg, const struct json *answer), void *arg);

#endif
