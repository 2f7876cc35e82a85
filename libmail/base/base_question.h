/* base_question.h - the part of the ticket table that only the pump calls. */
#ifndef LMI_BASE_QUESTION_H
#define LMI_BASE_QUESTION_H

#include "base/base_internal.h"

void lmi_questions_rest(lmail_session *s); /* free the spare one */
void lmi_questions_end(lmail_session *s);  /* free all, handed back or not */

#endif
