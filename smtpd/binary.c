#include "smtpd/binary.h"

#include "smtpd/downgrade.h"

#include "common/banned.h"

struct writer {
	struct downgrade *downgrade;
	struct data_scanner scanner;
	struct spill spill;
	const char *folder;
	struct buf piece;
	struct fault failed;
};

static struct fault parse(void *arg, struct sv octets)
{
	downgrade_parse(arg, octets);
	return FAULT_OK;
}

static struct fault count(void *arg, struct sv octets)
{
	downgrade_count(arg, octets);
	return FAULT_OK;
}

static bool to_spill(void *ctx, struct sv octets)
{
	struct writer *w = ctx;

	w->failed = spill_write(&w->spill, w->folder, octets);
	return !w->failed.kind;
}

static void write_piece(struct writer *w)
{
	struct sv in = buf_sv(&w->piece);

	(void)data_scanner_feed(&w->scanner, &in);
	buf_clear(&w->piece);
}

/* to_piece - they come in twos and threes. */
static bool to_piece(void *ctx, struct sv octets)
{
	struct writer *w = ctx;

	while (octets.len && !w->failed.kind) {
		struct sv part = sv_sub(octets, 0, w->piece.max - w->piece.len);

		(void)!buf_append(&w->piece, part);
		sv_skip(&octets, part.len);
		if (w->piece.len == w->piece.max)
			write_piece(w);
	}
	return !w->failed.kind;
}

static struct fault write_lines(void *arg, struct sv octets)
{
	struct writer *w = arg;

	(void)downgrade_feed(w->downgrade, octets, to_piece, w);
	return w->failed;
}

struct fault binary_to_lines(struct spill *s, const char *folder, struct binary_lines *out)
{
	struct writer w = { .downgrade = downgrade_new_lines(), .spill = SPILL_NONE, .folder = folder };
	struct fault f;

	*out = (struct binary_lines){ .obstacle = NULL };
	buf_init(&w.piece, BINARY_PIECE);
	data_scanner_init(&w.scanner, DATA_NO_DOTS, to_spill, &w);
	f = spill_read(s, parse, w.downgrade);
	if (!f.kind && downgrade_parsed(w.downgrade))
		f = spill_read(s, count, w.downgrade);
	if (!f.kind)
		out->obstacle = downgrade_obstacle(w.downgrade);
	if (!f.kind && !out->obstacle) {
		downgrade_begin(w.downgrade);
		f = spill_read(s, write_lines, &w);
		(void)downgrade_end(w.downgrade, to_piece, &w);
		write_piece(&w);
		data_scanner_finish(&w.scanner);
		out->faults = w.scanner.faults;
		out->longest_line = w.scanner.longest_line;
		out->size = w.scanner.size;
		f = f.kind ? f : w.failed;
	}
	if (!f.kind && !out->obstacle) {
		spill_close(s);
		*s = w.spill;
		w.spill = SPILL_NONE;
	}
	spill_close(&w.spill);
	buf_done(&w.piece);
	downgrade_free(&w.downgrade);
	return f;
}
