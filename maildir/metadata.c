/* maildir/metadata.c - see metadata.h. */
#include "maildir/metadata.h"

#include <stdlib.h>

#include "common/memory.h"
#include "common/transfer.h"
#include "maildir/access_private.h"
#include "maildir/files.h"

#include "common/banned.h"

#define VERSION 1
#define TRIES 20
#define RIGHTS_ANY (RIGHT_READ | RIGHT_SEEN | RIGHT_WRITE | RIGHT_INSERT | RIGHT_POST)

/* --- the file's content --------------------------------------------------------------------------------------------------- */

static void free_row(struct metadata_row *row)
{
	free(row->whose);
	free(row->name);
	free((char *)row->value.p);
}

void metadata_done(struct metadata *m)
{
	for (size_t i = 0; i < m->count; i++)
		free_row(&m->rows[i]);
	free(m->rows);
	buf_done(&m->unknown);
	*m = (struct metadata){ 0 };
}

bool metadata_name_is_valid(struct sv name)
{
	struct sv level, rest = name;
	size_t levels = 0;

	if (name.len > METADATA_NAME_MAX || !sv_starts(name, SV("/")) || name.p[name.len - 1] == '/')
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < 0x20 || (unsigned char)name.p[i] >= 0x7f || name.p[i] == '*' ||
		    name.p[i] == '%')
			return false;
	sv_skip(&rest, 1);
	for (; rest.len && sv_split(&rest, '/', &level); levels++)
		if (!level.len || (!levels && !sv_eq_nocase(level, SV("private")) && !sv_eq_nocase(level, SV("shared"))))
			return false;
	return levels >= 2;
}

static struct metadata_row *find(const struct metadata *m, const char *whose, struct sv name)
{
	for (size_t i = 0; i < m->count; i++)
		if (!strcmp(m->rows[i].whose, whose) && sv_eq_nocase(sv_z(m->rows[i].name), name))
			return &m->rows[i];
	return NULL;
}

struct sv metadata_get(const struct metadata *m, const char *whose, struct sv name)
{
	const struct metadata_row *row = find(m, whose, name);

	return row ? row->value : SV_NONE;
}

static void add(struct metadata *m, const char *whose, struct sv name, struct sv value)
{
	if (m->count == m->cap) {
		m->cap = m->cap ? m->cap * 2 : 8;
		m->rows = xrealloc(m->rows, m->cap * sizeof(*m->rows));
	}
	m->rows[m->count++] = (struct metadata_row){ .whose = xstrdup(whose), .name = sv_copy_z(name),
						     .value = { sv_copy_z(value), value.len } };
}

struct fault metadata_put(struct metadata *m, const char *whose, struct sv name, struct sv value)
{
	struct metadata_row *row = find(m, whose, name);
	size_t theirs = 0;

	if (row) {
		free_row(row);
		*row = m->rows[--m->count];
	}
	if (!value.p)
		return FAULT_OK;
	for (size_t i = 0; i < m->count; i++)
		theirs += !strcmp(m->rows[i].whose, whose);
	if (theirs >= METADATA_ENTRIES_MAX)
		return fault(FAULT_LIMIT, "too many annotations");
	add(m, whose, name, value);
	return FAULT_OK;
}

static bool entry_line(struct metadata *m, struct sv line)
{
	struct sv whose = SV_NONE, name = SV_NONE;
	struct buf value;

	if (!sv_split(&line, '\t', &whose) || !whose.len || whose.len > DIRECTORY_ID_LEN || memchr(whose.p, '\0', whose.len) ||
	    !sv_split(&line, '\t', &name) || !metadata_name_is_valid(name))
		return false;
	buf_init(&value, METADATA_VALUE_MAX);
	bool is_good = base64_decode(line, &value);

	if (is_good) {
		char *key = sv_copy_z(whose);

		is_good = !find(m, key, name);
		if (is_good)
			add(m, key, name, value.len ? buf_sv(&value) : SV(""));
		free(key);
	}
	buf_done(&value);
	return is_good;
}

static bool read_line(void *arg, struct sv key, struct sv value, bool *bad)
{
	struct metadata *m = arg;

	if (sv_eq(key, SV("generation")))
		*bad = !sv_to_u64(value, &m->generation);
	else if (sv_eq(key, SV("entry")))
		*bad = !entry_line(m, value);
	else
		return false;
	return true;
}

struct fault metadata_parse(struct sv text, struct metadata *out)
{
	*out = (struct metadata){ 0 };
	buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
	struct fault f = sidecar_lines(text, SV("postroom-metadata"), read_line, out, &out->unknown);

	if (f.kind)
		metadata_done(out);
	return f;
}

struct fault metadata_write(const struct metadata *m, struct buf *out)
{
	size_t start = out->len;
	bool ok = buf_appendf(out, "postroom-metadata %d\ngeneration %llu\n", VERSION, (unsigned long long)m->generation);

	for (size_t i = 0; ok && i < m->count; i++)
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): a row that metadata_put() has freed is beyond the count */
		ok = buf_appendf(out, "entry %s\t%s\t", m->rows[i].whose, m->rows[i].name) &&
		     base64_encode(m->rows[i].value, out) && buf_append_c(out, '\n');
	return sidecar_finish(out, start, ok, &m->unknown);
}

/* --- the files --------------------------------------------------------------------------------------------------------------- */

/* Whose metadata, and how the user is called in it. */
struct target {
	struct place place;
	struct sidecar_place at;
	const char *me;
};

static struct fault read_file(struct account *a, const char *path, struct metadata *out)
{
	struct buf text;

	buf_init(&text, SIDECAR_MAX);
	struct fault f = files_read(a->maildir, path, &text);

	if (!f.kind)
		f = metadata_parse(buf_sv(&text), out);
	buf_done(&text);
	if (f.kind == FAULT_NOT_FOUND || f.kind == FAULT_CORRUPT) {
		*out = (struct metadata){ 0 };
		buf_init(&out->unknown, SIDECAR_UNKNOWN_MAX);
		f = FAULT_OK;
	}
	return f;
}

static uint64_t generation_of(struct account *a, const char *path)
{
	struct metadata m;
	uint64_t generation = 0;

	if (!read_file(a, path, &m).kind) {
		generation = m.generation;
		metadata_done(&m);
	}
	return generation;
}

/* begin - find it, decide, and be inside its account. */
static struct fault begin(struct maildir_user *user, struct sv name, struct target *t)
{
	struct fault f = FAULT_OK;

	*t = (struct target){ .me = METADATA_OWNER, .at = { .dir = ".", .file = LAYOUT_SERVER_METADATA_FILE,
						   .look = generation_of, .noted = NOTE_METADATA } };
	if (name.len) {
		f = access_find(user, name, RIGHT_LOOKUP, &t->place);
		if (!f.kind && !(t->place.rights & RIGHTS_ANY))
			f = fault(FAULT_DENIED, "the access control list does not allow annotations");
		t->at.box = t->place.box.id;
		t->at.dir = t->place.box.dir;
		t->at.file = LAYOUT_METADATA_FILE;
		if (!t->place.is_own)
			t->me = user->id;
	} else {
		t->place.account = store_account_ref(user->account);
	}
	if (!f.kind)
		f = account_enter(t->place.account);
	if (f.kind)
		access_done(&t->place);
	return f;
}

static void end(struct target *t)
{
	account_leave(t->place.account);
	access_done(&t->place);
}

static struct fault load(struct target *t, struct metadata *out)
{
	char path[BOX_PATH_MAX];

	box_path(path, t->at.dir, t->at.file, NULL);
	return read_file(t->place.account, path, out);
}

struct fault mailbox_metadata(struct maildir_user *user, struct sv name, metadata_fn *fn, void *arg)
{
	struct metadata m;
	struct target t;
	struct fault f = begin(user, name, &t);

	if (f.kind)
		return f;
	f = load(&t, &m);
	end(&t);
	if (f.kind)
		return f;
	for (size_t i = 0; i < m.count; i++) {
		struct metadata_entry e = { sv_z(m.rows[i].name), m.rows[i].value };

		if ((!strcmp(m.rows[i].whose, METADATA_EVERYBODY) || !strcmp(m.rows[i].whose, t.me)) && !fn(arg, &e))
			break;
	}
	metadata_done(&m);
	return FAULT_OK;
}

/* set_once - *changed: somebody else was faster. */
static struct fault set_once(struct target *t, const struct metadata_entry *entries, size_t count, bool *changed)
{
	struct metadata m;
	struct buf text;
	struct fault f = load(t, &m);

	*changed = false;
	if (f.kind)
		return f;
	t->at.generation = m.generation++;
	for (size_t i = 0; !f.kind && i < count; i++)
		f = metadata_put(&m, sv_starts_nocase(entries[i].name, SV("/private/")) ? t->me : METADATA_EVERYBODY,
				 entries[i].name, entries[i].value);
	buf_init(&text, SIDECAR_MAX);
	if (!f.kind)
		f = metadata_write(&m, &text);
	if (!f.kind)
		f = account_put_sidecar(t->place.account, &t->at, buf_sv(&text), changed);
	buf_done(&text);
	metadata_done(&m);
	return f;
}

struct fault mailbox_set_metadata(struct maildir_user *user, struct sv name, const struct metadata_entry *entries,
				  size_t count)
{
	struct target t;
	bool changed = true;
	struct fault f = FAULT_OK;

	for (size_t i = 0; !f.kind && i < count; i++) {
		if (!metadata_name_is_valid(entries[i].name))
			f = fault(FAULT_INVALID, "not the name of an entry");
		else if (entries[i].value.len > METADATA_VALUE_MAX)
			f = fault(FAULT_LIMIT, "annotation too long");
		else if (!name.len && !sv_starts_nocase(entries[i].name, SV("/private/")))
			f = fault(FAULT_DENIED, "the server's own annotations are not for clients");
	}
	if (!f.kind)
		f = begin(user, name, &t);
	if (f.kind)
		return f;
	for (int tries = 0; !f.kind && changed; tries++)
		f = tries < TRIES ? set_once(&t, entries, count, &changed) :
				    fault(FAULT_BUSY, "annotations change all the time");
	end(&t);
	return f;
}
