/* Uses libmail-host by its installed headers alone. */
#include <libmail/host/net.h>
#include <stdio.h>

int main(void)
{
    char error[256] = "";
    lmail_net_config config;
    lmail_net_config_init(&config);

    lmail_net *net = NULL;
    lmail_status status = lmail_net_new(&net, &config, error, sizeof error);
    printf("libmail-host with libmail %s: %s %s\n", lmail_version(), lmail_status_text(status),
           error);
    lmail_net_free(net);
    return status == LMAIL_OK ? 0 : 1;
}
