/* webd/account_view.h - what the account page shows of an account, gathered from where it is: the account directory, the list of devices,
 * and imapd, which alone sees the mailbox. Blocks: in a job. */
#ifndef WEBD_ACCOUNT_VIEW_H
#define WEBD_ACCOUNT_VIEW_H

#include "common/crypt.h"
#include "common/directory.h"
#include "common/memory.h"

struct route_context;

#define VIEW_DEVICES_MAX 50     /* those used last */

struct view_device {
	struct sv name, credential, protocol, address;
	char key[33];
	uint32_t number;                /* of the credential */
	int64_t last_s;
};

struct account_view {
	struct directory_login login;   /* account and credentials */
	struct arena arena;             /* of the texts */
	struct view_device devices[VIEW_DEVICES_MAX];   /* used last first */
	size_t device_count;
	bool has_settings;              /* imapd has answered */
	uint64_t bytes, bytes_max, messages, messages_max;
	bool rules_are_edited;
	struct {
		bool is_on;
		struct sv message, subject, from, until;
	} vacation;
};

/** account_view_new - NULL: the account cannot be read now. */
struct account_view *account_view_new(const struct route_context *ctx, struct sv address);
void account_view_free(struct account_view **view);

/** account_mark_of - the same of an account by its address. FAULT_NOT_FOUND: it is not there. Any other fault says nothing about it. */
MUST_CHECK struct fault account_mark_of(struct directory *directory, struct sv address, uint8_t out[CRYPT_SHA256_LEN]);

#endif
