#include "admin/csv.h"

#include "common/banned.h"

/* One field off the front of *rest: quoted, with "" for a quote in it, or as it is up to the comma. */
static bool take_field(struct sv *rest, struct buf *out)
{
	bool is_quoted = rest->len && rest->p[0] == '"', is_closed = !is_quoted;
	size_t i = is_quoted;

	for (; i < rest->len && (is_quoted ? !is_closed : rest->p[i] != ','); i++) {
		if (is_quoted && rest->p[i] == '"' && !(i + 1 < rest->len && rest->p[i + 1] == '"')) {
			is_closed = true;
			continue;
		}
		i += is_quoted && rest->p[i] == '"';
		if (!buf_append_c(out, rest->p[i]))
			return false;
	}
	if (!is_closed || (i < rest->len && rest->p[i] != ','))
		return false;
	sv_skip(rest, i < rest->len ? i + 1 : i);
	return true;
}

struct fault csv_split(struct sv line, struct buf *fields, size_t max, size_t field_max, size_t *count)
{
	bool is_last = false;

	for (*count = 0; !is_last; ) {
		size_t before = line.len;

		if (*count == max)
			return fault(FAULT_INVALID, "too many columns");
		buf_init(&fields[*count], field_max);
		if (!take_field(&line, &fields[(*count)++]))
			return fault(FAULT_INVALID, "a quote is not closed, or something stands behind it");
		/* A comma at the end has one more, empty field behind it. */
		is_last = !line.len && !(before && line.p[-1] == ',');
	}
	return FAULT_OK;
}
