/* imapd/thread.c - see thread.h. Steps are those of RFC 5256 §3, THREAD=REFERENCES. */
#include "imapd/thread.h"

#include <stdlib.h>

#include "common/memory.h"
#include "imapd/sort.h"

#include "common/banned.h"

#define NOBODY UINT32_MAX
#define STEPS_MAX 4096          /* looked at for one link: what lies deeper is taken for a loop */

struct thread_node {
	uint32_t number;        /* told of it; 0: nobody has this message */
	uint32_t subject;       /* number in subjects, later its rank */
	uint32_t id;            /* its own; NOBODY: none that counts */
	uint32_t parent;
	uint32_t first_child, last_child, next;
	uint32_t ref_at, ref_count;
	int64_t sent, arrived;  /* `arrived` of REFS: of the latest message below */
	bool is_reply, is_linked, is_gone;
};

/* ---- what is known of the messages ---- */

void threader_init(struct threader *t, enum thread_algorithm algorithm, size_t max)
{
	*t = (struct threader){ .algorithm = algorithm, .max = max, .subjects = { .max = max / 2 } };
}

void threader_done(struct threader *t)
{
	ranks_done(&t->subjects);
	free(t->nodes);
	free(t->ids);
	free(t->refs);
	threader_init(t, t->algorithm, t->max);
}

static bool has_memory(const struct threader *t, size_t more)
{
	size_t used = t->cap * sizeof(*t->nodes) + t->id_slots * sizeof(*t->ids) + t->ref_cap * sizeof(*t->refs);

	return more <= t->max / 2 && used <= t->max / 2 - more;
}

static struct thread_id *id_slot(struct threader *t, uint64_t hash)
{
	size_t i = (size_t)hash & (t->id_slots - 1);

	while (t->ids[i].id && t->ids[i].hash != hash)
		i = (i + 1) & (t->id_slots - 1);
	return &t->ids[i];
}

static bool grow_ids(struct threader *t)
{
	struct thread_id *old = t->ids;
	size_t old_slots = t->id_slots, slots = old_slots ? old_slots * 2 : 1024;

	if (!has_memory(t, slots * sizeof(*old)))
		return false;
	t->ids = xcalloc(slots, sizeof(*t->ids));
	t->id_slots = slots;
	for (size_t i = 0; i < old_slots; i++)
		if (old[i].id)
			*id_slot(t, old[i].hash) = old[i];
	free(old);
	return true;
}

/* id_of - a Message-ID by its keyed hash: 64 bits that no sender can aim at. Numbers are dense, from 0 on. */
static bool id_of(struct threader *t, struct sv text, uint32_t *out)
{
	uint64_t hash = sv_hash(text);

	if ((size_t)t->id_count * 2 >= t->id_slots && !grow_ids(t))
		return false;
	struct thread_id *slot = id_slot(t, hash);

	if (!slot->id)
		*slot = (struct thread_id){ hash, ++t->id_count };
	*out = slot->id - 1;
	return true;
}

static bool take_refs(struct threader *t, struct sv references, struct thread_node *n)
{
	struct sv text;

	n->ref_at = (uint32_t)t->ref_count;
	while (references.len && sv_split(&references, '\n', &text)) {
		if (!text.len)
			continue;
		if (t->ref_count == t->ref_cap) {
			size_t cap = t->ref_cap ? t->ref_cap * 2 : 1024;

			if (cap >= NOBODY || !has_memory(t, cap * sizeof(*t->refs)))
				return false;
			t->ref_cap = cap;
			t->refs = xrealloc(t->refs, cap * sizeof(*t->refs));
		}
		if (!id_of(t, text, &t->refs[t->ref_count]))
			return false;
		t->ref_count++;
		n->ref_count++;
	}
	return true;
}

static struct thread_node *add_node(struct threader *t)
{
	if (t->count == t->cap) {
		size_t cap = t->cap ? t->cap * 2 : 256;

		if (cap >= NOBODY || !has_memory(t, cap * sizeof(*t->nodes)))
			return NULL;
		t->cap = cap;
		t->nodes = xrealloc(t->nodes, cap * sizeof(*t->nodes));
	}
	struct thread_node *n = &t->nodes[t->count++];

	*n = (struct thread_node){ .id = NOBODY, .parent = NOBODY, .first_child = NOBODY, .last_child = NOBODY,
				   .next = NOBODY };
	return n;
}

bool threader_take(struct threader *t, const struct message_row *row, const struct mime_message *parsed,
		   uint32_t number)
{
	struct thread_node *n = add_node(t);

	if (!n)
		return false;
	t->messages = t->count;
	n->number = number;
	n->arrived = row->internaldate;
	n->sent = sent_date(row, parsed);
	if (t->algorithm != THREAD_REFS) {
		n->subject = ranks_add(&t->subjects, parsed ? parsed->base_subject : SV(""));
		if (n->subject == RANK_NONE)
			return false;
	}
	if (!parsed || t->algorithm == THREAD_ORDEREDSUBJECT)
		return true;
	n->is_reply = parsed->facts & MIME_SUBJECT_IS_REPLY;
	return (!parsed->message_id.len || id_of(t, parsed->message_id, &n->id)) &&
	       take_refs(t, parsed->references, n);
}

/* ---- (1) parents ---- */

/* is_below - is `below` the node `top`, or under it? Also when that is too far to see. */
static bool is_below(const struct threader *t, uint32_t below, uint32_t top)
{
	unsigned steps = 0;

	/* Under a node that never became a parent there is nobody but itself. */
	if (!t->nodes[top].is_linked)
		return below == top;
	for (; below != NOBODY && below != top; below = t->nodes[below].parent)
		if (++steps == STEPS_MAX)
			return true;
	return below == top;
}

static void link_to(struct threader *t, uint32_t child, uint32_t parent)
{
	if (is_below(t, parent, child))
		return;
	t->nodes[child].parent = parent;
	t->nodes[parent].is_linked = true;
}

/* node_of - who has the id; somebody whom nobody has seen, if need be. */
static bool node_of(struct threader *t, uint32_t *owners, uint32_t id, uint32_t *out)
{
	if (owners[id] == NOBODY) {
		if (!add_node(t))
			return false;
		owners[id] = (uint32_t)t->count - 1;
	}
	*out = owners[id];
	return true;
}

static bool link_one(struct threader *t, uint32_t *owners, uint32_t i)
{
	uint32_t before = NOBODY, node = NOBODY;

	for (uint32_t k = 0; k < t->nodes[i].ref_count; k++, before = node) {
		if (!node_of(t, owners, t->refs[t->nodes[i].ref_at + k], &node))
			return false;
		if (before != NOBODY && t->nodes[node].parent == NOBODY)
			link_to(t, node, before);
	}
	t->nodes[i].parent = NOBODY;    /* (1)(B): what others said of its parent counts less */
	if (node != NOBODY)
		link_to(t, i, node);
	return true;
}

static bool link_all(struct threader *t)
{
	uint32_t *owners;
	bool is_good = true;

	if (!has_memory(t, t->id_count * sizeof(*owners)))
		return false;
	owners = xmalloc((t->id_count + 1) * sizeof(*owners));
	for (size_t i = 0; i < t->id_count; i++)
		owners[i] = NOBODY;
	/* The first message with an id owns it. */
	for (uint32_t i = 0; i < t->messages; i++)
		if (t->nodes[i].id != NOBODY && owners[t->nodes[i].id] == NOBODY)
			owners[t->nodes[i].id] = i;
	for (uint32_t i = 0; i < t->messages && is_good; i++)
		is_good = link_one(t, owners, i);
	free(owners);
	return is_good;
}

/* ---- (2), (3) without those whom nobody has seen ---- */

/* nearest - the closest message above, or the topmost unseen node when there is none. Paths are shortened as they are
 * walked, so that all of it costs little more than one step each. */
static uint32_t nearest(struct threader *t, uint32_t i)
{
	uint32_t top = t->nodes[i].parent, next;

	if (top == NOBODY)
		return NOBODY;
	while (!t->nodes[top].number && t->nodes[top].parent != NOBODY)
		top = t->nodes[top].parent;
	for (uint32_t at = t->nodes[i].parent; at != top; at = next) {
		next = t->nodes[at].parent;
		t->nodes[at].parent = top;
	}
	return top;
}

static void prune(struct threader *t)
{
	/* Children that an unseen topmost node keeps; counted in `subject`, of which it has none yet. */
	for (uint32_t i = 0; i < t->messages; i++)
		t->nodes[i].parent = nearest(t, i);
	for (size_t i = t->messages; i < t->count; i++)
		t->nodes[i].subject = 0;
	for (uint32_t i = 0; i < t->messages; i++)
		if (t->nodes[i].parent != NOBODY && !t->nodes[t->nodes[i].parent].number)
			t->nodes[t->nodes[i].parent].subject++;
	/* An only child takes the place of its parent. */
	for (uint32_t i = 0; i < t->messages; i++) {
		uint32_t parent = t->nodes[i].parent;

		if (parent != NOBODY && !t->nodes[parent].number && t->nodes[parent].subject < 2)
			t->nodes[i].parent = NOBODY;
	}
	for (size_t i = t->messages; i < t->count; i++) {
		t->nodes[i].is_gone = t->nodes[i].subject < 2;
		t->nodes[i].parent = NOBODY;
	}
}

/* ---- order ---- */

/* Sorting by sent date; messages of one moment stand as in the mailbox. */
static int by_sent(const void *a, const void *b, void *arg)
{
	const struct threader *t = arg;
	const struct thread_node *x = &t->nodes[*(const uint32_t *)a], *y = &t->nodes[*(const uint32_t *)b];

	if (x->sent != y->sent)
		return x->sent < y->sent ? -1 : 1;
	return x->next < y->next ? -1 : x->next > y->next;
}

static int by_arrival(const void *a, const void *b, void *arg)
{
	const struct threader *t = arg;
	const struct thread_node *x = &t->nodes[*(const uint32_t *)a], *y = &t->nodes[*(const uint32_t *)b];

	if (x->arrived != y->arrived)
		return x->arrived < y->arrived ? -1 : 1;
	return by_sent(a, b, arg);
}

/* date_unseen - a node that nobody has seen sorts as its first child does. `next` holds the place in the mailbox while
 * there are no lists yet. */
static void date_unseen(struct threader *t)
{
	for (size_t i = 0; i < t->count; i++)
		t->nodes[i].next = i < t->messages ? (uint32_t)i : NOBODY;
	for (uint32_t i = 0; i < t->messages; i++) {
		struct thread_node *n = &t->nodes[i], *p = n->parent == NOBODY ? NULL : &t->nodes[n->parent];

		if (!p || p->number || (p->next != NOBODY && p->sent <= n->sent))
			continue;
		p->sent = n->sent;
		p->next = i;
		p->subject = n->subject;        /* the thread's subject: of its first child */
	}
}

/* sorted_nodes - all that are left, by sent date. */
static uint32_t *sorted_nodes(struct threader *t, size_t *count)
{
	uint32_t *order = xmalloc((t->count + 1) * sizeof(*order));

	*count = 0;
	for (uint32_t i = 0; i < t->count; i++)
		if (!t->nodes[i].is_gone)
			order[(*count)++] = i;
	if (*count)
		qsort_r(order, *count, sizeof(*order), by_sent, t);
	return order;
}

/* ---- (5) threads of one subject ---- */

/* better - may this root stand for the subject instead of the other one? */
static bool is_better(const struct thread_node *other, const struct thread_node *root)
{
	return other->number && (!root->number || (other->is_reply && !root->is_reply));
}

static bool merge_one(struct threader *t, uint32_t *table, uint32_t i)
{
	uint32_t other = table[t->nodes[i].subject], both;
	struct thread_node *n = &t->nodes[i], *o = &t->nodes[other];

	if (other == i)
		return true;
	if (!n->number && !o->number) {
		n->parent = other;      /* its children follow, when all are merged */
		n->is_gone = true;
	} else if (!o->number || (n->is_reply && !o->is_reply)) {
		n->parent = other;
	} else {
		if (!add_node(t))
			return false;
		both = (uint32_t)t->count - 1;
		t->nodes[both].subject = t->nodes[i].subject;
		t->nodes[i].parent = t->nodes[other].parent = both;
		table[t->nodes[both].subject] = both;
	}
	return true;
}

static bool merge_subjects(struct threader *t)
{
	size_t count, subjects = t->subjects.count;
	bool is_good = true;

	if (!has_memory(t, (t->count + subjects) * sizeof(uint32_t)))
		return false;
	date_unseen(t);
	uint32_t *order = sorted_nodes(t, &count);
	uint32_t *table = xmalloc((subjects + 1) * sizeof(*table));

	for (size_t i = 0; i < subjects; i++)
		table[i] = NOBODY;
	for (size_t k = 0; k < count; k++) {
		const struct thread_node *n = &t->nodes[order[k]];

		/* Rank 0 is the empty subject. */
		if (n->parent == NOBODY && n->subject &&
		    (table[n->subject] == NOBODY || is_better(&t->nodes[table[n->subject]], n)))
			table[n->subject] = order[k];
	}
	for (size_t k = 0; k < count && is_good; k++)
		if (t->nodes[order[k]].parent == NOBODY && t->nodes[order[k]].subject && !t->nodes[order[k]].is_gone)
			is_good = merge_one(t, table, order[k]);
	for (uint32_t i = 0; i < t->messages; i++)
		if (t->nodes[i].parent != NOBODY && t->nodes[t->nodes[i].parent].is_gone)
			t->nodes[i].parent = t->nodes[t->nodes[i].parent].parent;
	free(table);
	free(order);
	return is_good;
}

/* ORDEREDSUBJECT: the first message of each subject is the parent of the others. */
static void group_subjects(struct threader *t)
{
	size_t count;

	date_unseen(t);
	uint32_t *order = sorted_nodes(t, &count);
	uint32_t *table = xmalloc((t->subjects.count + 1) * sizeof(*table));

	for (size_t i = 0; i < t->subjects.count; i++)
		table[i] = NOBODY;
	for (size_t k = 0; k < count; k++) {
		uint32_t *first = &table[t->nodes[order[k]].subject];

		t->nodes[order[k]].parent = *first;
		if (*first == NOBODY)
			*first = order[k];
	}
	free(table);
	free(order);
}

/* ---- (6) and the answer ---- */

static uint32_t root_of(uint32_t *roots, uint32_t i)
{
	uint32_t top = i, next;

	while (roots[top] != top)
		top = roots[top];
	for (; roots[i] != top; i = next) {
		next = roots[i];
		roots[i] = top;
	}
	return top;
}

/* date_threads - REFS: a thread is as young as its latest message. */
static void date_threads(struct threader *t)
{
	uint32_t *roots = xmalloc((t->count + 1) * sizeof(*roots));

	for (uint32_t i = 0; i < t->count; i++) {
		roots[i] = t->nodes[i].parent == NOBODY ? i : t->nodes[i].parent;
		if (!t->nodes[i].number)
			t->nodes[i].arrived = INT64_MIN;
	}
	for (uint32_t i = 0; i < t->messages; i++) {
		struct thread_node *root = &t->nodes[root_of(roots, i)];

		if (t->nodes[i].arrived > root->arrived)
			root->arrived = t->nodes[i].arrived;
	}
	free(roots);
}

static void write_threads(const struct threader *t, const uint32_t *roots, size_t count, struct writer *w)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t at = roots[i];

		/* Down to the first child, along to the next sibling, or up: parents know the way, no stack is needed. */
		writer_c(w, '(');
		for (;;) {
			const struct thread_node *n = &t->nodes[at];

			if (n->number)
				writer_u64(w, n->number);
			if (n->first_child != NOBODY) {
				if (n->number)
					writer_c(w, ' ');
				if (n->first_child != n->last_child)
					writer_c(w, '(');
				at = n->first_child;
				continue;
			}
			/* Up until there is a sibling: each level that had several of them was in parentheses. */
			while (at != roots[i] && t->nodes[at].next == NOBODY) {
				const struct thread_node *p = &t->nodes[t->nodes[at].parent];

				if (p->first_child != p->last_child)
					writer_c(w, ')');
				at = t->nodes[at].parent;
			}
			if (at == roots[i])
				break;
			writer_z(w, ")(");
			at = t->nodes[at].next;
		}
		writer_c(w, ')');
	}
}

/* write_sorted - children and roots by date. */
static bool write_sorted(struct threader *t, struct writer *w)
{
	size_t count, root_count = 0;

	if (!has_memory(t, t->count * 2 * sizeof(uint32_t)))
		return false;
	date_unseen(t);
	if (t->algorithm == THREAD_REFS)
		date_threads(t);
	uint32_t *order = sorted_nodes(t, &count);
	uint32_t *roots = xmalloc((count + 1) * sizeof(*roots));

	for (size_t k = 0; k < count; k++)
		if (t->nodes[order[k]].parent == NOBODY)
			roots[root_count++] = order[k];
	if (root_count && t->algorithm == THREAD_REFS)
		qsort_r(roots, root_count, sizeof(*roots), by_arrival, t);
	for (size_t i = 0; i < t->count; i++)
		t->nodes[i].next = NOBODY;
	for (size_t k = 0; k < count; k++) {
		uint32_t parent = t->nodes[order[k]].parent;

		if (parent == NOBODY)
			continue;
		if (t->nodes[parent].first_child == NOBODY)
			t->nodes[parent].first_child = order[k];
		else
			t->nodes[t->nodes[parent].last_child].next = order[k];
		t->nodes[parent].last_child = order[k];
	}
	write_threads(t, roots, root_count, w);
	free(roots);
	free(order);
	return true;
}

bool threader_write(struct threader *t, struct writer *w)
{
	bool is_good = ranks_settle(&t->subjects);

	for (size_t i = 0; is_good && t->algorithm != THREAD_REFS && i < t->messages; i++)
		t->nodes[i].subject = ranks_of(&t->subjects, t->nodes[i].subject);
	if (!is_good)
		return false;
	if (t->algorithm == THREAD_ORDEREDSUBJECT) {
		group_subjects(t);
	} else {
		if (!link_all(t))
			return false;
		prune(t);
		if (t->algorithm == THREAD_REFERENCES && !merge_subjects(t))
			return false;
	}
	return write_sorted(t, w);
}
