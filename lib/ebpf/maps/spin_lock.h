// SPDX-License-Identifier: BSD-3-Clause
//
// struct bpf_spin_lock: four bytes in a map value, taken by programs (bpf_spin_lock) and by bpf(2)
// with BPF_F_LOCK. Zero is free, so a new element needs no set-up.
#pragma once

#include <atomic>
#include <cstdint>
#include <sched.h>

#include "lib/base/cpu_pause.h"

namespace crema::ebpf::maps {

inline void lock_value(std::uint8_t* lock) {
    constexpr std::uint32_t kSpins = 1024;
    auto& word = *reinterpret_cast<std::atomic<std::uint32_t>*>(lock);
    for (std::uint32_t tried = 0; word.exchange(1, std::memory_order_acquire) != 0; tried++) {
        while (word.load(std::memory_order_relaxed) != 0 && tried < kSpins) {
            cpu_pause();
            tried++;
        }
        if (tried >= kSpins) {
            sched_yield();  // the holder lost its CPU, maybe to us
        }
    }
}

inline void unlock_value(std::uint8_t* lock) {
    reinterpret_cast<std::atomic<std::uint32_t>*>(lock)->store(0, std::memory_order_release);
}

/// Holds a lock of those four bytes while it lives.
class HeldLock {
  public:
    explicit HeldLock(std::uint32_t& word) : word_(reinterpret_cast<std::uint8_t*>(&word)) {
        lock_value(word_);
    }

    HeldLock(const HeldLock&) = delete;
    HeldLock& operator=(const HeldLock&) = delete;

    ~HeldLock() { unlock_value(word_); }

  private:
    std::uint8_t* word_;
};

}  // namespace crema::ebpf::maps
