// SPDX-License-Identifier: BSD-3-Clause
// The sink behind lib/base/log.h.

#include "lib/base/log.h"

#include <rte_log.h>

namespace crema::log {
namespace {

int log_type() {
    static const int registered = [] {
        const int type = rte_log_register_type_and_pick_level("crema", RTE_LOG_NOTICE);
        return type < 0 ? static_cast<int>(RTE_LOGTYPE_USER1) : type;
    }();
    return registered;
}

}  // namespace

bool enabled(Level level) {
    return rte_log_can_log(static_cast<std::uint32_t>(log_type()),
                           static_cast<std::uint32_t>(level));
}

void write(Level level, std::string_view line) {
    rte_log(static_cast<std::uint32_t>(level), static_cast<std::uint32_t>(log_type()),
            "crema: %.*s\n", static_cast<int>(line.size()), line.data());
}

}  // namespace crema::log
