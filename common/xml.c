#include "common/xml.h"

#include <stdlib.h>

#include <expat.h>

#include "common/memory.h"

#include "common/banned.h"

struct reading {
	const struct xml_handler *handler;
	XML_Parser parser;
	struct fault fault;
	size_t depth, elements;
	struct { char text[XML_TEXT_MAX]; size_t len; } levels[XML_DEPTH_MAX];
};

static void stop(struct reading *r, enum fault_kind kind, const char *detail)
{
	r->fault = fault(kind, detail);
	XML_StopParser(r->parser, XML_FALSE);
}

/* local - "ns:name" is "name". */
static struct sv local(const XML_Char *name)
{
	struct sv s = sv_z(name);
	size_t colon = sv_rfind(s, ':');

	return colon == SIZE_MAX ? s : sv_sub(s, colon + 1, SIZE_MAX);
}

static void XMLCALL on_begin(void *arg, const XML_Char *name, const XML_Char **attributes)
{
	struct reading *r = arg;

	(void)attributes;
	if (r->depth == XML_DEPTH_MAX || r->elements == XML_ELEMENTS_MAX) {
		stop(r, FAULT_LIMIT, "XML: too deep, or too many elements");
		return;
	}
	r->elements++;
	r->levels[r->depth++].len = 0;
	if (r->handler->begin)
		r->handler->begin(r->handler->arg, local(name));
}

static void XMLCALL on_end(void *arg, const XML_Char *name)
{
	struct reading *r = arg;

	if (r->fault.kind)
		return;
	r->depth--;
	if (r->handler->end)
		r->handler->end(r->handler->arg, local(name), sv_trim(sv_from(r->levels[r->depth].text, r->levels[r->depth].len)));
}

static void XMLCALL on_text(void *arg, const XML_Char *text, int len)
{
	struct reading *r = arg;
	struct sv s = sv_from(text, len > 0 ? (size_t)len : 0);

	if (!r->depth || r->fault.kind)
		return;
	s = sv_sub(s, 0, XML_TEXT_MAX - r->levels[r->depth - 1].len);
	memcpy(r->levels[r->depth - 1].text + r->levels[r->depth - 1].len, s.p, s.len);
	r->levels[r->depth - 1].len += s.len;
}

static void XMLCALL on_doctype(void *arg, const XML_Char *name, const XML_Char *system_id, const XML_Char *public_id, int has_internal)
{
	(void)name, (void)system_id, (void)public_id, (void)has_internal;
	stop(arg, FAULT_INVALID, "XML: a document type");
}

struct fault xml_read(struct sv document, const struct xml_handler *handler)
{
	struct reading *r;
	struct fault f;

	if (document.len > INT32_MAX)
		return fault(FAULT_LIMIT, "XML: too long");
	r = xcalloc(1, sizeof(*r));
	r->handler = handler;
	r->parser = XML_ParserCreate(NULL);
	if (!r->parser)
		BUG("expat: no memory");
	XML_SetHashSalt(r->parser, (unsigned long)sv_hash(SV("xml")) | 1);      /* else it looks for one in the system */
	XML_SetUserData(r->parser, r);
	XML_SetElementHandler(r->parser, on_begin, on_end);
	XML_SetCharacterDataHandler(r->parser, on_text);
	XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
	if (XML_Parse(r->parser, document.p, (int)document.len, XML_TRUE) != XML_STATUS_OK && !r->fault.kind)
		r->fault = fault(FAULT_INVALID, "XML: not well-formed");
	f = r->fault;
	XML_ParserFree(r->parser);
	free(r);
	return f;
}
