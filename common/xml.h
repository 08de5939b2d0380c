/* common/xml.h - reading XML that a stranger wrote, as far as reports need it: elements and their text. The keeper of expat.
 *
 * Bounded: depth, elements and text have limits, and a document type (entities, files to be fetched) is refused, so that what is
 * read is never more than what came. Pure: no I/O, any thread. */
#ifndef COMMON_XML_H
#define COMMON_XML_H

#include "common/bytes.h"
#include "common/fault.h"

#define XML_DEPTH_MAX 32
#define XML_ELEMENTS_MAX 500000
#define XML_TEXT_MAX 1024       /* octets of one element's text; more is cut off */

struct xml_handler {
	/* Names are without a prefix. Any of them may be NULL. */
	void (*begin)(void *arg, struct sv name);
	/* text: what stood between the element's tags, without that of elements in it; UTF-8, white space around it dropped */
	void (*end)(void *arg, struct sv name, struct sv text);
	void *arg;
};

/** xml_read - a whole document. FAULT_INVALID: it is not well-formed, or has a document type; FAULT_LIMIT: too deep, or too many
 *  elements. The handler may have been called before. */
MUST_CHECK struct fault xml_read(struct sv document, const struct xml_handler *handler);

#endif
