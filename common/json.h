/* common/json.h - JSON for the control socket and for --json listings. The keeper of jansson.
 * Writing goes straight into a buffer, with any octets as input: text that is not UTF-8 is written
 * with U+FFFD in place of what is wrong. Reading is strict and bounded. Values belong to one thread
 * at a time. */
#ifndef COMMON_JSON_H
#define COMMON_JSON_H

#include "common/bytes.h"
#include "common/fault.h"

#define JSON_DEPTH_MAX 16

/* A writer. Names are given inside objects and are NULL inside arrays and at the top. */
struct json_out {
	struct buf *to;         /* borrowed */
	bool need_comma;
	/* the buffer's max was reached: what was written is not valid JSON */
	bool overflow;
	uint32_t depth;
};

/** json_out_init - start writing at the end of *to. */
void json_out_init(struct json_out *j, struct buf *to);
void json_out_object(struct json_out *j, const char *name);
void json_out_object_end(struct json_out *j);
void json_out_array(struct json_out *j, const char *name);
void json_out_array_end(struct json_out *j);
void json_out_sv(struct json_out *j, const char *name, struct sv value);
/** json_out_z - a NUL-terminated text; NULL is written as null. */
void json_out_z(struct json_out *j, const char *name, const char *value);
void json_out_u64(struct json_out *j, const char *name, uint64_t value);
void json_out_i64(struct json_out *j, const char *name, int64_t value);
void json_out_bool(struct json_out *j, const char *name, bool value);
void json_out_null(struct json_out *j, const char *name);

/* A parsed value: null, bool, number, string, array or object. Opaque. */
struct json;

/** json_parse - read exactly one object or array.
 *  Refuses duplicate names, trailing octets, depth beyond JSON_DEPTH_MAX, text that is not UTF-8,
 * U+0000.
 *  @out: the caller owns it, json_free() ends it. Errors: FAULT_INVALID. */
MUST_CHECK struct fault json_parse(struct sv text, struct json **out);
void json_free(struct json **j);

/* Everything below borrows from the value that was parsed, and is false, NULL or 0 for another
 * type. NULL is fine. */
const struct json *json_get(const struct json *object, const char *name);
bool json_value_is_object(const struct json *v);
bool json_value_is_array(const struct json *v);
size_t json_count(const struct json *array);
const struct json *json_at(const struct json *array, size_t i);
bool json_to_sv(const struct json *v, struct sv *out);
/** json_to_u64 - a whole number from 0 to 2^63-1. */
bool json_to_u64(const struct json *v, uint64_t *out);
bool json_to_i64(const struct json *v, int64_t *out);
/** json_to_double - any number. */
bool json_to_double(const struct json *v, double *out);
bool json_to_bool(const struct json *v, bool *out);
/** json_get_sv, json_get_u64, json_get_bool - member of an object, by name. */
bool json_get_sv(const struct json *object, const char *name, struct sv *out);
bool json_get_u64(const struct json *object, const char *name, uint64_t *out);
bool json_get_bool(const struct json *object, const char *name, bool *out);
/** json_iterate - call f for each member of an object, in the order of the text. */
void json_iterate(const struct json *object,
                  void (*f)(void *arg, const char *name, const struct json *value), void *arg);
/** json_out_value - write a parsed value through a writer. */
void json_out_value(struct json_out *j, const char *name, const struct json *value);

#endif
