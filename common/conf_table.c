/* Every option of postroom.conf: parsing, checks, `postroom conf` and the manual page come from the rows in conf_table_*.c, which are
 * found here. */
#include "common/conf_table_private.h"

#include "common/banned.h"

/* In the order of the manual. */
static const struct conf_rows *const tables[] = {
	&conf_host_rows, &conf_transport_rows, &conf_access_rows, &conf_legacy_rows, &conf_listener_rows,
};

size_t conf_option_count(void)
{
	size_t count = 0;

	for (size_t t = 0; t < ARRAY_LEN(tables); t++)
		count += tables[t]->count;
	return count;
}

const struct conf_option *conf_option_at(size_t index)
{
	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		if (index < tables[t]->count)
			return &tables[t]->options[index];
		index -= tables[t]->count;
	}
	return NULL;
}

size_t conf_option_index(const struct conf_option *option)
{
	const struct conf_option *at;
	size_t index = 0;

	while ((at = conf_option_at(index)) && at != option)
		index++;
	return index;
}

const struct conf_option *conf_option_find(struct sv name)
{
	const struct conf_option *option;

	for (size_t i = 0; (option = conf_option_at(i)); i++)
		if (sv_eq(sv_z(option->name), name))
			return option;
	return NULL;
}

/* Fewest insertions, deletions, changes and swaps of neighbours that make b of a (optimal string
 * alignment). */
static unsigned edit_distance(struct sv a, struct sv b)
{
	unsigned char row[3][CONF_NAME_MAX + 1];
	unsigned char *before = row[0], *last = row[1], *now = row[2];

	for (size_t j = 0; j <= b.len; j++)
		last[j] = (unsigned char)j;
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = (unsigned char)i;
		for (size_t j = 1; j <= b.len; j++) {
			bool same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]);
			unsigned best = last[j - 1] + !same;

			if (last[j] + 1u < best)
				best = last[j] + 1u;
			if (now[j - 1] + 1u < best)
				best = now[j - 1] + 1u;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1] && before[j - 2] + 1u < best)
				best = before[j - 2] + 1u;
			now[j] = (unsigned char)best;
		}
		unsigned char *spare = before;

		before = last;
		last = now;
		now = spare;
	}
	return last[b.len];
}

const char *conf_option_nearest(struct sv name)
{
	const struct conf_option *option;
	const char *best = NULL;
	unsigned best_distance;

	if (!name.len || name.len > CONF_NAME_MAX)
		return NULL;
	best_distance = name.len < 6 ? 2 : (unsigned)name.len / 3 + 1;
	if (best_distance > 5)
		best_distance = 5;
	for (size_t i = 0; (option = conf_option_at(i)); i++) {
		unsigned distance = edit_distance(name, sv_z(option->name));

		if (distance < best_distance) {
			best_distance = distance;
			best = option->name;
		}
	}
	return best;
}
