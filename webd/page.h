/* webd/page.h - what all pages for people have in common: frame, style, and what a browser may do with them. Server-made HTML: no
 * script, nothing from elsewhere, nothing kept. Pure. */
#ifndef WEBD_PAGE_H
#define WEBD_PAGE_H

#include "webd/html.h"
#include "webd/request.h"
#include "webd/response.h"

#define PAGE_STYLE_PATH "/postroom.css"

struct route_context;

/** page_begin - up to where the content goes. @title: heads the page; @who: who is signed in, below it; may be empty. */
void page_begin(struct html *h, struct response *out, struct sv title, struct sv who);
/** page_end - and make an error of a page that was cut. */
void page_end(struct html *h, struct response *out);
/** page_style - the one style sheet: a handler of webd/routes.c. */
void page_style(const struct route_context *ctx, const struct request *q, struct response *out);

#endif
