#include "webd/account_page.h"

#include "webd/offers.h"
#include "webd/page.h"
#include "webd/qr.h"

#include "common/banned.h"

const char *const account_paths[FORM_COUNT] = {
	[FORM_SIGN_IN] = "/account/sign-in",
	[FORM_SIGN_OUT] = "/account/sign-out",
	[FORM_APP_PASSWORD] = "/account/app-password",
	[FORM_REVOKE] = "/account/revoke",
	[FORM_DEVICE] = "/account/device",
	[FORM_VACATION] = "/account/vacation",
	[FORM_PHONE] = "/account/phone",
};

static const char *const said_texts[SAID_COUNT] = {
	[SAID_NOTHING] = "",
	[SAID_REVOKED] = "The app password was taken back. What used it was signed out and cannot come back.",
	[SAID_DEVICE_ENDED] = "The device was signed out.",
	[SAID_VACATION_ON] = "The automatic answer is on.",
	[SAID_VACATION_OFF] = "The automatic answer is off.",
	[SAID_SIGNED_OUT] = "You are signed out.",
};

static void begin_form(struct html *h, enum account_form form, const char *token)
{
	html(h, "<form method=\"post\" action=\"$\">\n<input type=\"hidden\" name=\"form\" value=\"$\">\n", sv_z(account_paths[form]), sv_z(token));
}

/* A word says what the colour says, too. */
static void put_said(struct html *h, struct sv good, struct sv wrong)
{
	if (wrong.len)
		html(h, "<p class=\"said bad\" role=\"alert\"><strong>Not done.</strong> $</p>\n", wrong);
	else if (good.len)
		html(h, "<p class=\"said good\" role=\"status\"><strong>Done.</strong> $</p>\n", good);
}

/* ---- signing in ---- */

void sign_in_page_write(const char *token, struct sv user, struct sv wrong, enum account_said said, struct response *out)
{
	struct html h;

	page_begin(&h, out, SV("Your mail account"), SV_NONE);
	html_raw(&h, "</header>\n<main id=\"content\">\n<section class=\"narrow\" aria-labelledby=\"in\">\n<h2 id=\"in\">Sign in</h2>\n");
	put_said(&h, sv_z(said_texts[said]), wrong);
	begin_form(&h, FORM_SIGN_IN, token);
	html(&h, "<label for=\"user\">Mail address</label>\n"
		 "<input id=\"user\" name=\"user\" type=\"text\" inputmode=\"email\" autocomplete=\"username\" autocapitalize=\"none\" "
		 "spellcheck=\"false\" maxlength=\"400\" required value=\"$\">\n"
		 "<label for=\"password\">Password</label>\n"
		 "<input id=\"password\" name=\"password\" type=\"password\" autocomplete=\"current-password\" maxlength=\"1024\" required "
		 "aria-describedby=\"which\">\n"
		 "<span class=\"hint\" id=\"which\">The password of the account itself; app passwords are for mail programs only.</span>\n"
		 "<div class=\"acts\"><button>Sign in</button></div>\n</form>\n</section>\n", user);
	page_end(&h, out);
}

/* not_done_page - why, and where to go on; the status, unless another one was set. */
static void not_done_page(struct response *out, struct sv why, struct sv next, unsigned status)
{
	struct html h;

	page_begin(&h, out, SV("Your mail account"), SV_NONE);
	html(&h, "</header>\n<main id=\"content\">\n<p class=\"said bad\" role=\"alert\"><strong>Not done.</strong> $</p>\n"
		 "<p><a href=\"/account\">$</a></p>\n", why, next);
	page_end(&h, out);
	out->status = out->status == 200 ? status : out->status;
}

void refused_page_write(struct response *out)
{
	not_done_page(out, SV("The form was too old, or did not come from this page. Nothing was changed."), SV("Back to your account"), 403);
}

void link_used_page_write(struct response *out)
{
	not_done_page(out, SV("This link has been used, or is too old: each is good once, for a few minutes."),
		      SV("Make another one at your account page"), 404);
}

/* ---- the parts of the page ---- */

/* Dark on light, whatever the colours of the page: not every camera reads it the other way round. */
static void put_link(struct html *h, const struct visit_secret *secret)
{
	struct sv link = sv_z(secret->link);
	struct buf path;
	unsigned side;

	html(h, "<div class=\"said good\" role=\"status\"><strong>The link for “$” is ready.</strong> It works once, within $ minutes.\n"
		"<p>With the iPhone or iPad, point the camera at the picture and open the link; on the device itself, "
		"<a href=\"$\">open it here</a>. Then look into Settings, “Profile Downloaded”, and install it.</p>\n",
	     sv_z(secret->label), html_u64(h, OFFER_LIFE_MS / 60000), link);
	buf_init(&path, QR_PATH_MAX);
	if (qr_path(link, &path, &side))
		html(h, "<svg class=\"qr\" viewBox=\"0 0 $ $\" role=\"img\" aria-label=\"QR code of the link\"><path d=\"$\"/></svg>\n",
		     html_u64(h, side), html_u64(h, side), buf_sv(&path));
	html(h, "<p class=\"link\">$</p></div>\n", link);
	buf_wipe(&path);
}

static void put_secret(struct html *h, const struct visit_secret *secret)
{
	if (*secret->link) {
		put_link(h, secret);
		return;
	}
	html(h, "<div class=\"said good\" role=\"status\"><strong>Your new app password for “$”:</strong><br>\n<span class=\"secret\">$</span><br>\n"
		"Type it into the mail program now, with or after your mail address. It is not shown again.</div>\n",
	     sv_z(secret->label), sv_z(secret->password));
}

static void put_storage(struct html *h, const struct account_view *v)
{
	html_raw(h, "<section aria-labelledby=\"storage\">\n<h2 id=\"storage\">Storage</h2>\n");
	if (!v->has_settings) {
		html_raw(h, "<p>Not known right now. Try again in a minute.</p>\n</section>\n");
		return;
	}
	if (v->bytes_max) {
		uint64_t percent = v->bytes / (v->bytes_max / 100 ? v->bytes_max / 100 : 1);

		html(h, "<p id=\"used\"><strong>$ of $</strong> used ($ %), in $ messages.</p>\n", html_size(h, v->bytes),
		     html_size(h, v->bytes_max), html_u64(h, percent), html_u64(h, v->messages));
		html(h, "<progress aria-labelledby=\"used\" max=\"100\" value=\"$\"></progress>\n", html_u64(h, percent > 100 ? 100 : percent));
		if (percent >= 90)
			html_raw(h, "<p>Nearly full: when nothing fits any more, new mail goes back to its senders. Delete what you do not need, "
				    "and empty the trash.</p>\n");
	} else {
		html(h, "<p><strong>$</strong> in $ messages. There is no limit.</p>\n", html_size(h, v->bytes), html_u64(h, v->messages));
	}
	if (v->messages_max)
		html(h, "<p>At most $ messages.</p>\n", html_u64(h, v->messages_max));
	html_raw(h, "</section>\n");
}

static void put_devices(struct html *h, const struct account_page *p)
{
	const struct account_view *v = p->view;

	html_raw(h, "<section aria-labelledby=\"devices\">\n<h2 id=\"devices\">Devices and programs</h2>\n");
	if (!v->device_count)
		html_raw(h, "<p>No mail program has signed in yet.</p>\n");
	else
		html_raw(h, "<p class=\"soft\">Who signs in to your mailbox. If one is not yours, sign it out, and change your password if it used "
			    "that.</p>\n<ul class=\"rows\">\n");
	for (size_t i = 0; i < v->device_count; i++) {
		const struct view_device *d = &v->devices[i];
		struct sv with = d->number ? d->credential : SV("your account’s own password");

		html(h, "<li><div><strong><bdi>$</bdi></strong><br>\n<span class=\"soft\">with $<bdi>$</bdi>, from $, last on ", d->name,
		     d->number ? SV("app password ") : SV_NONE, with, d->address);
		html(h, "$</span></div>\n", html_time(h, d->last_s));
		begin_form(h, FORM_DEVICE, p->tokens[FORM_DEVICE]);
		html(h, "<input type=\"hidden\" name=\"device\" value=\"$\">\n<button class=\"second\" aria-label=\"Sign out $\">Sign out</button>\n"
			"</form></li>\n", sv_z(d->key), d->name);
	}
	if (v->device_count)
		html_raw(h, "</ul>\n");
	html_raw(h, "<h3>Set up a phone</h3>\n<p class=\"soft\">An iPhone, iPad or Mac sets itself up by a link, with an app password of its own. Other "
		    "phones: make an app password above and enter it with your mail address; most programs find the rest.</p>\n");
	begin_form(h, FORM_PHONE, p->tokens[FORM_PHONE]);
	html(h, "<label for=\"phone\">Its name</label>\n"
		"<input id=\"phone\" name=\"label\" type=\"text\" maxlength=\"$\" autocomplete=\"off\" required value=\"iPhone\">\n"
		"<div class=\"acts\"><button>Make a link</button></div>\n</form>\n</section>\n", html_u64(h, VISIT_LABEL_MAX));
}

static void put_app_passwords(struct html *h, const struct account_page *p)
{
	const struct directory_login *l = &p->view->login;
	size_t count = 0;

	html_raw(h, "<section aria-labelledby=\"app\">\n<h2 id=\"app\">App passwords</h2>\n<p class=\"soft\">A password for one device or program. "
		    "When a device is lost, take its password back; the others go on working.</p>\n<ul class=\"rows\">\n");
	for (size_t i = 0; i < l->count; i++) {
		const struct directory_credential *c = &l->credentials[i];

		if (!c->number)
			continue;
		count++;
		html(h, "<li><div><strong><bdi>$</bdi></strong><br>\n<span class=\"soft\">$made on $</span></div>\n", sv_z(c->label),
		     c->is_certificate ? SV("a certificate, ") : SV_NONE, html_day(h, c->created_s));
		if (!c->is_certificate) {
			begin_form(h, FORM_REVOKE, p->tokens[FORM_REVOKE]);
			html(h, "<input type=\"hidden\" name=\"number\" value=\"$\">\n"
				"<button class=\"second\" aria-label=\"Take back $\">Take back</button>\n</form>", html_u64(h, c->number), sv_z(c->label));
		}
		html_raw(h, "</li>\n");
	}
	if (!count)
		html_raw(h, "<li>None yet.</li>\n");
	html_raw(h, "</ul>\n");
	begin_form(h, FORM_APP_PASSWORD, p->tokens[FORM_APP_PASSWORD]);
	html(h, "<label for=\"label\">Make one for</label>\n"
		"<input id=\"label\" name=\"label\" type=\"text\" maxlength=\"$\" autocomplete=\"off\" required aria-describedby=\"such\">\n"
		"<span class=\"hint\" id=\"such\">A name by which you will know it again, such as “phone”.</span>\n"
		"<div class=\"acts\"><button>Make an app password</button></div>\n</form>\n</section>\n", html_u64(h, VISIT_LABEL_MAX));
}

static void put_vacation(struct html *h, const struct account_page *p)
{
	const struct account_view *v = p->view;

	html_raw(h, "<section aria-labelledby=\"away\">\n<h2 id=\"away\">Automatic answer</h2>\n");
	if (!v->has_settings || v->rules_are_edited) {
		html(h, "<p>$</p>\n</section>\n", v->has_settings ?
			SV("Your mail filter was edited by hand; change the answer there.") : SV("Not known right now. Try again in a minute."));
		return;
	}
	html(h, "<p>$ <span class=\"soft\">Who writes to you gets it once in seven days; lists and mass mail do not.</span></p>\n",
	     v->vacation.is_on ? SV("It is on.") : SV("It is off."));
	begin_form(h, FORM_VACATION, p->tokens[FORM_VACATION]);
	html(h, "<label for=\"message\">Your answer</label>\n<textarea id=\"message\" name=\"message\" maxlength=\"4000\" rows=\"5\">$</textarea>\n"
		"<label for=\"subject\">Subject</label>\n<input id=\"subject\" name=\"subject\" type=\"text\" maxlength=\"120\" autocomplete=\"off\" "
		"aria-describedby=\"subject-hint\" value=\"$\">\n<span class=\"hint\" id=\"subject-hint\">Without one, “Auto:” and theirs.</span>\n",
	     v->vacation.message, v->vacation.subject);
	html(h, "<div class=\"two\">\n<div><label for=\"from\">First day</label>\n<input id=\"from\" name=\"from\" type=\"date\" value=\"$\" "
		"aria-describedby=\"from-hint\"><span class=\"hint\" id=\"from-hint\">Empty: at once.</span></div>\n"
		"<div><label for=\"until\">Last day</label>\n<input id=\"until\" name=\"until\" type=\"date\" value=\"$\" "
		"aria-describedby=\"until-hint\"><span class=\"hint\" id=\"until-hint\">Empty: until you turn it off.</span></div>\n</div>\n",
	     v->vacation.from, v->vacation.until);
	html(h, "<div class=\"acts\"><button name=\"do\" value=\"on\">$</button>\n", v->vacation.is_on ? SV("Save") : SV("Turn on"));
	if (v->vacation.is_on)
		html_raw(h, "<button class=\"second\" name=\"do\" value=\"off\">Turn off</button>\n");
	html_raw(h, "</div>\n</form>\n</section>\n");
}

void account_page_write(const struct account_page *p, struct response *out)
{
	struct html h;

	page_begin(&h, out, SV("Your mail account"), sv_z(p->view->login.account.address));
	begin_form(&h, FORM_SIGN_OUT, p->tokens[FORM_SIGN_OUT]);
	html_raw(&h, "<button class=\"second\">Sign out</button>\n</form>\n</header>\n<main id=\"content\">\n");
	put_said(&h, sv_z(said_texts[p->said]), sv_z(p->wrong));
	if (p->secret)
		put_secret(&h, p->secret);
	put_storage(&h, p->view);
	put_vacation(&h, p);
	put_app_passwords(&h, p);
	put_devices(&h, p);
	page_end(&h, out);
}
