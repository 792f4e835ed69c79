// SPDX-License-Identifier: BSD-3-Clause
//
// Keeps programs alive whose functions timers will call. A program knows a function of its own by
// its address alone when it sets it as a callback; here the address leads to the program.
//
// Programs take and give up their share on the packet path, so nothing is freed there: the last
// share that goes is left to the service thread of the timers.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "lib/ebpf/abi/native.h"

namespace crema::ebpf {
struct LoadedProgram;
}

namespace crema::ebpf::maps {

/// One for each program with such functions, a part of the program.
class CallbackOwner {
  public:
    /// addresses: of functions that may be set as callbacks. Throws nothing but bad_alloc; control
    /// threads.
    CallbackOwner(std::weak_ptr<const LoadedProgram> program,
                  const std::vector<std::uint64_t>& addresses);
    ~CallbackOwner();
    CallbackOwner(const CallbackOwner&) = delete;
    CallbackOwner& operator=(const CallbackOwner&) = delete;

    /// The owner of the function at that address, with one more share. Null: no such function, or
    /// its program is on its way out. Any thread.
    [[nodiscard]] static CallbackOwner* share(Native callback);

    /// One share less. True: it was the last one; the service thread has something to collect. Any
    /// thread.
    [[nodiscard]] bool unshare();

    /// Frees programs of which no share is left. The service thread.
    static void collect();

  private:
    std::weak_ptr<const LoadedProgram> program_;
    // Under the registry's lock:
    std::shared_ptr<const LoadedProgram> kept_;  // while there are shares, and until collected
    std::uint64_t shares_ = 0;
    bool is_idle_ = false;  // in the list of those to be collected
    CallbackOwner* next_idle_ = nullptr;
};

}  // namespace crema::ebpf::maps
