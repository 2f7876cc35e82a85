/* service_files.h - small files read whole; the machine's own name. */
#ifndef LMI_SERVICE_FILES_H
#define LMI_SERVICE_FILES_H

#include <libmail/host/service.h>

#define LMI_MAX_FILE (64 << 20)

/* The octets, terminated for good measure, to be given back with lmi_file_free (which wipes them).
 * Returns: OK, ERR_NOTFOUND, ERR_DENIED, ERR_ARG (not a regular file), ERR_LIMIT, ERR_IO,
 * ERR_NOMEM. */
lmail_status lmi_file_read(const char *path, lmail_str *out);
void lmi_file_free(lmail_str text);

/* The machine's name, with its domain where the resolver's files know it. May take seconds. */
void lmi_machine_name(char *out, size_t cap);
/* lmail_config_load_from; name: the machine's, found out when it is needed and empty. */
lmail_status lmi_config_load(lmail_config **out, const char *path, const lmail_files *files,
                             char name[256], lmail_diagnostic_fn *diagnostic, void *ctx);

#endif
