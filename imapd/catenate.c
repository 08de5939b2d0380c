/* imapd/catenate.c - see catenate.h. */
#include "imapd/catenate.h"

#include <stdlib.h>

#include "common/memory.h"
#include "maildir/message.h"

#include "common/banned.h"

#define PIECE ((size_t)64 << 10)
#define HEADER_MAX ((size_t)16 << 20)

struct find {
	const struct section *section;
	struct section_place place;
	struct buf text;                /* of a place that needs no file */
	bool is_found;
};

static bool find_section(void *arg, const struct message_row *row, const struct mime_message *parsed)
{
	struct find *find = arg;

	if (!parsed)
		return false;
	find->is_found = true;
	find->place = section_find(find->section, parsed, row->size, &find->text);
	return false;
}

/* nul_to_0x80 - as FETCH does it: NUL may not be sent, so it is not what was seen. */
static void nul_to_0x80(char *p, size_t n)
{
	for (char *end = p + n; p < end && (p = memchr(p, 0, (size_t)(end - p))); p++)
		*p = (char)0x80;
}

/* copy_slice - octets of the file, a piece at a time; to a message, or collected in a buffer. */
static struct fault copy_slice(struct message_reader *reader, struct section_place place,
			       struct incoming *to, struct buf *out)
{
	char *piece = xmalloc(PIECE);
	struct fault f = FAULT_OK;

	while (place.len && !f.kind) {
		size_t got = 0;

		f = message_read(reader, place.offset, piece,
				 place.len < PIECE ? (size_t)place.len : PIECE, &got);
		if (!f.kind && !got)
			f = fault(FAULT_CORRUPT, "message is shorter than the index says");
		if (f.kind)
			break;
		nul_to_0x80(piece, got);
		if (to)
			f = incoming_write(to, sv_from(piece, got));
		else if (!buf_append(out, sv_from(piece, got)))
			f = fault(FAULT_LIMIT, "header block too large");
		place.offset += got;
		place.len -= got;
	}
	free(piece);
	return f;
}

/* filter - the fields of a header block that are asked for. */
static struct fault filter(struct find *find, struct message_reader *reader)
{
	struct buf header = { .max = HEADER_MAX };
	struct fault f = copy_slice(reader, find->place, NULL, &header);

	buf_clear(&find->text);
	if (!f.kind && !section_filter(find->section, buf_sv(&header), &find->text))
		f = fault(FAULT_LIMIT, "header fields too large");
	buf_done(&header);
	return f;
}

/* write_text - octets that are in memory. */
static struct fault write_text(struct find *find, struct incoming *to, uint64_t max, uint64_t *size)
{
	*size = find->text.len;
	if (*size > max)
		return fault(FAULT_LIMIT, "the catenated message is too large");
	nul_to_0x80(find->text.p, find->text.len);
	return incoming_write(to, buf_sv(&find->text));
}

static struct fault copy_found(struct find *find, struct mailbox *box, uint32_t uid,
			       struct incoming *to, uint64_t max, uint64_t *size)
{
	struct message_reader *reader = NULL;
	struct fault f = FAULT_OK;

	switch (find->place.source) {
	case SECTION_OCTETS:
		return write_text(find, to, max, size);
	case SECTION_SLICE:
		*size = find->place.len;
		if (*size > max)
			return fault(FAULT_LIMIT, "the catenated message is too large");
		f = message_open(box, uid, &reader);
		if (!f.kind)
			f = copy_slice(reader, find->place, to, NULL);
		break;
	case SECTION_HEADER:
		f = message_open(box, uid, &reader);
		if (!f.kind)
			f = filter(find, reader);
		if (!f.kind)
			f = write_text(find, to, max, size);
		break;
	default:
		return fault(FAULT_NOT_FOUND, "no such part");
	}
	message_close(&reader);
	return f;
}

struct fault catenate_url(struct room *room, const struct url *url, struct incoming *to, uint64_t max,
			  uint64_t *size)
{
	struct find find = { .section = &url->section, .text = { .max = HEADER_MAX } };
	struct mailbox *own = NULL, *box = room->box;
	struct mailbox_status status;
	struct uidset one = { 0 };
	uint32_t resume = 0;
	struct fault f = FAULT_OK;

	*size = 0;
	if (url->mailbox.len) {
		f = mailbox_open(room->user, url->mailbox, &own);
		box = own;
	}
	if (!f.kind && !box)
		f = fault(FAULT_NOT_FOUND, "no mailbox is selected");
	if (!f.kind)
		f = mailbox_counters(box, &status);
	if (!f.kind && url->uidvalidity && url->uidvalidity != status.uidvalidity)
		f = fault(FAULT_NOT_FOUND, "another UIDVALIDITY");
	uidset_add(&one, url->uid, url->uid);
	if (!f.kind)
		f = mailbox_scan(box, &one, SCAN_PARSED, &resume, find_section, &find);
	if (!f.kind && !find.is_found)
		f = fault(FAULT_NOT_FOUND, "no such message");
	if (!f.kind)
		f = copy_found(&find, box, url->uid, to, max, size);
	if (f.kind == FAULT_GONE)
		f = fault(FAULT_NOT_FOUND, "the message or its mailbox went");
	uidset_done(&one);
	buf_done(&find.text);
	mailbox_close(&own);
	return f;
}
