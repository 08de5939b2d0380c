/* maildir/import_stage.c - laying a mailbox ready: its folder below IMPORT_FOLDER, with sidecar, facts, and the files under
 * the names that they will have (import_private.h). Nobody looks there, so nothing here needs the index; what an earlier run
 * laid ready stays. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "maildir/files.h"
#include "maildir/import_lists.h"
#include "maildir/import_private.h"
#include "maildir/mailbox_private.h"
#include "maildir/walk_private.h"

#include "common/banned.h"

#define ID_MAP_START 1024

/* --- which messages are there --------------------------------------------------------------------------------------------- */

static struct id_slot *find_slot(const struct id_map *m, const uint8_t digest[16])
{
	uint64_t at;

	memcpy(&at, digest, sizeof(at));
	for (at &= m->size - 1; m->slots[at].uid; at = (at + 1) & (m->size - 1))
		if (!memcmp(m->slots[at].digest, digest, 16))
			break;
	return &m->slots[at];
}

bool id_map_has(const struct id_map *m, const uint8_t digest[16], uint32_t *uid)
{
	const struct id_slot *slot = m->size ? find_slot(m, digest) : NULL;

	if (slot && slot->uid && uid)
		*uid = slot->uid;
	return slot && slot->uid;
}

void id_map_add(struct id_map *m, const uint8_t digest[16], uint32_t uid)
{
	struct id_slot *slot;

	if (m->count * 2 >= m->size) {
		struct id_map bigger = { .size = m->size ? m->size * 2 : ID_MAP_START };
		bigger.slots = xcalloc(bigger.size, sizeof(*bigger.slots));
		for (size_t i = 0; i < m->size; i++)
			if (m->slots[i].uid)
				*find_slot(&bigger, m->slots[i].digest) = m->slots[i];
		bigger.count = m->count;
		free(m->slots);
		*m = bigger;
	}
	slot = find_slot(m, digest);
	m->count += !slot->uid;
	memcpy(slot->digest, digest, 16);
	slot->uid = uid;
}

void id_map_done(struct id_map *m)
{
	free(m->slots);
	*m = (struct id_map){ 0 };
}

void stage_id(struct sv base, char id[FILENAME_ID_LEN + 1], uint8_t digest[16])
{
	filename_dedup_id(base, id);
	id[0] = 'f';            /* not one that a queue would look for */
	filename_email_digest(sv_z(id), digest);
}

struct staged_files {
	struct id_map *map;
	uint32_t uid_max;
};

static bool note_staged(void *arg, const char *name, unsigned char type)
{
	struct staged_files *s = arg;
	struct filename n;
	uint8_t digest[16];

	(void)type;
	if (filename_parse(sv_z(name), &n) && n.has_uid) {
		filename_email_digest(n.id, digest);
		id_map_add(s->map, digest, n.uid);
		if (n.uid > s->uid_max)
			s->uid_max = n.uid;
	}
	return true;
}

struct fault stage_present(struct import *im, const char *name, struct id_map *map)
{
	struct account *a = im->account;
	struct kv_txn *kv = NULL;
	struct walk w = { .c = NULL };
	struct index_box box;
	struct mailbox *open = NULL;
	struct fault f = mailbox_open(im->user, sv_z(name), &open);

	if (f.kind)
		return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
	f = mailbox_enter(open, true);
	if (f.kind) {
		mailbox_close(&open);
		return f;
	}
	f = mailbox_snapshot(open, &kv, &box);
	if (!f.kind)
		f = walk_open(&w, kv, T_ROWS, box.id);
	if (!f.kind)
		f = walk_seek(&w, 0);
	while (!f.kind) {
		struct index_row_head h;
		f = walk_head(&w, &h);
		if (f.kind)
			break;
		id_map_add(map, h.email, w.uid);
		f = walk_next(&w);
	}
	walk_close(&w);
	kv_read_end(&kv);
	/* What is not known to be present would be imported a second time. */
	f = account_judge(a, f);
	account_leave(a);
	mailbox_close(&open);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* --- folder and sidecar --------------------------------------------------------------------------------------------------- */

struct fault stage_read_sidecar(int at, const char *dir, struct sidecar_mailbox *out)
{
	char path[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	buf_init(&text, SIDECAR_MAX);
	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	f = files_read(at, path, &text);
	if (!f.kind)
		f = sidecar_mailbox_parse(buf_sv(&text), out);
	buf_done(&text);
	return f;
}

static bool any_name(void *arg, const char *name, unsigned char type)
{
	(void)name;
	(void)type;
	*(bool *)arg = true;
	return false;
}

struct fault stage_find_sidecar(int at, const char *dir, struct sidecar_mailbox *out)
{
	char path[BOX_PATH_MAX];
	bool has_message = false;
	struct fault f = stage_read_sidecar(at, dir, out);

	if (f.kind != FAULT_CORRUPT)
		return f;
	/* A process that was killed while it made the folder. */
	box_path(path, dir, "cur", NULL);
	(void)!files_each(at, path, any_name, &has_message).kind;
	if (has_message)
		return f;
	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	return unlinkat(at, path, 0) ? fault_errno("unlink", path) : fault(FAULT_NOT_FOUND, "half a mailbox");
}

struct fault stage_write_sidecar(int at, const char *dir, const struct sidecar_mailbox *side)
{
	char path[BOX_PATH_MAX];
	struct buf text;
	struct fault f;

	box_path(path, dir, LAYOUT_MAILBOX_FILE, NULL);
	buf_init(&text, SIDECAR_MAX);
	f = sidecar_mailbox_write(side, &text);
	if (!f.kind)
		f = files_replace(at, path, buf_sv(&text), 0600);
	buf_done(&text);
	return f;
}

static bool any_message(void *arg, const char *name, unsigned char type)
{
	(void)type;
	*(bool *)arg = *(bool *)arg || name[0] != '.';
	return !*(bool *)arg;
}

bool stage_has_message(int at, const char *dir)
{
	char path[BOX_PATH_MAX];
	bool found = false;

	box_path(path, dir, "cur", NULL);
	(void)!files_each(at, path, any_message, &found).kind;
	box_path(path, dir, "new", NULL);
	(void)!files_each(at, path, any_message, &found).kind;
	return found;
}

static struct fault new_uidvalidity(struct import *im, uint32_t *out)
{
	struct fault f = account_enter(im->account);

	if (f.kind)
		return f;
	f = account_new_uidvalidity(im->account, out);
	account_leave(im->account);
	return f;
}

struct fault stage_begin(struct import *im, struct source_box *box, struct sidecar_mailbox *side,
			 struct id_map *staged, struct id_map *present, uint32_t *uid_max)
{
	char path[BOX_PATH_MAX];
	struct staged_files files = { .map = staged };
	struct fault f = stage_present(im, box->name, present);

	memset(side, 0, sizeof(*side));
	*uid_max = 0;
	if (f.kind || im->options->dry_run)
		return f;
	f = stage_find_sidecar(im->staging, box->dir, side);
	if (f.kind == FAULT_NOT_FOUND) {
		*side = (struct sidecar_mailbox){ .generation = 1, .uidvalidity = box->uidvalidity, .uid_ceiling = 1 };
		buf_init(&side->unknown, SIDECAR_UNKNOWN_MAX);
		while (!side->id)
			crypt_random(&side->id, sizeof(side->id));
		f = side->uidvalidity ? FAULT_OK : new_uidvalidity(im, &side->uidvalidity);
		if (!f.kind)
			f = adopt_new_mailbox_at(account_conf(im->account), im->staging, box->dir, side,
						 !strcmp(box->dir, "."));
	}
	if (!f.kind && box->uidvalidity && box->uidvalidity != side->uidvalidity)
		f = fault_detail(FAULT_BUSY, "UIDVALIDITY of %.80s changed since the import began: remove the folder \"%s\" "
				 "of the account, and begin again", box->name, IMPORT_FOLDER);
	if (!f.kind) {
		box_path(path, box->dir, "cur", NULL);
		f = files_each(im->staging, path, note_staged, &files);
	}
	if (!f.kind) {
		box_path(path, box->dir, "new", NULL);
		f = files_each(im->staging, path, note_staged, &files);
	}
	*uid_max = files.uid_max;
	return f;
}

void stage_keywords(struct source_box *box, struct sidecar_mailbox *side, uint8_t map[KEYWORDS_MAX])
{
	memset(map, KEYWORD_NONE, KEYWORDS_MAX);
	box->result.keywords = 0;
	for (uint32_t i = 0; i < box->keywords->count; i++) {
		unsigned n;
		if (!keyword_add(&side->keywords, sv_z(box->keywords->name[i]), &n).kind) {
			map[i] = (uint8_t)n;
			box->result.keywords++;
		}
	}
	if (box->result.keywords < box->keywords->count)
		source_note(box, "%llu keywords were too many",
			    (unsigned long long)(box->keywords->count - box->result.keywords));
}

struct keyword_bits stage_map_bits(const struct keyword_bits *bits, const uint8_t map[KEYWORDS_MAX])
{
	struct keyword_bits out = { { 0, 0 } };

	for (unsigned i = 0; i < KEYWORDS_MAX; i++)
		if (bits->w[i / 64] >> i % 64 & 1 && map[i] < KEYWORDS_MAX)
			out.w[map[i] / 64] |= (uint64_t)1 << map[i] % 64;
	return out;
}

/* --- one message ------------------------------------------------------------------------------------------------------------ */

struct staging {
	struct import *im;
	struct source_box *box;
	struct sidecar_mailbox side;
	struct id_map staged, present, seen;
	uint8_t map[KEYWORDS_MAX];
	uint32_t *uids;                 /* of each file: what it gets; 0: nothing to do */
};

/* The message's id: of its name without fields and flags. A second file of the same name, which should not be, gets one of its
 * own, and so counts as another message. */
static void id_of(struct staging *s, const struct source_file *file, char id[FILENAME_ID_LEN + 1], uint8_t digest[16])
{
	struct filename n;
	bool ok = filename_parse(sv_z(file->name), &n);

	stage_id(ok ? n.base : sv_z(file->name), id, digest);
	if (id_map_has(&s->seen, digest, NULL))
		stage_id(sv_z(file->name), id, digest);
	id_map_add(&s->seen, digest, 1);
}

static struct keyword_bits keywords_of(struct source_box *box, const struct source_file *file, const struct filename *n)
{
	struct keyword_bits bits = file->keywords;
	bool is_lost = false;

	for (unsigned i = 0; i < 26; i++) {
		if (!(n->keywords.w[0] >> i & 1))
			continue;
		if (box->letters[i] < KEYWORDS_MAX)
			bits.w[box->letters[i] / 64] |= (uint64_t)1 << box->letters[i] % 64;
		else
			is_lost = true;
	}
	box->nameless_letters += is_lost;
	return bits;
}

static bool describe(struct staging *s, const struct source_file *file, const struct measured *m, const char *id, uint32_t uid,
		     char out[FILENAME_MAX_LEN + 1])
{
	char base[128];
	struct filename n;

	if (!filename_parse(sv_z(file->name), &n))
		return false;
	struct keyword_bits bits = keywords_of(s->box, file, &n);
	int64_t saved = n.saved ? n.saved : m->mtime;

	saved = saved < 0 ? 0 : saved;
	snprintf(base, sizeof(base), "%lld.%s.%s", (long long)saved, id, store_host(s->im->account->store));
	struct filename made = {
		.base = sv_z(base), .has_size = true, .size = m->size, .has_wire_size = true, .wire_size = m->wire_size,
		.has_uid = true, .uidvalidity = s->side.uidvalidity, .uid = uid, .flags = n.flags,
		.other_flags = n.other_flags, .has_internaldate = m->mtime != saved, .internaldate = m->mtime,
		.keywords = stage_map_bits(&bits, s->map),
	};
	return filename_write(&made, out);
}

static struct fault copy_octets(int from_dir, const char *from, int to_dir, const char *temp, mode_t mode)
{
	char *piece;
	ssize_t n = 1;
	int in, out;
	struct fault f = files_open_regular(from_dir, from, &in);

	if (f.kind)
		return f;
	unlinkat(to_dir, temp, 0);
	out = files_open(to_dir, temp, O_WRONLY | O_CREAT | O_EXCL, mode);
	if (out < 0) {
		f = fault_errno("create", temp);
		close(in);
		return f;
	}
	piece = xmalloc(1 << 18);
	while (!f.kind && n) {
		n = read(in, piece, 1 << 18);
		if (n < 0 && errno == EINTR)
			continue;
		f = n < 0 ? fault_errno("read", from) : files_write_all(out, sv_from(piece, (size_t)n));
	}
	free(piece);
	close(in);
	if (close(out) && !f.kind)
		f = fault_errno("close", temp);
	return f;
}

/* The file under its new name: renamed, linked, or copied. All of it is flushed at once, before anything is put in place. */
static struct fault put(struct staging *s, const char *from, const struct measured *m, const char *name)
{
	struct import *im = s->im;
	char to[BOX_PATH_MAX], temp[BOX_PATH_MAX];
	struct fault f;

	box_path(to, s->box->dir, "cur", name);
	if (im->options->adopt) {
		f = files_rename_new(im->source, from, im->staging, to);
		/* Mail is for its owner alone, whatever the other server's owner and mode were; our daemons have no right to
		 * read other people's files. */
		if (!f.kind && !geteuid() && m->owner && fchownat(im->staging, to, 0, getegid(), AT_SYMLINK_NOFOLLOW))
			f = fault_errno("take over", to);
		if (!f.kind && m->mode & 077 && (m->owner == geteuid() || !geteuid()))
			(void)!fchmodat(im->staging, to, account_conf(im->account)->umask_file, 0);
		return f;
	}
	/* A link only of what is ours alone: nobody else may write into it later. */
	if (m->owner == geteuid() && !(m->mode & 022)) {
		if (!linkat(im->source, from, im->staging, to, 0))
			return FAULT_OK;
		if (errno != EXDEV && errno != EPERM && errno != EMLINK && errno != EOPNOTSUPP && errno != EACCES)
			return fault_errno("link", from);
	}
	box_path(temp, s->box->dir, "tmp", "copy");
	f = copy_octets(im->source, from, im->staging, temp, account_conf(im->account)->umask_file);
	if (!f.kind)
		f = files_rename_new(im->staging, temp, im->staging, to);
	return f;
}

static void step(struct import *im)
{
	im->done++;
	if (im->events->progress)
		im->events->progress(im->events->arg, im->done, im->total);
}

/* --- a mailbox -------------------------------------------------------------------------------------------------------------- */

/* UIDs: those that are known stay, the others come behind everything that was ever given. */
static void give_uids(struct staging *s, uint32_t uid_max)
{
	struct source_box *box = s->box;
	uint32_t next = box->uidnext ? box->uidnext : 1;
	char id[FILENAME_ID_LEN + 1];
	uint8_t digest[16];

	if (next <= uid_max)
		next = uid_max + 1;
	s->uids = xcalloc(box->count ? box->count : 1, sizeof(*s->uids));
	for (size_t i = 0; i < box->count; i++) {
		id_of(s, &box->files[i], id, digest);
		if (id_map_has(&s->present, digest, NULL)) {
			box->result.present++;
			continue;
		}
		if (id_map_has(&s->staged, digest, NULL)) {
			box->result.imported++;         /* by an earlier run */
			box->result.uids_kept += box->files[i].uid && box->uidvalidity;
			continue;
		}
		s->uids[i] = box->files[i].uid ? box->files[i].uid : next++;
		if (s->uids[i] >= next)
			next = s->uids[i] + 1;
	}
	id_map_done(&s->seen);
	if (s->side.uid_ceiling < next)
		s->side.uid_ceiling = next;
	if (box->uidnext < next)
		box->uidnext = next;
}

/* The id that POP3 clients know this message by. Dovecot's default is what mailbox_uidl() says anyway. */
static bool uidl_of(const struct staging *s, const struct source_file *file, struct buf *out)
{
	struct sv format = sv_z(s->im->options->uidl_format);

	buf_clear(out);
	if (file->uidl)
		return buf_append(out, sv_z(file->uidl));
	return s->box->kind == SOURCE_DOVECOT && file->uid && s->box->uidvalidity && !uidl_is_default(format) &&
	       uidl_format(format, file->uid, s->box->uidvalidity, sv_from(file->name, file->key_len), out);
}

/* Before any file is moved: what stands in the source's lists alone must not be lost with a file's old name. */
static struct fault write_facts(struct staging *s)
{
	struct source_box *box = s->box;
	struct box_facts facts;
	struct buf uidl;
	struct fault f = FAULT_OK;

	if (strcmp(box->dir, "."))      /* POP3 sees INBOX only */
		return FAULT_OK;
	memset(&facts, 0, sizeof(facts));
	if (!s->im->options->dry_run)
		f = box_facts_read(s->im->staging, box->dir, &facts);
	if (f.kind)
		return f;
	buf_init(&uidl, 1024);
	for (size_t i = 0; i < box->count; i++)
		if (s->uids[i] && uidl_of(s, &box->files[i], &uidl))
			box->result.uidls += box_facts_add(&facts, s->uids[i], buf_sv(&uidl));
	size_t twice = box_facts_settle(&facts);
	if (twice)
		source_note(box, "%zu POP3 ids stood there twice", twice);
	if (!s->im->options->dry_run && facts.count)
		f = box_facts_replace(s->im->staging, box->dir, &facts);
	buf_done(&uidl);
	box_facts_done(&facts);
	return f;
}

static struct fault stage_file(struct staging *s, size_t i)
{
	struct source_box *box = s->box;
	const struct source_file *file = &box->files[i];
	char path[2 * PATH_MAX], name[FILENAME_MAX_LEN + 1], id[FILENAME_ID_LEN + 1];
	uint8_t digest[16];
	struct measured m;
	struct fault f;

	id_of(s, file, id, digest);
	if (!s->uids[i])
		return FAULT_OK;
	source_file_path(box, file, path);
	f = source_measure(s->im->source, path, false, &m);
	if (f.kind == FAULT_NOT_FOUND)  /* a server that still runs renamed or removed it: the next run sees it */
		return FAULT_OK;
	if (f.kind || m.compression) {
		box->unreadable += f.kind != FAULT_NONE;
		box->compressed += !f.kind;
		return FAULT_OK;
	}
	if (!describe(s, file, &m, id, s->uids[i], name)) {
		box->unreadable++;
		return FAULT_OK;
	}
	f = s->im->options->dry_run ? FAULT_OK : put(s, path, &m, name);
	if (f.kind == FAULT_NOT_FOUND)
		return FAULT_OK;
	if (!f.kind) {
		box->result.imported++;
		box->result.uids_kept += file->uid && box->uidvalidity;
	}
	return f;
}

struct fault stage_survey(struct import *im, struct source_box *box)
{
	struct fault f = source_load(im, box);

	box->compressed = 0;
	for (size_t i = 0; !f.kind && i < box->count; i++) {
		char path[2 * PATH_MAX];
		struct measured m;
		source_file_path(box, &box->files[i], path);
		box->compressed += !source_measure(im->source, path, false, &m).kind && m.compression;
	}
	box->result.found = box->count;
	im->total += box->count;
	source_unload(box);
	return f;
}

struct fault stage_box(struct import *im, struct source_box *box)
{
	struct staging *s = xcalloc(1, sizeof(*s));
	uint32_t uid_max;
	struct fault f = source_load(im, box);

	s->im = im;
	s->box = box;
	box->result.found = box->count;
	box->compressed = 0;
	if (!f.kind)
		f = stage_begin(im, box, &s->side, &s->staged, &s->present, &uid_max);
	if (!f.kind) {
		stage_keywords(box, &s->side, s->map);
		give_uids(s, uid_max);
		s->side.generation++;
		f = write_facts(s);
	}
	if (!f.kind && !im->options->dry_run)
		f = stage_write_sidecar(im->staging, box->dir, &s->side);
	for (size_t i = 0; !f.kind && i < box->count; i++) {
		f = stage_file(s, i);
		step(im);
	}
	sidecar_mailbox_done(&s->side);
	id_map_done(&s->staged);
	id_map_done(&s->present);
	id_map_done(&s->seen);
	free(s->uids);
	free(s);
	source_unload(box);
	return f;
}
