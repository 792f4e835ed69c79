// SPDX-License-Identifier: BSD-3-Clause
//
// The raw limit: rings of 32-byte descriptors and frames of one line in shared memory. The device's
// thread fills posted buffers, writes status and size, and tells how many it completed once per
// burst, as a NIC's counter registers do; the driver's reads that count, the descriptors and the
// first words of each frame, and posts the buffers again. To send, the driver posts descriptors and
// the device reads them and the frames. No mbufs, no pool but a stack of buffers, no checks.
#include <array>
#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include <rte_launch.h>
#include <rte_lcore.h>

#include "benchmarks/ports/subject.h"

namespace crema::bench {
namespace {

constexpr std::uint32_t kRing = 1024;
constexpr std::uint32_t kFrameBytes = 60;
constexpr std::size_t kStride = 2112;
constexpr std::uint32_t kDeviceBurst = 64;

struct Descriptor {
    std::uint32_t status;
    std::uint32_t bytes;
    std::uint8_t* frame;
    std::uint64_t more[2];
};

static_assert(sizeof(Descriptor) == 32);

struct Ring {
    alignas(64) std::array<Descriptor, kRing> descriptors{};
    alignas(64) std::atomic<std::uint32_t> posted{0};     // by the driver
    alignas(64) std::atomic<std::uint32_t> completed{0};  // by the device
};

struct Rings {
    Ring rx;
    Ring tx;
    alignas(64) std::atomic<bool> stop{false};
};

/// Both directions of the device.
int device_main(void* pointer) {
    Rings& rings = *static_cast<Rings*>(pointer);
    std::array<std::uint8_t, 64> pattern{};
    pattern.fill(0x5a);
    std::uint64_t seen = 0;
    while (!rings.stop.load(std::memory_order_relaxed)) {
        std::uint32_t done = rings.rx.completed.load(std::memory_order_relaxed);
        std::uint32_t n =
            std::min(rings.rx.posted.load(std::memory_order_acquire) - done, kDeviceBurst);
        for (std::uint32_t i = 0; i < n; ++i) {
            Descriptor& descriptor = rings.rx.descriptors[(done + i) % kRing];
            std::memcpy(descriptor.frame, pattern.data(), kFrameBytes);
            descriptor.bytes = kFrameBytes;
            descriptor.status = 1;
        }
        if (n != 0) {
            rings.rx.completed.store(done + n, std::memory_order_release);
        }
        done = rings.tx.completed.load(std::memory_order_relaxed);
        n = std::min(rings.tx.posted.load(std::memory_order_acquire) - done, kDeviceBurst);
        for (std::uint32_t i = 0; i < n; ++i) {
            const Descriptor& descriptor = rings.tx.descriptors[(done + i) % kRing];
            seen += descriptor.frame[0] + descriptor.bytes;
        }
        if (n != 0) {
            rings.tx.completed.store(done + n, std::memory_order_release);
        }
    }
    return static_cast<int>(seen & 1U);
}

/// The driver's side.
class RawFace {
  public:
    explicit RawFace(Rings& rings) : rings_(rings), memory_(2 * kRing * kStride + 64) {
        for (std::uint32_t i = 0; i < 2 * kRing; ++i) {
            free_[free_n_++] = &memory_[i * kStride];
        }
        post(kRing);
    }

    std::uint32_t receive(std::uint32_t burst) {
        const std::uint32_t n =
            std::min(rings_.rx.completed.load(std::memory_order_acquire) - taken_, burst);
        for (std::uint32_t i = 0; i < n; ++i) {
            const Descriptor& descriptor = rings_.rx.descriptors[(taken_ + i) % kRing];
            held_[i] = descriptor.frame;
            sum_ += descriptor.status + descriptor.bytes + word_of(descriptor.frame);
        }
        taken_ += n;
        post(kRing - (posted_ - taken_));
        return n;
    }

    void release(std::uint32_t n) { give_back(0, n); }

    bool prepare(std::uint32_t burst) {
        if (free_n_ < burst) {
            reclaim();
        }
        if (free_n_ < burst) {
            return false;
        }
        for (std::uint32_t i = 0; i < burst; ++i) {
            held_[i] = free_[--free_n_];
            std::memset(held_[i], 0x5a, 16);
        }
        return true;
    }

    std::uint32_t send(std::uint32_t wanted) {
        reclaim();
        const std::uint32_t n = std::min(wanted, kRing - (sent_ - home_));
        for (std::uint32_t i = 0; i < n; ++i) {
            Descriptor& descriptor = rings_.tx.descriptors[(sent_ + i) % kRing];
            descriptor.frame = held_[i];
            descriptor.bytes = kFrameBytes;
            descriptor.status = 0;
        }
        sent_ += n;
        rings_.tx.posted.store(sent_, std::memory_order_release);
        return n;
    }

    void drop(std::uint32_t from, std::uint32_t n) { give_back(from, n); }

    void swap(std::uint32_t n) {
        for (std::uint32_t i = 0; i < n; ++i) {
            std::array<std::uint8_t, 12> addresses;
            std::memcpy(addresses.data(), held_[i] + 6, 6);
            std::memcpy(addresses.data() + 6, held_[i], 6);
            std::memcpy(held_[i], addresses.data(), 12);
        }
    }

  private:
    static std::uint64_t word_of(const std::uint8_t* frame) {
        std::uint64_t word = 0;
        std::memcpy(&word, frame, sizeof word);
        return word;
    }

    void post(std::uint32_t n) {
        const std::uint32_t part = std::min(n, free_n_);
        for (std::uint32_t i = 0; i < part; ++i) {
            Descriptor& descriptor = rings_.rx.descriptors[(posted_ + i) % kRing];
            descriptor.frame = free_[--free_n_];
            descriptor.status = 0;
            descriptor.bytes = 0;
        }
        posted_ += part;
        rings_.rx.posted.store(posted_, std::memory_order_release);
    }

    void reclaim() {
        const std::uint32_t done = rings_.tx.completed.load(std::memory_order_acquire);
        for (; home_ != done; ++home_) {
            free_[free_n_++] = rings_.tx.descriptors[home_ % kRing].frame;
        }
    }

    void give_back(std::uint32_t from, std::uint32_t n) {
        for (std::uint32_t i = from; i < n; ++i) {
            free_[free_n_++] = held_[i];
        }
    }

    Rings& rings_;
    std::vector<std::uint8_t> memory_;
    std::array<std::uint8_t*, 2 * kRing> free_{};
    std::array<std::uint8_t*, kBurstMax> held_{};
    std::uint32_t free_n_ = 0;
    std::uint32_t taken_ = 0;
    std::uint32_t posted_ = 0;
    std::uint32_t sent_ = 0;
    std::uint32_t home_ = 0;  // sent and given back
    std::uint64_t sum_ = 0;
};

class RawLimit : public Subject {
  public:
    Status up() override {
        rings_ = std::make_unique<Rings>();
        face_ = std::make_unique<RawFace>(*rings_);
        if (rte_eal_remote_launch(device_main, rings_.get(), 1) != 0) {
            return fail(EBUSY, "the other core is busy");
        }
        return {};
    }

    void down() override {
        rings_->stop.store(true);
        rte_eal_wait_lcore(1);
        face_.reset();
        rings_.reset();
    }

    Cost run(Work work, std::uint32_t burst, std::uint64_t cycles) override {
        return poll_for(*face_, work, burst, cycles);
    }

  private:
    std::unique_ptr<Rings> rings_;
    std::unique_ptr<RawFace> face_;
};

}  // namespace

std::unique_ptr<Subject> make_raw_limit() {
    return std::make_unique<RawLimit>();
}

}  // namespace crema::bench
