"""Thunderbird in the network of test_first_hour.py: it finds its settings by itself, reads and sends. By `make check-mail-programs` alone: on a
machine that has a load of 35 it gives a connection up now and then."""

import re

from test_first_hour import came, results, send, world  # noqa: F401
from thunderbird import Thunderbird, read
from thunderbird import send as send_by


def test_thunderbird_finds_its_settings_reads_and_sends(world, tmp_path):  # noqa: F811
    """What its account hub does: look for settings, try them, add the account. Only the authority is made known to it."""
    a, b = world.a, world.b
    asked = len(a.log())
    with world.client, Thunderbird(tmp_path, lambda command: world.client.asking(world.dns.ip, command)) as bird:
        found = bird.do("""
const [authorities, address, password] = args;
const modules = name => ChromeUtils.importESModule(`resource:///modules/accountcreation/${name}.sys.mjs`);
const { FindConfig } = modules("FindConfig"), { AccountConfig } = modules("AccountConfig");
const { ConfigVerifier } = modules("ConfigVerifier"), { CreateInBackend } = modules("CreateInBackend");
const certificates = Cc["@mozilla.org/security/x509certdb;1"].getService(Ci.nsIX509CertDB);
for (const authority of authorities) certificates.addCertFromBase64(authority, "CT,,");
const stream = FindConfig.parallelAutoDiscovery(address.split("@")[1], address, new AbortController().signal, "", "");
let step = await stream.next();
while (!step.done) step = await stream.next({ acceptRedirect: false });
const config = step.value;
if (!config) throw new Error("no settings were found");
const settings = ({ type, hostname, port, socketType }) => [type, hostname, port, socketType == Ci.nsMsgSocketType.SSL];
const found = { source: config.source == AccountConfig.kSourceXML, subSource: config.subSource,
                incoming: settings(config.incoming), outgoing: settings(config.outgoing) };
AccountConfig.replaceVariables(config, "Alice", address, password);
await new ConfigVerifier(Services.wm.getMostRecentWindow("mail:3pane").msgWindow, new AbortController().signal).verifyConfig(config, false);
const added = await CreateInBackend.createAccountInBackend(config);
MailServices.accounts.defaultAccount = added;
added.defaultIdentity.composeHtml = false;
return found;
""", [re.sub(r"-----.*?-----|\s", "", pem) for pem in world.believed.read_text().split("-----END CERTIFICATE-----")[:-1]],
                        a.address("alice"), a.password("alice"))
        assert found == {"source": True, "subSource": "xml-from-isp-https", "incoming": ["imap", "mail.a.example", 993, True],
                         "outgoing": ["smtp", "mail.a.example", 465, True]}
        send(b, "bob", a.address("alice"), "for Thunderbird")
        came(a, "alice", "for Thunderbird")
        bird.do("""
const fetch = () => account.incomingServer.getNewMessages(special("Inbox") || root, null, null);
fetch();
await until(() => "the message", () => special("Inbox") && find(special("Inbox"), args[0]), fetch);
await until(() => "the window", () => pane && pane.displayFolder);
const show = () => { pane.displayFolder(root.URI); pane.displayFolder(special("Inbox").URI); };
show();
await until(() => "its list", () => pane.gDBView && pane.gDBView.rowCount, show);
""", "for Thunderbird")
        assert "Hello." in read(bird, "for Thunderbird", "Hello.")
        send_by(bird, b.address("bob"), "from Thunderbird")
        assert results(came(b, "bob", "from Thunderbird"))["dmarc"] == {"pass"}
    assert "path=/mail/config-v1.1.xml host=autoconfig.a.example tls=yes status=200" in a.log()[asked:]
