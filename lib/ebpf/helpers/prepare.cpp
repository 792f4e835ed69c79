// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/helpers/prepare.h"

#include "lib/ebpf/helpers/prototypes.h"
#include "lib/ebpf/helpers/trace_writer.h"
#include "lib/ebpf/maps/timers.h"
#include "lib/fib/mirror.h"

namespace crema::ebpf::helpers {

Status prepare(std::uint32_t id) {
    constexpr std::uint32_t kTracePrintk = 6, kFibLookup = 69, kCheckMtu = 163, kTimerInit = 169,
                            kTraceVprintk = 177;
    Status started;
    const char* need = "";
    if (id == kFibLookup || id == kCheckMtu) {
        started = fib::start_mirror();
        need = "the host's routes";
    } else if (id == kTracePrintk || id == kTraceVprintk) {
        started = start_trace_writer();
        need = "its trace file";
    } else if (id == kTimerInit) {
        started = maps::timers::start_service();
        need = "a thread";
    }
    if (!started) {
        return fail(started.error().code, "helper {} needs {}: {}", name_of(id), need,
                    started.error().message);
    }
    return {};
}

}  // namespace crema::ebpf::helpers
