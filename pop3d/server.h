/* pop3d/server.h - what the sessions of one worker share. Made once per worker, before the first connection. */
#ifndef POP3D_SERVER_H
#define POP3D_SERVER_H

#include "common/chore.h"
#include "common/conf.h"
#include "common/fault.h"
#include "maildir/device_notice.h"

struct auth;
struct auth_identity;
struct directory;
struct maildir_user;
struct pop3_session;
struct roster;
struct store;
struct tls_server;
struct worker;

struct pop3_server {
	struct loop *loop;
	const struct conf *conf;        /* replaced by a reload; sessions look through the server each time */
	struct tls_server *tls;         /* NULL: no certificate, STLS is not offered */
	struct directory *directory;
	struct auth *auth;
	struct roster *roster;
	struct store *store;
	struct worker *worker;
	struct device_notice notice;
	struct chore tidy;
	struct pop3_session *sessions;  /* with a connection */
	uint32_t session_count;
	uint32_t alive_count;           /* also those whose last job is not done yet */
	bool is_stopping;
};

/** server_open_user - the account of an identity, with the quota that the directory gives it. Blocks: workers only. */
MUST_CHECK struct fault server_open_user(const struct pop3_server *server, const struct auth_identity *id,
					 struct maildir_user **out);

#endif
