/* admin/csv.h - one line of a table as text (RFC 4180, without line ends inside of fields). Pure. */
#ifndef ADMIN_CSV_H
#define ADMIN_CSV_H

#include "common/bytes.h"
#include "common/fault.h"

/** csv_split - the fields of a line: as they are up to the comma, or quoted, with "" for a quote.
 *  @fields: room for max buffers, which get at most field_max octets each; the first *count are to be ended by buf_wipe(), also
 *           after a fault
 *  Errors: FAULT_INVALID; the detail is a sentence. */
MUST_CHECK struct fault csv_split(struct sv line, struct buf *fields, size_t max, size_t field_max, size_t *count);

#endif
