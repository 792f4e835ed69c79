// SPDX-License-Identifier: BSD-3-Clause
//
// A port without a device: frames are made here, run through the hook as a driver would, and what
// is transmitted is kept for a look or recycled at once.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <mutex>
#include <vector>

#include "lib/ebpf/abi/fragments.h"
#include "lib/page_pool/page_pool.h"
#include "lib/xdp/hook.h"

namespace crema::test {

struct FakePort {
    std::uint16_t port_id;
    xdp::RxHook* hooks = nullptr;
    bool up = true;
    bool keeps = false;               // sent frames go to `sent`, else home at once
    std::uint32_t room = UINT32_MAX;  // frames that fit until the next drain
    std::uint32_t bytes_max = 1518;
    Status refuse_attach{};
    bool asked_frags = false;  // by the last attach_check
    std::uint64_t transmitted = 0;
    std::uint32_t xmit_calls = 0;
    std::vector<xdp::Frame> sent;
    std::mutex lock;  // tests send from several threads; a driver has its own ways

    explicit FakePort(std::uint16_t id, bool sends_fragments = true) : port_id(id) {
        xdp::PortOps ops = kOps;
        ops.sends_fragments = sends_fragments;
        const auto registered = xdp::register_port(id, ops, this);
        EXPECT_TRUE(registered) << registered.error().message;
        hooks = *registered;
    }

    ~FakePort() {
        xdp::unregister_port(port_id);
        drain();
    }

    FakePort(const FakePort&) = delete;
    FakePort& operator=(const FakePort&) = delete;

    void drain() {
        for (const xdp::Frame& frame : sent) {
            xdp::recycle(&frame, 1);
        }
        sent.clear();
    }

    /// What a driver does with a burst. Returns how many were passed, in frames[0..).
    std::uint32_t run(xdp::Frame* frames, std::uint32_t n, std::uint32_t queue = 0) const {
        xdp::RxHook& hook = hooks[queue];
        return hook.active.load(std::memory_order_acquire) ? hook.run(&hook, frames, n) : n;
    }

    static std::uint32_t xmit(void* port,
                              std::uint32_t,
                              const xdp::Frame* frames,
                              std::uint32_t n) {
        auto& self = *static_cast<FakePort*>(port);
        const std::scoped_lock guard(self.lock);
        const std::uint32_t taken = std::min(n, self.room);
        self.room -= self.room == UINT32_MAX ? 0 : taken;
        self.transmitted += taken;
        ++self.xmit_calls;
        for (std::uint32_t i = 0; i < taken; ++i) {
            if (self.keeps) {
                self.sent.push_back(frames[i]);
            } else {
                xdp::recycle(&frames[i], 1);
            }
        }
        return taken;
    }

    static Status attach_check(void* port, bool has_frags) {
        auto& self = *static_cast<FakePort*>(port);
        self.asked_frags = has_frags;
        return self.refuse_attach;
    }

    static std::uint32_t frame_bytes_max(void* port) {
        return static_cast<FakePort*>(port)->bytes_max;
    }

    static bool is_up(void* port) { return static_cast<FakePort*>(port)->up; }

    static constexpr xdp::PortOps kOps = {.mode = "native",
                                          .xmit = xmit,
                                          .attach_check = attach_check,
                                          .frame_bytes_max = frame_bytes_max,
                                          .is_up = is_up};
};

/// Frames from a pool of their own; every page is home again when a test ends.
class FrameSource {
  public:
    explicit FrameSource(const char* name, std::uint32_t pages = 1024) {
        const auto made = page_pool::create({.name = name, .pages = pages});
        EXPECT_TRUE(made) << made.error().message;
        pool_ = *made;
    }

    ~FrameSource() {
        const Status gone = page_pool::destroy(pool_);
        EXPECT_TRUE(gone) << "pages in = pages out: " << gone.error().message;
    }

    FrameSource(const FrameSource&) = delete;
    FrameSource& operator=(const FrameSource&) = delete;

    /// Fills frames[0..return) with frames of `len` bytes, byte 0 counting from `first`.
    std::uint32_t make(xdp::Frame* frames,
                       std::uint32_t n,
                       std::uint32_t len = 64,
                       std::uint8_t first = 0) const {
        std::array<rte_mbuf*, xdp::kBurstMax> pages;
        const std::uint32_t got = page_pool::alloc_bulk(pool_, pages.data(), n);
        for (std::uint32_t i = 0; i < got; ++i) {
            std::uint8_t* const data = page_pool::buffer_of(pages[i]) + page_pool::kDataOffset;
            data[0] = static_cast<std::uint8_t>(first + i);
            frames[i] = {.page = pages[i], .data = data, .len = len, .meta_len = 0, .fragments = 0};
        }
        return got;
    }

    /// A frame with a piece of each of these lengths, byte i of it i * 7.
    [[nodiscard]] xdp::Frame make_long(std::initializer_list<std::uint32_t> pieces) const {
        std::array<rte_mbuf*, 1 + ebpf::kFragmentsMax> pages{};
        const auto n = static_cast<std::uint32_t>(pieces.size());
        EXPECT_EQ(page_pool::alloc_bulk(pool_, pages.data(), n), n);
        std::uint32_t number = 0;
        xdp::Frame frame{};
        rte_mbuf* last = nullptr;
        for (const std::uint32_t len : pieces) {
            rte_mbuf* const page = pages[last == nullptr ? 0 : ++frame.fragments];
            std::uint8_t* const data =
                page_pool::buffer_of(page) +
                (last == nullptr ? page_pool::kDataOffset : page_pool::kDmaOffset);
            std::generate_n(data, len, [&] { return static_cast<std::uint8_t>(number++ * 7); });
            if (last == nullptr) {
                frame.page = page;
                frame.data = data;
                frame.len = len;
            } else {
                page_pool::to_mbuf(page, data, len, 0);
                last->next = page;
            }
            last = page;
        }
        return frame;
    }

    [[nodiscard]] std::uint64_t in_flight() const { return page_pool::stats(pool_).in_flight; }

    [[nodiscard]] rte_mempool* pool() const { return pool_; }

  private:
    rte_mempool* pool_ = nullptr;
};

inline void recycle(const xdp::Frame* frames, std::uint32_t n) {
    xdp::recycle(frames, n);
}

}  // namespace crema::test
