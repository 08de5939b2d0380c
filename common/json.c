#include "common/json.h"

#include <jansson.h>
#include <stdlib.h>

#include "common/banned.h"

/* struct json is never defined: it is json_t by another name. */
static const json_t *value_of(const struct json *v)
{
	return (const json_t *)(const void *)v;
}

static const struct json *wrap(const json_t *v)
{
	return (const struct json *)(const void *)v;
}

/* ---- writing ---- */

static void put(struct json_out *j, struct sv s)
{
	if (!j->overflow && !buf_append(j->to, s))
		j->overflow = true;
}

/* Length of the UTF-8 character at the start of s, 0 when there is none. */
static size_t utf8_length(struct sv s)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	return n <= s.len && sv_is_utf8(sv_sub(s, 0, n)) ? n : 0;
}

/* RFC 8259 §7. What is not UTF-8 becomes U+FFFD, since the text as a whole must be (§8.1). */
static void put_string(struct json_out *j, struct sv s)
{
	static const char hex[] = "0123456789abcdef";

	put(j, SV("\""));
	while (s.len && !j->overflow) {
		size_t plain = 0, n = 1;
		unsigned char c;

		while (plain < s.len && s.p[plain] >= ' ' && s.p[plain] < 0x7f &&
		       s.p[plain] != '"' && s.p[plain] != '\\')
			plain++;
		put(j, sv_sub(s, 0, plain));
		sv_skip(&s, plain);
		if (!s.len)
			break;
		c = (unsigned char)s.p[0];
		if (c == '"' || c == '\\') {
			char text[2] = { '\\', (char)c };

			put(j, sv_from(text, 2));
		} else if (c < ' ' || c == 0x7f) {
			char text[6] = { '\\', 'u', '0', '0', hex[c >> 4], hex[c & 15] };

			put(j, sv_from(text, 6));
		} else if ((n = utf8_length(s))) {
			put(j, sv_sub(s, 0, n));
		} else {
			n = 1;
			put(j, SV("\xef\xbf\xbd"));
		}
		sv_skip(&s, n);
	}
	put(j, SV("\""));
}

static void put_name(struct json_out *j, const char *name)
{
	if (j->need_comma)
		put(j, SV(","));
	j->need_comma = true;
	if (name) {
		put_string(j, sv_z(name));
		put(j, SV(":"));
	}
}

void json_out_init(struct json_out *j, struct buf *to)
{
	*j = (struct json_out){ .to = to };
}

static void open_value(struct json_out *j, const char *name, struct sv bracket)
{
	put_name(j, name);
	put(j, bracket);
	j->need_comma = false;
	j->depth++;
}

static void close_value(struct json_out *j, struct sv bracket)
{
	if (!j->depth--)
		BUG("json: more ends than beginnings");
	put(j, bracket);
	j->need_comma = true;
}

void json_out_object(struct json_out *j, const char *name)
{
	open_value(j, name, SV("{"));
}

void json_out_object_end(struct json_out *j)
{
	close_value(j, SV("}"));
}

void json_out_array(struct json_out *j, const char *name)
{
	open_value(j, name, SV("["));
}

void json_out_array_end(struct json_out *j)
{
	close_value(j, SV("]"));
}

void json_out_sv(struct json_out *j, const char *name, struct sv value)
{
	put_name(j, name);
	put_string(j, value);
}

void json_out_z(struct json_out *j, const char *name, const char *value)
{
	if (value)
		json_out_sv(j, name, sv_z(value));
	else
		json_out_null(j, name);
}

void json_out_u64(struct json_out *j, const char *name, uint64_t value)
{
	put_name(j, name);
	if (!j->overflow && !buf_append_u64(j->to, value))
		j->overflow = true;
}

void json_out_i64(struct json_out *j, const char *name, int64_t value)
{
	put_name(j, name);
	if (value < 0)
		put(j, SV("-"));
	if (!j->overflow && !buf_append_u64(j->to, value < 0 ? -(uint64_t)value : (uint64_t)value))
		j->overflow = true;
}

void json_out_bool(struct json_out *j, const char *name, bool value)
{
	put_name(j, name);
	put(j, value ? SV("true") : SV("false"));
}

void json_out_null(struct json_out *j, const char *name)
{
	put_name(j, name);
	put(j, SV("null"));
}

void json_out_value(struct json_out *j, const char *name, const struct json *value)
{
	const json_t *v = value_of(value);
	char *text = v ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	put_name(j, name);
	put(j, text ? sv_z(text) : SV("null"));
	free(text);
}

/* ---- reading ---- */

/* jansson reads by recursion, 2048 levels deep: refuse what is deeper than we ever need before it
 * starts. */
static bool depth_is_fine(struct sv text)
{
	bool in_string = false;
	unsigned depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		char c = text.p[i];

		if (in_string) {
			if (c == '\\')
				i++;
			else if (c == '"')
				in_string = false;
		} else if (c == '"') {
			in_string = true;
		} else if (c == '{' || c == '[') {
			if (++depth > JSON_DEPTH_MAX)
				return false;
		} else if ((c == '}' || c == ']') && depth) {
			depth--;
		}
	}
	return true;
}

struct fault json_parse(struct sv text, struct json **out)
{
	json_error_t error;
	json_t *v;

	if (!depth_is_fine(text))
		return fault(FAULT_INVALID, "JSON: too many levels");
	v = json_loadb(text.p ? text.p : "", text.len, JSON_REJECT_DUPLICATES, &error);
	if (!v)
		return fault_detail(FAULT_INVALID, "JSON: %s at octet %d", error.text,
				    error.position);
	*out = (struct json *)(void *)v;
	return FAULT_OK;
}

void json_free(struct json **j)
{
	json_decref((json_t *)(void *)*j);
	*j = NULL;
}

const struct json *json_get(const struct json *object, const char *name)
{
	return wrap(json_object_get(value_of(object), name));
}

bool json_value_is_object(const struct json *v)
{
	return v && json_typeof(value_of(v)) == JSON_OBJECT;
}

bool json_value_is_array(const struct json *v)
{
	return v && json_typeof(value_of(v)) == JSON_ARRAY;
}

size_t json_count(const struct json *array)
{
	return json_value_is_array(array) ? json_array_size(value_of(array)) : 0;
}

const struct json *json_at(const struct json *array, size_t i)
{
	return json_value_is_array(array) ? wrap(json_array_get(value_of(array), i)) : NULL;
}

bool json_to_sv(const struct json *v, struct sv *out)
{
	if (!v || json_typeof(value_of(v)) != JSON_STRING)
		return false;
	*out = sv_from(json_string_value(value_of(v)), json_string_length(value_of(v)));
	return true;
}

bool json_to_i64(const struct json *v, int64_t *out)
{
	if (!v || json_typeof(value_of(v)) != JSON_INTEGER)
		return false;
	*out = json_integer_value(value_of(v));
	return true;
}

bool json_to_u64(const struct json *v, uint64_t *out)
{
	int64_t n;

	if (!json_to_i64(v, &n) || n < 0)
		return false;
	*out = (uint64_t)n;
	return true;
}

bool json_to_double(const struct json *v, double *out)
{
	if (!v || !json_is_number(value_of(v)))
		return false;
	*out = json_number_value(value_of(v));
	return true;
}

bool json_to_bool(const struct json *v, bool *out)
{
	if (!v || (json_typeof(value_of(v)) != JSON_TRUE && json_typeof(value_of(v)) != JSON_FALSE))
		return false;
	*out = json_typeof(value_of(v)) == JSON_TRUE;
	return true;
}

bool json_get_sv(const struct json *object, const char *name, struct sv *out)
{
	return json_to_sv(json_get(object, name), out);
}

bool json_get_u64(const struct json *object, const char *name, uint64_t *out)
{
	return json_to_u64(json_get(object, name), out);
}

bool json_get_bool(const struct json *object, const char *name, bool *out)
{
	return json_to_bool(json_get(object, name), out);
}

void json_iterate(const struct json *object,
                  void (*f)(void *arg, const char *name, const struct json *value), void *arg)
{
	/* jansson's iterator wants a mutable object, and does not change it. */
	json_t *v = (json_t *)(uintptr_t)object;

	if (!json_value_is_object(object))
		return;
	for (void *i = json_object_iter(v); i; i = json_object_iter_next(v, i))
		f(arg, json_object_iter_key(i), wrap(json_object_iter_value(i)));
}
