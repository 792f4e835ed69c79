// SPDX-License-Identifier: BSD-3-Clause
//
// Interrupts of a model in the driver's own process. Register accesses show the line's level
// themselves; what comes by itself, frames and the end of a time, is noticed by a thread that lives
// while interrupts are enabled. It sleeps until the wire has something (or, where the wire cannot
// tell, looks each 100 us), until a time runs out, or until the driver changes a mask.
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <poll.h>
#include <sys/eventfd.h>

#include "drivers/model/neta/interrupts.h"
#include "drivers/model/neta/model.h"
#include "lib/base/check.h"

namespace crema::neta::model {
namespace {

constexpr std::int64_t kLookNs = 100'000'000;

timespec timespec_of(std::int64_t ns) {
    return {ns / 1'000'000'000, ns % 1'000'000'000};
}

}  // namespace

Result<int> NetaModel::enable_interrupt() {
    auto event = line_.enable();
    if (!event) {
        return fail(event.error().code, "device=model: {}", event.error().message);
    }
    if (engine_.threaded || watching_) {
        return event;  // an engine that runs by itself shows the line
    }
    watch_wake_ = UniqueFd(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
    if (!watch_wake_.valid()) {
        return fail(errno, "device=model: no eventfd: {}", std::strerror(errno));
    }
    watch_stop_.store(false, std::memory_order_release);
    watching_ = true;
    if (auto started = start_thread(watcher_, watch_main); !started) {
        watching_ = false;
        line_.disable();
        return forward_error(started);
    }
    return event;
}

void NetaModel::rearm_interrupt() {
    line_.unmask();
    lock_.lock();
    chip_.faults.line_armed();
    release();
    if (watching_) {
        wake_watcher();
    }
}

void NetaModel::disable_interrupt() {
    line_.disable();
    if (watching_) {
        watch_stop_.store(true, std::memory_order_release);
        wake_watcher();
        CREMA_CHECK(::pthread_join(watcher_, nullptr) == 0);
        watching_ = false;
    }
}

void NetaModel::wake_watcher() const {
    (void)::eventfd_write(watch_wake_.get(), 1);
}

void* NetaModel::watch_main(void* self) {
    static_cast<NetaModel*>(self)->watch();
    return nullptr;
}

void NetaModel::watch() {
    while (!watch_stop_.load(std::memory_order_acquire)) {
        const bool moved = line_.armed() && advance();
        lock_.lock();
        release();
        if (moved) {
            continue;
        }
        const Idle quiet = line_.armed() ? idle() : Idle{};
        std::array<pollfd, 2> waits{{{watch_wake_.get(), POLLIN, 0}, {quiet.fd, POLLIN, 0}}};
        const timespec time = timespec_of(std::min(quiet.ns, kLookNs));
        (void)::ppoll(waits.data(), waits.size(), &time, nullptr);
        std::uint64_t woken = 0;
        (void)::eventfd_read(watch_wake_.get(), &woken);
    }
}

}  // namespace crema::neta::model
