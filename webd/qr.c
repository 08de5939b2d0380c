#include "webd/qr.h"

#include <qrencode.h>

#include "common/banned.h"

#define BORDER 4

bool qr_path(struct sv text, struct buf *out, unsigned *side)
{
	bool good = true;

	if (!text.len || text.len > QR_TEXT_MAX)
		return false;
	QRcode *code = QRcode_encodeData((int)text.len, (const unsigned char *)text.p, 0, QR_ECLEVEL_M);

	if (!code)
		return false;
	for (int y = 0; y < code->width && good; y++)
		for (int x = 0, run; x < code->width && good; x += run) {
			const unsigned char *row = code->data + y * code->width;

			for (run = 1; x + run < code->width && ((row[x + run] ^ row[x]) & 1) == 0; run++)
				;
			if (row[x] & 1)         /* dark: a bar as long as it goes */
				good = buf_appendf(out, "M%d %dh%dv1h-%dz", x + BORDER, y + BORDER, run, run);
		}
	*side = (unsigned)code->width + 2 * BORDER;
	QRcode_free(code);
	return good;
}
