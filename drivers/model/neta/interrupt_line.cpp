// SPDX-License-Identifier: BSD-3-Clause
//
// See interrupt_line.h.
#include "drivers/model/neta/interrupt_line.h"

#include <cerrno>
#include <cstring>
#include <sys/eventfd.h>

namespace crema::neta::model {

Result<int> InterruptLine::enable() {
    if (!event_.valid()) {
        event_ = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
        if (!event_.valid()) {
            return fail(errno, "no eventfd: {}", std::strerror(errno));
        }
    }
    unmask();
    return event_.get();
}

void InterruptLine::show(bool level) {
    if (level && armed_.exchange(false, std::memory_order_seq_cst)) {
        (void)::eventfd_write(event_.get(), 1);
    }
}

}  // namespace crema::neta::model
