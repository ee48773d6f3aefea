/* Certified margins of a label over boxes: one plan and workspace for many questions. */
#ifndef BFI_VERIFY_CERTIFY_H
#define BFI_VERIFY_CERTIFY_H

#include "boundflow/bounds.h"

/* The rows y[label] - y[j] for j = 0, 1, ... without |label|: (outputs - 1) x outputs numbers. */
void bfi_margin_rows(int64_t outputs, int64_t label, double *spec);

typedef struct bfi_certifier bfi_certifier;

/* Plan and workspace for |options|, which must round outward, and room for |boxes| questions at
 * once. The model needs two outputs at least. */
bf_status bfi_certifier_create(bf_session *session, const bf_model *model,
                               const bf_options *options, int64_t boxes, bfi_certifier **out,
                               bf_error *err);
void bfi_certifier_free(bfi_certifier *certifier);

const bf_plan *bfi_certifier_plan(const bfi_certifier *certifier);

/* Corners of box |index|, to be written before a run; as many numbers as the model has inputs. */
double *bfi_certifier_lo(bfi_certifier *certifier, int64_t index);
double *bfi_certifier_hi(bfi_certifier *certifier, int64_t index);

/* margins[i]: smallest, over j other than labels[i], of the certified lower bound of y[labels[i]] -
 * y[j] over box i; the label holds in the whole box when it is above 0. Never not-a-number. The
 * numbers do not depend on what else is asked at once. After a timeout or stop they mean nothing.
 */
bf_status bfi_certifier_run(bfi_certifier *certifier, const int64_t *labels, int64_t count,
                            double deadline, double *margins, bf_error *err);

#endif
