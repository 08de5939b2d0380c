#include "smtpd/local.h"

#include <stdlib.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

#define USERS_MAX 65536

struct user {
	uid_t uid;
	struct sv name;                 /* of l->text */
};

struct local {
	char *text, *domain;
	struct user *users;
	size_t count, cap;
};

/* add_user - "root:x:0:0:root:/root:/bin/bash". Of several names of one user the first is his (getpwuid(3)). */
static void add_user(struct local *l, struct sv line)
{
	struct sv name, password, number;
	uint32_t uid;

	if (!sv_split(&line, ':', &name) || !sv_split(&line, ':', &password) || !sv_split(&line, ':', &number) ||
	    !name.len || name.len > ADDRESS_LOCAL_MAX || !sv_is_utf8(name) || !sv_to_u32(number, &uid) ||
	    l->count == USERS_MAX)
		return;
	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 64;
		l->users = xrealloc(l->users, l->cap * sizeof(*l->users));
	}
	l->users[l->count++] = (struct user){ .uid = uid, .name = name };
}

struct local *local_new(struct sv users, struct sv domain)
{
	struct local *l = xcalloc(1, sizeof(*l));
	struct sv line, rest;

	l->text = sv_copy_z(users);
	l->domain = sv_copy_z(domain);
	rest = sv_from(l->text, users.len);
	while (sv_split(&rest, '\n', &line))
		add_user(l, line);
	return l;
}

void local_free(struct local **l)
{
	if (!*l)
		return;
	free((*l)->text);
	free((*l)->domain);
	free((*l)->users);
	free(*l);
	*l = NULL;
}

struct sv local_domain(const struct local *l)
{
	return sv_z(l->domain);
}

bool local_address(const struct local *l, uid_t uid, struct buf *out)
{
	size_t before = out->len;
	bool fits = false, is_known = false;

	for (size_t i = 0; i < l->count && !is_known; i++) {
		is_known = l->users[i].uid == uid;
		if (is_known)
			fits = address_local_append(out, l->users[i].name);
	}
	if (!is_known)
		fits = buf_appendf(out, "uid%lu", (unsigned long)uid);
	fits = fits && buf_appendf(out, "@%s", l->domain);
	if (!fits)
		out->len = before;
	return fits;
}

bool local_has(const struct local *l, const struct address *a)
{
	bool has;
	uint32_t uid;

	if (!sv_eq_nocase(a->domain, sv_z(l->domain)))
		return false;
	has = sv_starts(a->local, SV("uid")) && sv_to_u32(sv_sub(a->local, 3, SIZE_MAX), &uid);
	for (size_t i = 0; i < l->count && !has; i++)
		has = sv_eq(l->users[i].name, a->local);
	return has;
}

bool local_may_send_any(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

/* ---- as whom ---- */

/* rule_of - "www-data=shop@example.org" taken apart. */
static bool rule_of(const char *item, struct sv *user, struct sv *address)
{
	*address = sv_z(item);
	return sv_split(address, '=', user) && user->len && address->len > 1 && sv_rfind(*address, '@') != SIZE_MAX &&
	       sv_rfind(*address, '@') + 1 < address->len;
}

bool local_senders_check(const char *item)
{
	struct sv user, address;

	return rule_of(item, &user, &address);
}

static bool is_allowed(struct sv rule, const struct address *as)
{
	size_t at = sv_rfind(rule, '@');

	return sv_eq_nocase(sv_sub(rule, at + 1, SIZE_MAX), as->domain) &&
	       (!at || sv_eq_nocase(sv_sub(rule, 0, at), as->local));
}

bool local_may_send(const struct conf *conf, struct sv user, const struct address *as)
{
	size_t at = sv_rfind(user, '@');
	struct sv name = sv_sub(user, 0, at), domain = sv_sub(user, at + 1, SIZE_MAX);
	struct sv untagged = as->local, tag, who, rule;

	(void)address_split_tag(as->local, '+', &untagged, &tag);
	if (sv_eq(untagged, name) &&
	    (sv_eq_nocase(as->domain, domain) || sv_eq_nocase(as->domain, sv_z(conf->host.hostname))))
		return true;
	for (size_t i = 0; i < conf->smtp.local_senders.count; i++)
		if (rule_of(conf->smtp.local_senders.items[i], &who, &rule) && sv_eq(who, name) && is_allowed(rule, as))
			return true;
	return false;
}
