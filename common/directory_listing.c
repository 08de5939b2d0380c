/* Going through the tables of the directory, for whoever lists what is in them. */
#include "common/directory_private.h"

#include "common/banned.h"

struct fault listing_begin(struct listing *l, const struct directory *dir, unsigned table)
{
	*l = (struct listing){ .dir = dir };
	kv_key_init(&l->prefix);
	struct fault f = kv_read_begin(dir->env, &l->txn);

	if (!f.kind)
		f = kv_cursor_open(l->txn, table, &l->cursor);
	if (f.kind)
		listing_close(l);
	return f;
}

struct fault listing_begin_names(struct listing *l, const struct directory *dir, struct sv domain)
{
	char canonical[ADDRESS_DOMAIN_MAX + 1];
	struct fault f = domain.len ? domain_seen(dir, domain, canonical) : FAULT_OK;

	if (!f.kind)
		f = listing_begin(l, dir, DT_NAMES);
	if (f.kind)
		return f;
	l->is_each_domain = !domain.len && dir->only;
	if (domain.len)
		name_key_prefix(sv_z(canonical), &l->prefix);
	return f;
}

static struct fault next_with_prefix(struct listing *l)
{
	struct sv prefix = kv_key_view(&l->prefix);
	struct fault f = l->is_begun ? kv_cursor_next(l->cursor, &l->key, &l->value) :
				       kv_cursor_seek(l->cursor, prefix, &l->key, &l->value);

	l->is_begun = true;
	if (!f.kind && !sv_starts(l->key, prefix))
		f = fault(FAULT_NOT_FOUND, "end");
	return f;
}

struct fault listing_next(struct listing *l)
{
	const struct directory_delegate *only = l->dir->only;
	struct fault f = fault(FAULT_NOT_FOUND, "end");

	if (!l->is_each_domain)
		return next_with_prefix(l);
	for (; l->at < only->domain_count; l->at++, l->is_begun = false) {
		name_key_prefix(sv_z(only->domains[l->at]), &l->prefix);
		f = next_with_prefix(l);
		if (f.kind != FAULT_NOT_FOUND)
			break;
	}
	return f;
}

void listing_close(struct listing *l)
{
	kv_cursor_close(&l->cursor);
	kv_read_end(&l->txn);
}

struct fault listing_end(struct listing *l, struct fault f)
{
	listing_close(l);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}
