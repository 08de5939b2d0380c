#include "pop3d/server.h"

#include "common/directory.h"
#include "common/identity.h"
#include "maildir/store.h"

#include "common/banned.h"

struct fault server_open_user(const struct pop3_server *server, const struct auth_identity *id,
			      struct maildir_user **out)
{
	struct directory_account account;
	struct fault f = directory_account_by_id(server->directory, identity_account(id), &account);

	if (f.kind)
		return f;
	struct quota quota = { account.quota_bytes, account.quota_messages };

	return maildir_user_open(server->store, id, &quota, out);
}
