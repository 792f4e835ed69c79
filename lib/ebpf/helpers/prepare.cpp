// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/helpers/prepare.h"

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/fib/mirror.h"

namespace crema::ebpf::helpers {

Status prepare(std::uint32_t id) {
    constexpr std::uint32_t kFibLookup = 69, kCheckMtu = 163;
    if (id != kFibLookup && id != kCheckMtu) {
        return {};
    }
    if (auto started = fib::start_mirror(); !started) {
        return fail(started.error().code, "helper {} needs the host's routes: {}", name_of(id),
                    started.error().message);
    }
    return {};
}

}  // namespace crema::ebpf::helpers
