/* postroom alias import: Postfix's virtual_alias_maps as text, and /etc/aliases. */
#include "admin/alias_import.h"

#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* What stands for a program, a file or a list of addresses elsewhere, which an address cannot. */
static bool is_command(struct sv target)
{
	return target.p[0] == '|' || target.p[0] == '/' || target.p[0] == '"' || target.p[0] == ':' || target.p[0] == '\\';
}

static bool is_separator(char c)
{
	return c == ',' || c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* The next target of a list. */
static bool next_target(struct sv *list, struct sv *target)
{
	size_t len = 0;

	while (list->len && is_separator(list->p[0]))
		sv_skip(list, 1);
	while (len < list->len && !is_separator(list->p[len]))
		len++;
	*target = sv_sub(*list, 0, len);
	sv_skip(list, len);
	return len > 0;
}

struct targets {
	char texts[CLI_ARGS_MAX * 4][DIRECTORY_ADDRESS_MAX + 1];
	struct sv items[CLI_ARGS_MAX * 4];
	size_t count;
};

static struct fault read_targets(const struct bulk *b, struct sv list, struct targets *out)
{
	struct sv target;

	out->count = 0;
	while (next_target(&list, &target)) {
		if (is_command(target))
			return fault_detail(FAULT_UNSUPPORTED, "%.*s is no address; Sieve or an LMTP program does such things",
					    SV_FMT(target));
		if (out->count == ARRAY_LEN(out->items))
			return fault_detail(FAULT_LIMIT, "more than %zu targets; use postroom alias add", out->count);
		struct fault f = bulk_address(b, target, out->texts[out->count]);

		if (f.kind)
			return f;
		out->items[out->count] = sv_z(out->texts[out->count]);
		out->count++;
	}
	return out->count ? FAULT_OK : fault(FAULT_INVALID, "no target");
}

static struct fault set_catch_all(struct bulk *b, struct sv domain, const struct targets *to)
{
	struct directory_domain d = { .catch_all = "" };
	struct fault f = bulk_is_planned(b, domain) ? FAULT_OK : directory_domain_get(b->dir, domain, &d);

	if (f.kind)
		return f;
	if (to->count != 1)
		return fault(FAULT_UNSUPPORTED, "a catch-all has one target; make it an alias");
	if (sv_eq(to->items[0], sv_z(d.catch_all)))
		return fault(FAULT_EXISTS, "there already");
	if (d.catch_all[0])
		return fault_detail(FAULT_DENIED, "the domain %s has the catch-all %s", d.name, d.catch_all);
	memcpy(d.catch_all, to->items[0].p, to->items[0].len + 1);
	return b->is_dry ? FAULT_OK : directory_domain_set(b->dir, &d);
}

static bool has_target(const struct sv *items, size_t count, struct sv target)
{
	for (size_t i = 0; i < count; i++)
		if (sv_eq_nocase(items[i], target))
			return true;
	return false;
}

/* An account has no alias of its own name; what comes nearest is a rule that sends its mail on. */
static struct fault forward_instead(struct sv address, const struct targets *to)
{
	bool keeps = has_target(to->items, to->count, address);
	struct sv other = SV_NONE;

	for (size_t i = 0; i < to->count && !other.len; i++)
		if (!sv_eq_nocase(to->items[i], address))
			other = to->items[i];
	if (!other.len)
		return fault(FAULT_EXISTS, "an account is its own target anyway");
	return fault_detail(FAULT_DENIED, "%.*s is an account; to forward its mail: postroom rule add %.*s --forward %.*s%s%s",
			    SV_FMT(address), SV_FMT(address), SV_FMT(other), keeps ? " --copy INBOX" : "",
			    to->count > (size_t)keeps + 1 ? "; to all of them: an alias of another name as the target" : "");
}

/* An alias that is here already stays as it is, but nobody should believe that it is the old one when it is another. */
static struct fault compare(const struct bulk *b, struct sv address, const struct targets *to)
{
	struct directory_alias there;
	struct arena arena;
	struct fault f;

	arena_init(&arena, (size_t)8 << 20);
	f = directory_alias_get(b->dir, &arena, address, &there);
	bool is_same = !f.kind && there.count == to->count;

	for (size_t i = 0; is_same && i < to->count; i++)
		is_same = has_target(there.targets, there.count, to->items[i]);
	if (!f.kind && !is_same)
		bulk_note(b, "%.*s is here already and goes to other addresses: postroom alias set %.*s TARGET... changes that", SV_FMT(address),
			  SV_FMT(address));
	arena_done(&arena);
	return !f.kind ? fault(FAULT_EXISTS, "there already") : f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

static struct fault add_alias(struct bulk *b, struct sv address, const struct targets *to)
{
	struct directory_account account;
	struct fault f = directory_account_get(b->dir, address, &account);

	if (!f.kind || (f.kind == FAULT_NOT_FOUND && bulk_is_planned_account(b, address)))
		return forward_instead(address, to);
	if (f.kind != FAULT_NOT_FOUND)
		return f;
	f = compare(b, address, to);
	if (f.kind || !b->is_dry)
		return f.kind ? f : directory_alias_add(b->dir, address, to->items, to->count);
	struct sv domain = sv_sub(address, sv_rfind(address, '@') + 1, SIZE_MAX);
	struct directory_domain d;

	return bulk_is_planned(b, domain) ? FAULT_OK : directory_domain_get(b->dir, domain, &d);
}

static struct fault take(struct bulk *b, struct sv line)
{
	struct targets *to = b->arg;
	char address[DIRECTORY_ADDRESS_MAX + 1];
	struct sv name;
	size_t end = 0;

	while (end < line.len && !is_separator(line.p[end]) && line.p[end] != ':')
		end++;
	name = sv_sub(line, 0, end);
	sv_skip(&line, end);
	if (line.len && line.p[0] == ':')
		sv_skip(&line, 1);
	/* A domain by itself says that there is such a domain, in maps of the old kind; what stands behind it means nothing. */
	struct directory_domain d;

	if (name.len && sv_find(name, '@') == SIZE_MAX && sv_find(name, '.') != SIZE_MAX &&
	    (bulk_is_planned(b, name) || !directory_domain_get(b->dir, name, &d).kind))
		return fault(FAULT_EXISTS, "there already");
	struct fault f = read_targets(b, line, to);

	if (f.kind)
		return f;
	if (name.len > 1 && name.p[0] == '@')
		return set_catch_all(b, sv_sub(name, 1, name.len), to);
	f = bulk_address(b, name, address);
	return f.kind ? f : add_alias(b, sv_z(address), to);
}

int alias_import(struct cli *cli)
{
	struct targets *to = xcalloc(1, sizeof(*to));
	int code = bulk_run(cli, true, take, to);

	free(to);
	return code;
}

int alias_import_from(struct cli *cli, const struct bulk_source *source, struct bulk_counts *counts)
{
	struct targets *to = xcalloc(1, sizeof(*to));
	int code = bulk_run_from(cli, source, true, take, to, counts);

	free(to);
	return code;
}
