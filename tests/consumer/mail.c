/* Uses libmail by its installed headers alone. */
#include <libmail/base.h>
#include <stdio.h>
#include <string.h>

int main(void)
{
    printf("libmail %s: %s\n", lmail_version(), lmail_status_text(LMAIL_OK));
    return strcmp(lmail_version(), LMAIL_VERSION);
}
