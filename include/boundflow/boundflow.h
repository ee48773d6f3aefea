/* BoundFlow: certified bounds and verdicts for neural networks.
 *
 *   bf_session_create -> bf_model_load -> bf_plan_create -> bf_workspace_create -> bf_bounds_run
 * (any number) bf_session_create -> bf_model_load -> bf_property_load -> bf_verify
 *              bf_session_create -> bf_model_load -> bf_radius
 *
 * Free in the opposite order. See docs/guide and the header of each part for contracts. */
#ifndef BOUNDFLOW_BOUNDFLOW_H
#define BOUNDFLOW_BOUNDFLOW_H

#include "boundflow/bounds.h"
#include "boundflow/cache.h"
#include "boundflow/inspect.h"
#include "boundflow/model.h"
#include "boundflow/property.h"
#include "boundflow/radius.h"
#include "boundflow/session.h"
#include "boundflow/status.h"
#include "boundflow/tvm.h"
#include "boundflow/verify.h"
#include "boundflow/version.h"

#endif
