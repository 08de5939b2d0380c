/* maildir/acl.c - see acl.h: lists and letters. What asks the store is in access.c. */
#include "maildir/acl.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

#define OLD_CREATE (RIGHT_CREATE | RIGHT_REMOVE)        /* RFC 2086's c ... */
#define OLD_DELETE (RIGHT_DELETE | RIGHT_EXPUNGE)       /* ... and d */

static const char letters[] = "lrswipkxtea";            /* by bit number */

bool rights_read(struct sv text, uint32_t *rights)
{
	*rights = 0;
	for (size_t i = 0; i < text.len; i++) {
		const char *at = text.p[i] ? strchr(letters, text.p[i]) : NULL;

		if (at)
			*rights |= 1u << (at - letters);
		else if (text.p[i] == 'c')
			*rights |= OLD_CREATE;
		else if (text.p[i] == 'd')
			*rights |= OLD_DELETE;
		else
			return false;
	}
	return true;
}

void rights_write(uint32_t rights, bool with_old, char out[RIGHTS_TEXT_MAX])
{
	for (size_t i = 0; letters[i]; i++)
		if (rights >> i & 1)
			*out++ = letters[i];
	if (with_old && rights & OLD_CREATE)
		*out++ = 'c';
	if (with_old && rights & OLD_DELETE)
		*out++ = 'd';
	*out = '\0';
}

struct acl_entry *acl_find(const struct acl *acl, struct sv name, bool is_negative)
{
	for (size_t i = 0; i < acl->count; i++)
		if (acl->entries[i].is_negative == is_negative && sv_eq_nocase(sv_z(acl->entries[i].name), name))
			return &acl->entries[i];
	return NULL;
}

bool acl_put(struct acl *acl, const struct acl_entry *entry)
{
	struct acl_entry *have = acl_find(acl, sv_z(entry->name), entry->is_negative);

	if (!have && !entry->rights)
		return true;
	if (!have && acl->count == ACL_ENTRIES_MAX)
		return false;
	if (!have) {
		acl->entries = xrealloc(acl->entries, (acl->count + 1) * sizeof(*acl->entries));
		have = &acl->entries[acl->count++];
	}
	if (entry->rights) {
		*have = *entry;
		return true;
	}
	size_t behind = acl->count - (size_t)(have - acl->entries) - 1;

	memmove(have, have + 1, behind * sizeof(*have));
	acl->count--;
	return true;
}

uint32_t acl_rights(const struct acl *acl, struct sv id)
{
	uint32_t granted = 0, taken = 0;

	for (size_t i = 0; i < acl->count; i++) {
		const struct acl_entry *e = &acl->entries[i];

		if (*e->id && !sv_eq(sv_z(e->id), id))
			continue;
		if (e->is_negative)
			taken |= e->rights;
		else
			granted |= e->rights;
	}
	return granted & ~taken;
}

void acl_done(struct acl *acl)
{
	free(acl->entries);
	*acl = (struct acl){ 0 };
}

bool acl_read_line(struct sv line, struct acl *acl)
{
	struct acl_entry e = { 0 };
	struct sv rights = SV_NONE, id = SV_NONE;

	if (!sv_split(&line, ' ', &rights) || !sv_split(&line, ' ', &id))
		return false;
	if (sv_starts(rights, SV("-"))) {
		e.is_negative = true;
		sv_skip(&rights, 1);
	}
	if (!rights_read(rights, &e.rights) || !e.rights || !id.len || id.len > DIRECTORY_ID_LEN || !line.len ||
	    line.len > DIRECTORY_ADDRESS_MAX || sv_find(line, '\0') != SIZE_MAX || sv_find(id, '\0') != SIZE_MAX)
		return false;
	if (!sv_eq(id, SV("-")))
		memcpy(e.id, id.p, id.len);
	memcpy(e.name, line.p, line.len);
	/* Without an id it is for everybody: that must be what was meant. */
	if (!*e.id != sv_eq(line, SV(ACL_ANYONE)))
		return false;
	return !acl_find(acl, line, e.is_negative) && acl_put(acl, &e);
}

bool acl_write_line(const struct acl_entry *entry, struct buf *out)
{
	char rights[RIGHTS_TEXT_MAX];

	rights_write(entry->rights, false, rights);
	return buf_appendf(out, "%s%s %s %s", entry->is_negative ? "-" : "", rights, *entry->id ? entry->id : "-",
			   entry->name);
}
