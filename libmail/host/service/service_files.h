/* service_files.h - small files read whole. */
#ifndef LMI_SERVICE_FILES_H
#define LMI_SERVICE_FILES_H

#include <libmail/base.h>

#define LMI_MAX_FILE (64 << 20)

/* The octets, terminated for good measure, to be given back with lmi_file_free (which wipes them).
 * Returns: OK, ERR_NOTFOUND, ERR_DENIED, ERR_ARG (not a regular file), ERR_LIMIT, ERR_IO,
 * ERR_NOMEM. */
lmail_status lmi_file_read(const char *path, lmail_str *out);
void lmi_file_free(lmail_str text);

#endif
