/* imapd/managesieve.h - people's mail filters by ManageSieve (RFC 5804), served by imapd's workers: the same accounts, TLS and SASL.
 *
 *   managesieve_grammar  octets to commands
 *   managesieve          a connection: its state, the table of commands, replies, jobs, its end
 *   managesieve_door     before login: STARTTLS, AUTHENTICATE; knows nothing of the store
 *   managesieve_room     after login: the scripts
 *
 * Loop thread only; what touches files runs in jobs, which see copies and the account's scripts, never the session. */
#ifndef IMAPD_MANAGESIEVE_H
#define IMAPD_MANAGESIEVE_H

#include "common/conf.h"
#include "common/listener.h"
#include "common/loop.h"
#include "common/stream.h"

struct auth;
struct directory;
struct filters;
struct control_reply;
struct roster;
struct ms_session;
struct store;

/* What all sessions of a worker share. Pointers are read at each use: a reload may change them. */
struct ms_house {
	struct loop *loop;
	const struct conf *conf;
	struct auth *auth;
	struct roster *roster;
	struct tls_server *tls;         /* NULL: no STARTTLS */
	struct directory *directory;
	struct store *store;
	struct filters *filters;
	void (*empty)(void *user);      /* stopping, and the last session is gone */
	void *user;
	struct ms_session *sessions;    /* with a connection */
	uint32_t count;
	uint32_t alive;                 /* also those whose last job is not done yet */
	uint64_t commands;
	bool is_stopping;
};

/** ms_open - take over a new connection. */
void ms_open(struct ms_house *house, struct stream *stream, const struct listener *listener);
/** ms_describe_all - for the control verb `sessions`: a line for each. False: nobody reads them any more. */
bool ms_describe_all(const struct ms_house *house, struct control_reply *reply);
struct kick;
/** ms_kick - end those that it names; returns how many. */
size_t ms_kick(struct ms_house *house, const struct kick *kick);
/** ms_stop_all - say BYE to all; running jobs end first. empty() follows when there were none left, too. */
void ms_stop_all(struct ms_house *house);

#endif
