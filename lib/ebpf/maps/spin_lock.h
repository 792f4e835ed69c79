// SPDX-License-Identifier: BSD-3-Clause
//
// struct bpf_spin_lock: four bytes in a map value, taken by programs (bpf_spin_lock) and by bpf(2)
// with BPF_F_LOCK. Zero is free, so a new element needs no set-up. And how a value with a lock in
// it is copied: all but the lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <immintrin.h>
#include <sched.h>

#include "lib/ebpf/maps/value_copy.h"

namespace crema::ebpf::maps {

inline constexpr std::uint32_t kSpinLockBytes = 4;

inline void lock_value(std::uint8_t* lock) {
    constexpr std::uint32_t kSpins = 1024;
    auto& word = *reinterpret_cast<std::atomic<std::uint32_t>*>(lock);
    for (std::uint32_t tried = 0; word.exchange(1, std::memory_order_acquire) != 0; tried++) {
        while (word.load(std::memory_order_relaxed) != 0 && tried < kSpins) {
            _mm_pause();
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

/// Copies all of a value but its lock, word by word of four bytes. lock_offset >= 0.
inline void write_value_around_lock(std::uint8_t* to,
                                    const void* from,
                                    std::uint32_t bytes,
                                    std::int32_t lock_offset) {
    const auto* in = static_cast<const std::uint8_t*>(from);
    for (std::uint32_t at = 0; at < bytes; at += 4) {
        if (at != static_cast<std::uint32_t>(lock_offset)) {
            std::uint32_t word = 0;
            std::memcpy(&word, in + at, bytes - at < 4 ? bytes - at : 4);
            reinterpret_cast<std::atomic<std::uint32_t>*>(to + at)->store(
                word, std::memory_order_relaxed);
        }
    }
}

/// The lock reads as 0.
inline void read_value_around_lock(void* to,
                                   const std::uint8_t* from,
                                   std::uint32_t bytes,
                                   std::int32_t lock_offset) {
    read_value(to, from, bytes);
    std::memset(static_cast<std::uint8_t*>(to) + lock_offset, 0, kSpinLockBytes);
}

}  // namespace crema::ebpf::maps
