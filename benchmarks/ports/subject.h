// SPDX-License-Identifier: BSD-3-Clause
//
// What port_bench measures: a port on the polling core with somebody at its other end on the other
// core.
#pragma once

#include <memory>
#include <string>

#include "benchmarks/ports/poll.h"
#include "lib/base/result.h"

namespace crema::bench {

class Subject {
  public:
    Subject() = default;
    Subject(const Subject&) = delete;
    Subject& operator=(const Subject&) = delete;
    virtual ~Subject() = default;

    /// Everything in place and frames arriving; only one subject is up at a time.
    [[nodiscard]] virtual Status up() = 0;
    virtual void down() = 0;

    /// The other core sends and takes frames while this runs.
    [[nodiscard]] virtual Cost run(Work work, std::uint32_t burst, std::uint64_t cycles) = 0;
};

/// Two threads that pass descriptors and frames through shared memory, with nothing around them:
/// what any driver of a device in software has to do, and nothing else.
[[nodiscard]] std::unique_ptr<Subject> make_raw_limit();

/// net_neta on a device that does nothing but pass descriptors and frames (bare_device.h).
[[nodiscard]] std::unique_ptr<Subject> make_bare_neta();

/// net_neta, the device model's engine on the other core.
[[nodiscard]] std::unique_ptr<Subject> make_neta(unsigned other_cpu);

/// net_virtio_user with a packed ring and vectors, net_vhost on the other core.
[[nodiscard]] std::unique_ptr<Subject> make_virtio_user();

/// net_memif as client, net_memif as server on the other core.
[[nodiscard]] std::unique_ptr<Subject> make_memif();

}  // namespace crema::bench
