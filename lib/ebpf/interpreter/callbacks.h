// SPDX-License-Identifier: BSD-3-Clause
//
// Addresses for functions of interpreted programs. A native function that takes a callback calls
// it as C code, with r1..r5 and nothing else, perhaps later on another thread (timers); so each
// function whose address is taken gets a C function of its own out of a fixed set, which knows by
// its place whose it is.
#pragma once

#include <array>
#include <cstdint>
#include <utility>

#include "lib/base/result.h"

namespace crema::ebpf::interpreter {

class Image;

using Arguments = std::array<std::uint64_t, 5>;  // r1..r5

/// Functions of all interpreted programs of the process that can be callbacks at a time.
inline constexpr std::uint32_t kCallbacksMax = 256;

/// Holds one place of the set. Released on destruction: nobody may call the address any more.
class Callback {
  public:
    /// ENOSPC: all places are taken. Thread: any; not on the packet path.
    [[nodiscard]] static Result<Callback> take(const Image& image, std::uint32_t first_slot);

    Callback(Callback&& other) noexcept : place_(std::exchange(other.place_, kCallbacksMax)) {}

    Callback& operator=(Callback&& other) noexcept;
    Callback(const Callback&) = delete;
    Callback& operator=(const Callback&) = delete;
    ~Callback();

    /// What LD_IMM64 of the function puts into a register.
    [[nodiscard]] std::uint64_t address() const;

    /// First slot of the function.
    [[nodiscard]] std::uint32_t first_slot() const;

  private:
    explicit Callback(std::uint32_t place) : place_(place) {}

    std::uint32_t place_;
};

/// The run that this thread is in, if its program has callbacks: they belong to it and see its
/// frames. A callback that comes without one starts a run of its own.
struct CallbackHost {
    void* activation = nullptr;
    std::uint64_t (*call)(void* activation,
                          const Image& image,
                          std::uint32_t first_slot,
                          const Arguments& arguments) = nullptr;
};

/// Installs `host` for this thread until the end of the scope.
class CallbackScope {
  public:
    explicit CallbackScope(const CallbackHost& host);
    ~CallbackScope();
    CallbackScope(const CallbackScope&) = delete;
    CallbackScope& operator=(const CallbackScope&) = delete;
    CallbackScope(CallbackScope&&) = delete;
    CallbackScope& operator=(CallbackScope&&) = delete;

  private:
    CallbackHost outer_;
};

}  // namespace crema::ebpf::interpreter
