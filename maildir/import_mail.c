/* maildir/import_mail.c - laying the messages of an mbox file ready (import_private.h). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/lines.h"
#include "maildir/files.h"
#include "maildir/import_mbox.h"
#include "maildir/import_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

struct mbox_import {
	struct import *im;
	struct source_box *box;
	bool survey;
	struct sidecar_mailbox side;
	struct id_map staged, present, seen;
	struct box_facts facts;
	uint32_t next;
	struct fault fault;
	/* The message under way. */
	int fd;
	struct crypt_digest *digest;
	uint64_t size, bare;
	char last;
	struct buf pending;             /* not yet written */
};

#define WRITE_SIZE 65536

static bool flush(struct mbox_import *m)
{
	if (!m->fault.kind && m->fd >= 0 && m->pending.len)
		m->fault = files_write_all(m->fd, buf_sv(&m->pending));
	buf_clear(&m->pending);
	return !m->fault.kind;
}

static bool on_begin(void *arg)
{
	struct mbox_import *m = arg;
	char path[BOX_PATH_MAX];

	m->size = m->bare = 0;
	m->last = 0;
	if (m->survey)
		return true;
	m->digest = crypt_digest_new(CRYPT_SHA256);
	if (m->im->options->dry_run)
		return true;
	box_path(path, m->box->dir, "tmp", "message");
	unlinkat(m->im->staging, path, 0);
	m->fd = files_open(m->im->staging, path, O_WRONLY | O_CREAT | O_EXCL, account_conf(m->im->account)->umask_file);
	if (m->fd < 0)
		m->fault = fault_errno("create", path);
	return !m->fault.kind;
}

static bool on_octets(void *arg, struct sv run)
{
	struct mbox_import *m = arg;

	m->size += run.len;
	for (size_t i = 0; i < run.len; i++) {
		m->bare += run.p[i] == '\n' && m->last != '\r';
		m->last = run.p[i];
	}
	if (m->survey)
		return true;
	crypt_digest_add(m->digest, run);
	if (m->pending.len + run.len > WRITE_SIZE && !flush(m))
		return false;
	return buf_append(&m->pending, run) || (m->fd >= 0 ? !(m->fault = files_write_all(m->fd, run)).kind : true);
}

static void note_keywords(struct keyword_names *names, struct sv words)
{
	struct sv word;
	unsigned n;

	while (words.len && sv_split(&words, ' ', &word))
		if (word.len)
			(void)!keyword_add(names, word, &n).kind;
}

static struct keyword_bits keywords_of(const struct mbox_import *m, struct sv words)
{
	struct keyword_bits bits = { { 0, 0 } };
	struct sv word;

	while (words.len && sv_split(&words, ' ', &word)) {
		int n = keyword_find(&m->side.keywords, word);
		if (n >= 0)
			bits.w[n / 64] |= (uint64_t)1 << n % 64;
	}
	return bits;
}

/* What names a message here is its text; the second one of the same text gets another id. */
static void id_of(struct mbox_import *m, char id[FILENAME_ID_LEN + 1], uint8_t digest[16])
{
	uint8_t sum[CRYPT_HASH_MAX];
	char text[2 * CRYPT_HASH_MAX + 24];
	size_t len = crypt_digest_get(m->digest, sum);

	for (unsigned again = 0;; again++) {
		for (size_t i = 0; i < len; i++)
			snprintf(text + 2 * i, 3, "%02x", sum[i]);
		snprintf(text + 2 * len, 24, "#%u", again);
		stage_id(sv_z(text), id, digest);
		if (!id_map_has(&m->seen, digest, NULL))
			break;
	}
	id_map_add(&m->seen, digest, 1);
}

static void place(struct mbox_import *m, const struct mbox_meta *meta, const char *id, uint32_t uid)
{
	char base[128], name[FILENAME_MAX_LEN + 1], from[BOX_PATH_MAX], to[BOX_PATH_MAX];
	int64_t saved = meta->received > 0 ? meta->received : 0;

	snprintf(base, sizeof(base), "%lld.%s.%s", (long long)saved, id, store_host(m->im->account->store));
	struct filename n = {
		.base = sv_z(base), .has_size = true, .size = m->size, .has_wire_size = true, .wire_size = m->size + m->bare,
		.has_uid = true, .uidvalidity = m->side.uidvalidity, .uid = uid, .flags = meta->flags,
		.keywords = keywords_of(m, sv_z(meta->keywords)),
	};
	if (m->im->options->dry_run)
		return;
	if (!filename_write(&n, name)) {
		m->box->unreadable++;
		return;
	}
	box_path(from, m->box->dir, "tmp", "message");
	box_path(to, m->box->dir, "cur", name);
	m->fault = files_rename_new(m->im->staging, from, m->im->staging, to);
}

static bool on_end(void *arg, const struct mbox_meta *meta)
{
	struct mbox_import *m = arg;
	struct source_box *box = m->box;
	char id[FILENAME_ID_LEN + 1];
	uint8_t digest[16];
	bool keeps;

	if (m->survey) {
		if (meta->uidvalidity && !box->uidvalidity) {
			box->uidvalidity = meta->uidvalidity;
			box->uidnext = meta->uid_last + 1;
		}
		note_keywords(box->keywords, sv_z(meta->all_keywords));
		note_keywords(box->keywords, sv_z(meta->keywords));
		box->result.found += !meta->is_internal;
		return true;
	}
	flush(m);
	if (m->fd >= 0 && close(m->fd) && !m->fault.kind)
		m->fault = fault_errno("close", "message");
	m->fd = -1;
	id_of(m, id, digest);
	crypt_digest_free(&m->digest);
	if (m->fault.kind || meta->is_internal)
		return !m->fault.kind;

	/* UIDs ascend in the file; one that does not is not believed (it was copied from another mailbox, say). */
	keeps = box->uidvalidity && meta->uid >= m->next && meta->uid < box->uidnext;
	uint32_t uid = keeps ? meta->uid : 0;
	if (id_map_has(&m->present, digest, NULL)) {
		box->result.present++;
		m->next = keeps ? uid + 1 : m->next;
	} else {
		bool is_staged = id_map_has(&m->staged, digest, &uid);
		if (!uid)
			uid = box->uidnext > m->next ? box->uidnext : m->next;
		m->next = uid + 1;
		if (uid >= box->uidnext)
			box->uidnext = uid + 1;
		if (!is_staged)
			place(m, meta, id, uid);
		box->result.imported++;
		box->result.uids_kept += keeps;
		if (!strcmp(box->dir, ".") && meta->uidl[0])
			box->result.uidls += box_facts_add(&m->facts, uid, sv_z(meta->uidl));
	}
	m->im->done++;
	if (m->im->events->progress)
		m->im->events->progress(m->im->events->arg, m->im->done, m->im->total);
	return !m->fault.kind;
}

static const struct mbox_sink sink = { on_begin, on_octets, on_end };

static struct fault read_all(struct mbox_import *m)
{
	struct mbox_reader r;
	char *piece = xmalloc(WRITE_SIZE);
	ssize_t got = 1;
	int fd = -1;
	struct fault f = files_open_regular(m->im->source, m->box->path, &fd);

	mbox_init(&r, &sink, m);
	while (!f.kind && got) {
		got = read(fd, piece, WRITE_SIZE);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			f = fault_errno("read", m->box->path);
		else if (got && !mbox_feed(&r, sv_from(piece, (size_t)got)))
			break;
	}
	if (!f.kind)
		mbox_end(&r);
	mbox_done(&r);
	if (fd >= 0)
		close(fd);
	free(piece);
	return f.kind ? f : m->fault;
}

struct fault stage_mbox(struct import *im, struct source_box *box, bool survey)
{
	struct mbox_import *m = xcalloc(1, sizeof(*m));
	uint8_t map[KEYWORDS_MAX];
	uint32_t uid_max = 0;
	struct fault f = FAULT_OK;

	m->im = im;
	m->box = box;
	m->survey = survey;
	m->fd = -1;
	buf_init(&m->pending, 2 * WRITE_SIZE);
	if (survey) {
		source_unload(box);
		box->keywords = xcalloc(1, sizeof(*box->keywords));
		box->uidvalidity = box->uidnext = 0;
		f = read_all(m);
		im->total += box->result.found;
	} else {
		f = stage_begin(im, box, &m->side, &m->staged, &m->present, &uid_max);
		/* Before the names that use their numbers. */
		if (!f.kind)
			stage_keywords(box, &m->side, map);
		if (!f.kind && !im->options->dry_run)
			f = stage_write_sidecar(im->staging, box->dir, &m->side);
		if (!f.kind && !im->options->dry_run)
			f = box_facts_read(im->staging, box->dir, &m->facts);
		m->next = 1;
		if (box->uidnext <= uid_max)
			box->uidnext = uid_max + 1;
		if (!f.kind)
			f = read_all(m);
		if (m->fd >= 0)
			close(m->fd);
		crypt_digest_free(&m->digest);
		m->side.generation++;
		if (m->side.uid_ceiling < box->uidnext)
			m->side.uid_ceiling = box->uidnext;
		box_facts_settle(&m->facts);
		if (!f.kind && !im->options->dry_run && m->facts.count)
			f = box_facts_replace(im->staging, box->dir, &m->facts);
		if (!f.kind && !im->options->dry_run)
			f = stage_write_sidecar(im->staging, box->dir, &m->side);
		sidecar_mailbox_done(&m->side);
		source_unload(box);
	}
	id_map_done(&m->staged);
	id_map_done(&m->present);
	id_map_done(&m->seen);
	box_facts_done(&m->facts);
	buf_done(&m->pending);
	free(m);
	return f;
}
