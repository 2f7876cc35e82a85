/* admin_metrics_http.h - what the metrics page needs of HTTP/1.1. */
#ifndef LMI_ADMIN_METRICS_HTTP_H
#define LMI_ADMIN_METRICS_HTTP_H

#include <libmail/base.h>

#define LMI_HTTP_HEAD_MAX 8192u /* octets of a request line and its fields */

/* What the octets so far ask for: 0 while more is needed, else the code to answer with. *head: 1
 * when no body is to be sent. */
unsigned lmi_http_judge(lmail_str in, int *head);

/* The head of an answer into out, 512 octets; its length. */
size_t lmi_http_head(unsigned code, size_t body, char *out);
/* What people see in place of the page. A static text; empty for 200. */
lmail_str lmi_http_body(unsigned code);

#endif
