#include "smtpd/accept.h"

#include "common/banned.h"

void accept_init(struct accept_plan *plan)
{
	*plan = (struct accept_plan){ .rcpt_count = 0 };
	arena_init(&plan->arena, ACCEPT_MAX);
	plan->end = &plan->rcpts;
}

static void close_drops(struct accept_rcpt *rcpt)
{
	for (struct accept_place *p = rcpt->places; p; p = p->next)
		maildir_drop_close(&p->drop);
}

void accept_close(struct accept_plan *plan)
{
	for (struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		close_drops(r);
	plan->is_open = false;
}

void accept_done(struct accept_plan *plan)
{
	arena_done(&plan->arena);
	accept_init(plan);
}

/* address_text - local@domain in the arena; p is NULL when there is no room. */
static struct sv address_text(struct arena *arena, const struct address *a)
{
	struct buf text;
	struct sv copy = SV_NONE;

	buf_init(&text, DIRECTORY_ADDRESS_MAX);
	if (address_append(&text, a, ADDRESS_AS_GIVEN))
		copy = arena_copy(arena, buf_sv(&text));
	buf_done(&text);
	return copy;
}

/* make_place - what one target of a route means by default. */
static bool make_place(struct arena *arena, const struct directory_target *t, struct sv rcpt,
		       struct accept_place *p)
{
	if (t->list) {
		p->kind = ACCEPT_REDIRECT;
		p->redirect = arena_copy(arena, t->address);
		p->via = arena_copy(arena, t->list->address);
		p->list_owner = arena_copy(arena, t->list->owner);
		return p->redirect.p && p->via.p && p->list_owner.p;
	}
	if (t->is_remote) {
		p->kind = ACCEPT_REDIRECT;
		p->redirect = arena_copy(arena, t->address);
		p->via = t->is_via_alias ? rcpt : SV_NONE;
		return p->redirect.p != NULL;
	}
	p->kind = ACCEPT_MAILBOX;
	p->account = arena_copy(arena, t->address);
	p->quota = (struct quota){ t->quota_bytes, t->quota_messages };
	p->mailbox = SV("INBOX");
	return p->account.p != NULL;
}

static bool add_place(struct arena *arena, struct accept_rcpt *rcpt,
		      const struct directory_target *t)
{
	struct accept_place *p = arena_alloc(arena, sizeof(*p));
	struct accept_place **end = &rcpt->places;

	if (!p || !make_place(arena, t, rcpt->address, p))
		return false;
	while (*end)
		end = &(*end)->next;
	*end = p;
	return true;
}

static bool add_params(struct arena *arena, struct accept_rcpt *rcpt, const struct smtp_path *path)
{
	for (; rcpt->param_count < path->param_count; rcpt->param_count++) {
		struct sv text = arena_copy(arena, path->params[rcpt->param_count].text);

		if (!text.p)
			return false;
		rcpt->params[rcpt->param_count] = text;
	}
	return true;
}

/* add_elsewhere - a recipient that the client sends to through us: the address itself is the place.
 */
static bool add_elsewhere(struct arena *arena, struct accept_rcpt *rcpt)
{
	struct directory_target t = { .is_remote = true, .address = rcpt->address };

	return add_place(arena, rcpt, &t);
}

/* fill - of what is for later the address itself waits, and is looked up again then. But who may send to a list is asked now, while
 * somebody is logged in: it is its members that wait. */
static bool fill(struct arena *arena, struct accept_rcpt *rcpt, const struct directory_route *route, bool is_held)
{
	if (route->answer == DIRECTORY_NOT_OURS || (is_held && !route->list_count))
		return add_elsewhere(arena, rcpt);
	for (size_t i = 0; i < route->count; i++) {
		struct directory_target t = route->targets[i];

		t.is_remote |= is_held;
		if (!add_place(arena, rcpt, &t))
			return false;
	}
	return true;
}

struct fault accept_add(struct accept_plan *plan, const struct smtp_path *path,
			const struct directory_route *route, struct accept_rcpt **out)
{
	struct accept_rcpt *rcpt = arena_alloc(&plan->arena, sizeof(*rcpt));
	struct sv forwarders[ACCEPT_FORWARDERS_MAX + 1];

	if (!rcpt)
		return fault(FAULT_LIMIT, "plan: too many recipients");
	rcpt->address = address_text(&plan->arena, &path->address);
	if (!rcpt->address.p || !add_params(&plan->arena, rcpt, path) ||
	    !fill(&plan->arena, rcpt, route, plan->is_held))
		return fault(FAULT_LIMIT, "plan: too many recipients");
	*plan->end = rcpt;
	plan->rcpt_count++;
	if (accept_forwarders(plan, forwarders) > ACCEPT_FORWARDERS_MAX) {
		accept_drop_last(plan);
		return fault(FAULT_LIMIT, "plan: too many forwarding aliases");
	}
	plan->end = &rcpt->next;
	*out = rcpt;
	return FAULT_OK;
}

void accept_drop_last(struct accept_plan *plan)
{
	struct accept_rcpt **at = &plan->rcpts;

	if (!*at)
		return;
	while ((*at)->next)
		at = &(*at)->next;
	close_drops(*at);
	*at = NULL;
	plan->end = at;
	plan->rcpt_count--;
}

struct fault accept_open(struct accept_plan *plan, struct accept_rcpt *rcpt, struct store *store,
			 uint64_t size)
{
	struct fault f = FAULT_OK;

	plan->is_open = true;
	for (struct accept_place *p = rcpt->places; p && !f.kind; p = p->next) {
		if (p->kind != ACCEPT_MAILBOX)
			continue;
		f = maildir_drop_open(store, p->account, &p->quota, &p->drop);
		if (!f.kind)
			f = maildir_drop_fits(p->drop, size);
	}
	return f;
}

struct fault accept_refile(struct accept_plan *plan, struct accept_rcpt *rcpt,
			   const struct accept_place *like, enum accept_kind kind,
			   struct store *store, struct accept_place **out)
{
	struct accept_place *p = arena_alloc(&plan->arena, sizeof(*p));
	struct accept_place **end = &rcpt->places;
	struct fault f = FAULT_OK;

	if (!p)
		return fault(FAULT_LIMIT, "plan: too many places");
	*p = (struct accept_place){ .kind = kind, .account = like->account, .quota = like->quota };
	if (kind == ACCEPT_MAILBOX)
		f = maildir_drop_open(store, p->account, &p->quota, &p->drop);
	if (f.kind)
		return f;
	while (*end)
		end = &(*end)->next;
	*end = p;
	*out = p;
	return FAULT_OK;
}

void accept_drop_place(struct accept_rcpt *rcpt, struct accept_place *place)
{
	struct accept_place **at = &rcpt->places;

	while (*at != place)
		at = &(*at)->next;
	*at = place->next;
	maildir_drop_close(&place->drop);
}

void accept_set_junk(struct accept_plan *plan)
{
	plan->is_junk = true;
	for (struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		for (struct accept_place *p = r->places; p; p = p->next)
			if (p->kind == ACCEPT_MAILBOX && sv_eq_nocase(p->mailbox, SV("INBOX"))) {
				p->mailbox = SV(ACCEPT_JUNK);
				p->create = true;
			}
}

size_t accept_count(const struct accept_plan *plan, enum accept_kind kind)
{
	size_t n = 0;

	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p; p = p->next)
			n += p->kind == kind;
	return n;
}

static bool is_known(const struct sv *list, size_t count, struct sv s)
{
	for (size_t i = 0; i < count; i++)
		if (sv_eq(list[i], s))
			return true;
	return false;
}

size_t accept_forwarders(const struct accept_plan *plan, struct sv out[ACCEPT_FORWARDERS_MAX + 1])
{
	size_t n = 0;

	for (const struct accept_rcpt *r = plan->rcpts; r; r = r->next)
		for (const struct accept_place *p = r->places; p; p = p->next)
			if (p->kind == ACCEPT_REDIRECT && n <= ACCEPT_FORWARDERS_MAX &&
			    !is_known(out, n, p->via))
				out[n++] = p->via;
	return n;
}
