/* imapd/workaround.c - see workaround.h. */
#include "imapd/workaround.h"

#include "common/log.h"

#include "common/banned.h"

/* A row needs a program that misbehaves with a server that does everything right. */
static const struct workaround rows[] = {
	{ "ios-imap4rev2", "os", "iOS", CAPABILITY_BIT(CAP_REV2),
	  "mailboxes looked empty where IMAP4rev2 stood beside IMAP4rev1" },
	{ "ios-imap4rev2", "os", "iPadOS", CAPABILITY_BIT(CAP_REV2),
	  "mailboxes looked empty where IMAP4rev2 stood beside IMAP4rev1" },
	{ "ios-compress", "os", "iOS", CAPABILITY_BIT(CAP_COMPRESS),
	  "compressed sessions time out now and then" },
	{ "ios-compress", "os", "iPadOS", CAPABILITY_BIT(CAP_COMPRESS),
	  "compressed sessions time out now and then" },
};

_Static_assert(ARRAY_LEN(rows) <= 32, "a workaround_set has a bit for each row");

static bool is_on(const struct conf_list *on, const char *name)
{
	for (size_t i = 0; i < on->count; i++)
		if (sv_eq_nocase(sv_z(on->items[i]), sv_z(name)))
			return true;
	return false;
}

static bool says(const struct id *client, const struct workaround *row)
{
	struct sv value = sv_eq(sv_z(row->field), SV("os")) ? client->os : client->name;

	return sv_eq_nocase(value, sv_z(row->value));
}

const struct workaround *workaround_find(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (sv_eq_nocase(name, sv_z(rows[i].name)))
			return &rows[i];
	return NULL;
}

capability_set workarounds_apply(const struct conf_list *on, const struct id *client, capability_set offered,
				 workaround_set *in_force, const struct log_ctx *log)
{
	capability_set hidden = 0;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct workaround *row = &rows[i];

		if (!says(client, row) || !is_on(on, row->name) || !(row->hides & offered & ~hidden))
			continue;
		hidden |= row->hides;
		*in_force |= (workaround_set)1 << i;
		log_info(log, "imap.workaround", KV_Z("name", row->name), KV_Z("why", row->why));
	}
	return hidden;
}

void workarounds_put(struct json_out *j, const char *name, workaround_set in_force)
{
	json_out_array(j, name);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (in_force >> i & 1)
			json_out_z(j, NULL, rows[i].name);
	json_out_array_end(j);
}
