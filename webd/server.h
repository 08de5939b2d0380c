/* webd/server.h - what the connections of the one worker share. Made once, before the first connection. */
#ifndef WEBD_SERVER_H
#define WEBD_SERVER_H

#include "common/conf.h"
#include "common/fault.h"
#include "common/netaddr.h"

struct auth;
struct directory;
struct instance;
struct loop;
struct offers;
struct session;
struct status_recorder;
struct visits;
struct worker;

struct web_server {
	struct loop *loop;
	struct conf *conf;              /* replaced by a reload; a job takes a reference */
	const struct instance *instance;
	struct directory *directory;
	struct auth *auth;
	struct visits *visits;          /* who is signed in at the account page */
	struct offers *offers;          /* links that set up a phone */
	struct status_recorder *status;
	struct worker *worker;
	struct session *sessions;       /* with a connection */
	uint32_t session_count;
	uint32_t alive_count;           /* also those whose job is not done yet */
	uint64_t requests, errors;      /* since start; errors: answers from 500 on */
	bool is_stopping;
};

#endif
