#include "smtpd/facts.h"

#include "common/address.h"

#include "common/banned.h"

void facts_init(struct message_facts *f)
{
	*f = (struct message_facts){ .has_ended = false };
	header_reader_init(&f->reader);
	arena_init(&f->arena, FACTS_MAX);
}

void facts_done(struct message_facts *f)
{
	header_reader_done(&f->reader);
	arena_done(&f->arena);
}

/* add_from - every address of a From field must be known, since each of them is shown as the
 * author. */
static void add_from(struct message_facts *f, struct sv value)
{
	struct address_list list;
	struct address_item item;

	address_list_init(&list, value);
	while (address_list_next(&list, &item)) {
		struct buf text;

		if (item.kind != ADDRESS_ITEM_MAILBOX)
			continue;
		buf_init(&text, ADDRESS_LOCAL_MAX * 2 + ADDRESS_DOMAIN_MAX + 4);
		if (f->from_address_count == FACTS_FROM_MAX ||
		    !address_local_append(&text, item.mailbox) || !buf_append_c(&text, '@') ||
		    !buf_append(&text, item.host))
			f->is_from_capped = true;
		else
			f->from[f->from_address_count] = arena_copy(&f->arena, buf_sv(&text));
		if (!f->is_from_capped && !f->from[f->from_address_count++].p) {
			f->from_address_count--;
			f->is_from_capped = true;
		}
		buf_done(&text);
	}
	f->is_from_capped |= list.is_capped;
	address_list_done(&list);
}

static void add_delivered_to(struct message_facts *f, struct sv value)
{
	struct sv copy;

	if (f->delivered_to_count == FACTS_DELIVERED_MAX)
		return;
	copy = arena_copy(&f->arena, sv_trim(value));
	if (copy.p)
		f->delivered_to[f->delivered_to_count++] = copy;
}

static void add_message_id(struct message_facts *f, struct sv value)
{
	struct sv id;

	if (!f->message_id_count++ && header_next_msg_id(&f->arena, &value, &id))
		f->message_id = arena_copy(&f->arena, sv_sub(id, 0, 1000));
}

static void take_field(struct message_facts *f, const struct header_field *field)
{
	if (field->len > f->longest_field)
		f->longest_field = field->len;
	switch (field->id) {
	case HEADER_RECEIVED:
		f->received_count++;
		break;
	case HEADER_FROM:
		f->from_count++;
		f->is_cut |= field->is_truncated;
		add_from(f, field->value);
		break;
	case HEADER_SENDER:
		f->sender_count++;
		break;
	case HEADER_DATE:
		f->date_count++;
		break;
	case HEADER_MESSAGE_ID:
		add_message_id(f, field->value);
		break;
	case HEADER_DELIVERED_TO:
		add_delivered_to(f, field->value);
		break;
	case HEADER_LIST_UNSUBSCRIBE:
		f->has_any_unsubscribe = true;
		for (size_t i = 0; i < field->value.len && !f->has_unsubscribe; i++)
			f->has_unsubscribe = sv_starts_nocase(sv_sub(field->value, i, SIZE_MAX), SV("<https://"));
		break;
	default:
		if (sv_eq_nocase(field->name, SV("List-Unsubscribe-Post"))) {
			f->has_any_unsubscribe = true;
			f->has_one_click |= sv_eq_nocase(sv_trim(field->value), SV("List-Unsubscribe=One-Click"));
		}
		if (sv_eq_nocase(field->name, SV("TLS-Required")))
			f->is_tls_optional |= sv_eq_nocase(sv_trim(field->value), SV("No"));
		break;
	}
}

/* end - the reader's memory goes at once: a body may take an hour. */
static void end(struct message_facts *f)
{
	f->has_ended = true;
	f->header_size = f->reader.offset;
	f->is_cut |= f->reader.is_capped;
	header_reader_done(&f->reader);
	header_reader_init(&f->reader);
}

void facts_feed(struct message_facts *f, struct sv octets)
{
	while (!f->has_ended) {
		switch (header_reader_feed(&f->reader, &octets)) {
		case HEADER_MORE:
			return;
		case HEADER_FIELD:
			take_field(f, &f->reader.field);
			break;
		case HEADER_END:
			end(f);
			break;
		}
	}
}

void facts_finish(struct message_facts *f)
{
	while (!f->has_ended) {
		if (header_reader_finish(&f->reader) == HEADER_FIELD)
			take_field(f, &f->reader.field);
		else
			end(f);
	}
}
