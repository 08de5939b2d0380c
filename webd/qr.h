/* webd/qr.h - a text as a QR code, drawn as the path of an inline SVG. The keeper of libqrencode. Pure; any thread. */
#ifndef WEBD_QR_H
#define WEBD_QR_H

#include "common/bytes.h"

#define QR_TEXT_MAX 512
#define QR_PATH_MAX (128u << 10)

/** qr_path - append the dark squares as the data of a path, each one unit wide; *side: the whole picture's, with the light border that readers
 *  need (ISO/IEC 18004: four squares). False: longer than QR_TEXT_MAX, or out's max. */
bool qr_path(struct sv text, struct buf *out, unsigned *side);

#endif
