/* maildir/facts.c - see facts.h. */
#include "maildir/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crc32c.h"
#include "common/memory.h"
#include "maildir/account_private.h"
#include "maildir/files.h"

#include "common/banned.h"

#define VERSION 1
#define UNKNOWN_MAX (64u << 10)

static void init(struct box_facts *f)
{
	memset(f, 0, sizeof(*f));
	buf_init(&f->text, FACTS_MAX);
	buf_init(&f->unknown, UNKNOWN_MAX);
}

void box_facts_done(struct box_facts *f)
{
	free(f->rows);
	buf_done(&f->text);
	buf_done(&f->unknown);
	memset(f, 0, sizeof(*f));
}

bool box_facts_is_uidl(struct sv uidl)
{
	for (size_t i = 0; i < uidl.len; i++)
		if (uidl.p[i] < 0x21 || uidl.p[i] > 0x7e)
			return false;
	return uidl.len && uidl.len <= FACTS_UIDL_MAX;
}

bool box_facts_add(struct box_facts *f, uint32_t uid, struct sv uidl)
{
	if (!uid || !box_facts_is_uidl(uidl))
		return false;
	if (!f->text.max)
		init(f);
	size_t at = f->text.len;
	if (!buf_append(&f->text, uidl))
		return false;
	if (f->count == f->cap) {
		f->cap = f->cap ? f->cap * 2 : 64;
		f->rows = xrealloc(f->rows, f->cap * sizeof(*f->rows));
	}
	f->rows[f->count++] = (struct box_fact){ .uid = uid, .len = (uint32_t)uidl.len, .at = at };
	return true;
}

static int by_uid(const void *a, const void *b)
{
	const struct box_fact *x = a, *y = b;

	return x->uid != y->uid ? (x->uid < y->uid ? -1 : 1) : x->at < y->at ? -1 : x->at > y->at;
}

static int by_text(const void *a, const void *b, void *arg)
{
	const struct box_fact *x = a, *y = b;
	const struct box_facts *f = arg;
	int order = sv_cmp(sv_from(f->text.p + x->at, x->len), sv_from(f->text.p + y->at, y->len));

	return order ? order : by_uid(a, b);
}

static struct sv text_of(const struct box_facts *f, const struct box_fact *row)
{
	return sv_from(f->text.p + row->at, row->len);
}

size_t box_facts_settle(struct box_facts *f)
{
	size_t before = f->count, kept = 0;

	if (!f->count)
		return 0;
	qsort(f->rows, f->count, sizeof(*f->rows), by_uid);
	for (size_t i = 0; i < f->count; i++)
		if (!kept || f->rows[kept - 1].uid != f->rows[i].uid)
			f->rows[kept++] = f->rows[i];
	f->count = kept;
	/* Clients take two messages with one id for one message. */
	qsort_r(f->rows, f->count, sizeof(*f->rows), by_text, f);
	kept = 0;
	for (size_t i = 0; i < f->count; i++) {
		kept -= kept && sv_eq(text_of(f, &f->rows[kept - 1]), text_of(f, &f->rows[i]));
		f->rows[kept++] = f->rows[i];
	}
	f->count = kept;
	qsort(f->rows, f->count, sizeof(*f->rows), by_uid);
	return before - kept;
}

struct sv box_facts_uidl(const struct box_facts *f, uint32_t uid)
{
	size_t low = 0, high = f->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (f->rows[middle].uid == uid)
			return text_of(f, &f->rows[middle]);
		if (f->rows[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return SV_NONE;
}

/* The lines between the first and the last one, when both are right. */
static struct fault take_body(struct sv text, struct sv *body)
{
	struct sv rest, line;
	uint64_t crc;
	uint32_t version;

	if (!text.len || text.p[text.len - 1] != '\n')
		return fault(FAULT_CORRUPT, "facts are cut off");
	size_t start = sv_rfind(sv_sub(text, 0, text.len - 1), '\n');
	if (start == SIZE_MAX)
		return fault(FAULT_CORRUPT, "facts have no checksum");
	line = sv_sub(text, start + 1, text.len - start - 2);
	rest = sv_sub(text, 0, start + 1);
	if (!sv_starts(line, SV("crc ")) || !sv_hex_to_u64(sv_sub(line, 4, SIZE_MAX), &crc) || crc != crc32c(rest))
		return fault(FAULT_CORRUPT, "checksum of the facts is wrong");
	if (!sv_split(&rest, '\n', &line) || !sv_starts(line, SV(FACTS_FILE " ")) ||
	    !sv_to_u32(sv_sub(line, sizeof(FACTS_FILE), SIZE_MAX), &version) || !version)
		return fault(FAULT_CORRUPT, "no facts");
	if (version > VERSION)
		return fault(FAULT_UNSUPPORTED, "facts were written by a newer postroom");
	*body = rest;
	return FAULT_OK;
}

struct fault box_facts_parse(struct sv text, struct box_facts *out)
{
	struct sv rest, line;
	struct fault f;

	init(out);
	f = take_body(text, &rest);
	while (!f.kind && rest.len && sv_split(&rest, '\n', &line)) {
		struct sv value = line, key, number;
		uint32_t uid;
		if (sv_split(&value, ' ', &key) && sv_eq(key, SV("uidl")) && value.p != line.p) {
			if (!sv_split(&value, ' ', &number) || !sv_to_u32(number, &uid) || !box_facts_add(out, uid, value))
				f = fault(FAULT_CORRUPT, "facts: bad uidl");
		} else if (!buf_append(&out->unknown, line) || !buf_append_c(&out->unknown, '\n')) {
			f = fault(FAULT_CORRUPT, "facts have too many unknown lines");
		}
	}
	if (f.kind)
		box_facts_done(out);
	else
		box_facts_settle(out);
	return f;
}

struct fault box_facts_write(const struct box_facts *f, struct buf *out)
{
	size_t start = out->len;
	bool ok = buf_appendf(out, FACTS_FILE " %d\n", VERSION);

	for (size_t i = 0; ok && i < f->count; i++)
		ok = buf_append(out, SV("uidl ")) && buf_append_u64(out, f->rows[i].uid) && buf_append_c(out, ' ') &&
		     buf_append(out, text_of(f, &f->rows[i])) && buf_append_c(out, '\n');
	ok = ok && buf_append(out, buf_sv(&f->unknown));
	uint32_t crc = ok ? crc32c(sv_from(out->p + start, out->len - start)) : 0;
	return ok && buf_appendf(out, "crc %08x\n", crc) ? FAULT_OK : fault(FAULT_LIMIT, "too many facts");
}

struct fault box_facts_read(int dir, const char *path, struct box_facts *out)
{
	char file[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	memset(out, 0, sizeof(*out));
	buf_init(&text, FACTS_MAX);
	box_path(file, path, FACTS_FILE, NULL);
	f = files_read(dir, file, &text);
	if (!f.kind)
		f = box_facts_parse(buf_sv(&text), out);
	else if (f.kind == FAULT_NOT_FOUND)
		f = FAULT_OK;
	buf_done(&text);
	return f;
}

struct fault box_facts_replace(int dir, const char *path, const struct box_facts *facts)
{
	char file[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	box_path(file, path, FACTS_FILE, NULL);
	buf_init(&text, FACTS_MAX);
	f = box_facts_write(facts, &text);
	if (!f.kind)
		f = files_replace(dir, file, buf_sv(&text), 0600);
	buf_done(&text);
	return f.kind ? f : files_sync_dir(dir, path);
}
