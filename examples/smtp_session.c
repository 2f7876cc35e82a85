/* smtp_session.c - an SMTP session without a network: octets in, questions and octets out. */
#include <libmail/smtp.h>
#include <stdio.h>

static lmail_status on_rcpt(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_rcpt_event *ev, lmail_smtp_reply *reply)
{
    (void)s, (void)user, (void)t;
    if (!lmail_str_equal_nocase(ev->to.domain, LMAIL_STR("example.org"))) {
        reply->code = 550; /* zeroed would mean yes; LMAIL_PENDING: the answer comes later */
        reply->enhanced = LMAIL_STR("5.7.1");
        reply->text = LMAIL_STR("Relaying denied");
    }
    return LMAIL_OK;
}

static lmail_status on_body(lmail_smtp_server *s, void *user, lmail_ticket t,
                            const lmail_smtp_body_event *ev, lmail_smtp_reply *reply)
{
    (void)s, (void)t, (void)reply;
    fwrite(ev->octets.ptr, 1, ev->octets.len, user);
    return LMAIL_OK;
}

int main(void)
{
    lmail_smtp_server_config config = LMAIL_SMTP_SERVER_CONFIG_INIT;
    lmail_smtp_server_handler handler = LMAIL_SMTP_SERVER_HANDLER_INIT;
    lmail_smtp_server_setup *setup;
    lmail_smtp_server *s;
    lmail_str out;
    size_t used;
    config.host_name = LMAIL_STR("mx.example.org");
    handler.on_rcpt = on_rcpt;
    handler.on_body = on_body;
    if (lmail_smtp_server_setup_new(&setup, &config, &handler) ||
        lmail_smtp_server_new(&s, setup, stdout, 0))
        return 1;
    lmail_smtp_server_feed(s,
                           LMAIL_STR("EHLO client.example\r\nMAIL FROM:<a@example.net>\r\n"
                                     "RCPT TO:<b@example.com>\r\nRCPT TO:<b@example.org>\r\n"
                                     "DATA\r\nSubject: hello\r\n\r\nHello.\r\n.\r\nQUIT\r\n"),
                           &used, 0);
    while (lmail_smtp_server_peek(s, &out, 1)) {
        printf("S: %.*s", (int)out.len, out.ptr);
        lmail_smtp_server_sent(s, out.len, 0);
    }
    lmail_smtp_server_free(s);
    lmail_smtp_server_setup_free(setup);
    return 0;
}
