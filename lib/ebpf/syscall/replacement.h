// SPDX-License-Identifier: BSD-3-Clause
//
// The two sides of freplace: what an extension may still be put in the place of, and which
// functions of a program are replaced at the moment. Beside what runs, which is immutable.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>

#include "lib/ebpf/abi/xdp_buff.h"

namespace crema::ebpf {

struct LoadedProgram;

/// A run is entry(&buff, self).
struct Start {
    EntryPoint entry = nullptr;
    const void* self = nullptr;
};

/// Of a program of type EXT. Threads: any.
struct Extension {
    mutable std::mutex mutex;
    /// What it was loaded for, until it is put in place for the first time.
    std::shared_ptr<const LoadedProgram> target;
    std::uint32_t function = 0;     // of it, index in Program::functions
    std::uint32_t btf_type = 0;     // the same function in its BTF
    std::uint32_t attach_type = 0;  // every other target must have it, too
};

/// Functions of a program that are replaced. Threads: any.
class Replacements {
  public:
    /// False: the function is replaced already, or the program is in an array of programs: tail
    /// calls and extensions together could go round without end.
    [[nodiscard]] bool add(std::uint32_t function) {
        const std::lock_guard lock(mutex_);
        return memberships_ == 0 && functions_.insert(function).second;
    }

    void remove(std::uint32_t function) {
        const std::lock_guard lock(mutex_);
        functions_.erase(function);
    }

    /// False: a function is replaced.
    [[nodiscard]] bool join_array() {
        const std::lock_guard lock(mutex_);
        memberships_ += functions_.empty() ? 1U : 0U;
        return functions_.empty();
    }

    void leave_array() {
        const std::lock_guard lock(mutex_);
        --memberships_;
    }

    /// In place of the first function; null: itself. Valid for runs until they end.
    std::atomic<const Start*> first{nullptr};

  private:
    std::mutex mutex_;
    std::set<std::uint32_t> functions_;
    std::uint32_t memberships_ = 0;  // slots of arrays of programs
};

}  // namespace crema::ebpf
